use revalidate::{Permissions, web_method};

#[web_method("anyone", cache(ttl = 60))]
async fn text(id: u32) -> u32 {
    id
}

#[web_method(Permissions::Anyone, Permissions::Admin)]
async fn two(id: u32) -> u32 {
    id
}

struct Path<T>(T);

#[web_method(Permissions::Admin)]
async fn handler(Path(id): Path<u32>) -> u32 {
    id
}

fn main() {}
