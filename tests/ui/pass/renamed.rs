//! `crate = path`, where the facade cannot be found by its name.
mod vendored {
    pub use ::revalidate as cache;
}
#[allow(unused)]
mod revalidate {}

use vendored::cache::{CacheKey, CacheTags, Permissions, cache_tag, web_method};

#[web_method(Permissions::Anyone, cache(tags = ["n:{n}"], ttl = 3), crate = crate::vendored::cache)]
async fn cached(n: u32) -> Thing {
    Thing { n }
}

#[cache_tag("tag:{n}", crate = crate::vendored::cache)]
async fn tagged(n: u32) -> u32 {
    n
}

#[derive(Clone, CacheKey, CacheTags)]
#[cache(crate = crate::vendored::cache)]
#[cache_tags(crate = crate::vendored::cache, "n:{n}")]
struct Thing {
    n: u32,
}

fn main() {
    let _ = cached(3);
    let _ = tagged(3);
    let _ = cached::key(3);
}
