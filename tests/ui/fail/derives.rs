use revalidate::{CacheKey, CacheTags};

#[derive(CacheKey)]
struct Skipping {
    id: u32,
    #[cache(skip)]
    text: String,
}

#[derive(CacheKey)]
union Either {
    a: u32,
    b: f32,
}

#[derive(CacheTags)]
struct NoTags {
    id: u32,
}

#[derive(CacheTags)]
#[cache_tags("booking:{ids}", "", 3)]
struct Booking {
    id: u32,
}

#[derive(CacheTags)]
#[cache_tags("booking:{1}")]
struct Tuple(u32);

#[derive(CacheTags)]
struct OnField(#[cache_tags("a")] Vec<Tuple>);

fn main() {}
