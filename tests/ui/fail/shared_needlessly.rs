use revalidate::{Caller, Permissions, web_method};

#[web_method(Permissions::Anyone, cache(ttl = 60, shared))]
async fn anyone(id: u32) -> u32 {
    id
}

#[web_method(Permissions::Admin, cache(ttl = 60, shared, key = (Caller::current(), id)))]
async fn both(id: u32) -> u32 {
    id
}

#[web_method(Permissions::Admin, cache(ttl = 60, shared = 3))]
async fn valued(id: u32) -> u32 {
    id
}

fn main() {}
