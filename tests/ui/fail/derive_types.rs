use revalidate::{CacheKey, CacheTags};

struct Opaque;

#[derive(CacheKey)]
struct Key {
    id: u32,
    opaque: Opaque,
}

#[derive(CacheTags)]
struct Tagged {
    #[cache_tags]
    opaque: Opaque,
}

fn main() {}
