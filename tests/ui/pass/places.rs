//! Where a companion would be in the way, another name or none.
use revalidate::web_method;

struct Repo;

impl Repo {
    #[web_method(cache(ttl = 60, companion = none))]
    pub async fn find(id: u8) -> u8 {
        id
    }
}

mod order {}

#[web_method(cache(ttl = 60, companion = orders))]
async fn order(id: u8) -> u8 {
    id
}

mod inner {
    pub(crate) use super::order;

    pub(crate) mod find {}

    #[revalidate::web_method(cache(ttl = 60))]
    #[cfg(any())]
    pub(crate) async fn find(id: u8) {}
}

fn main() {
    let _ = Repo::find(3);
    let _ = (order(3), orders::key(3), inner::order(3));
}
