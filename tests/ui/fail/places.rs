use revalidate::web_method;

struct Repo;

impl Repo {
    #[web_method(cache(ttl = 60))]
    pub async fn find(id: u8) -> u8 {
        id
    }
}

trait Finds {
    #[web_method(cache(ttl = 60))]
    async fn find(id: u16) -> u16 {
        id
    }
}

mod order {}

#[web_method(cache(ttl = 60))]
async fn order(id: u8) -> u8 {
    id
}

mod inner {
    struct Orders;

    #[revalidate::web_method(cache(ttl = 60, companion = Orders))]
    async fn orders(id: u8) -> u8 {
        id
    }
}

fn main() {}
