//! The expansions are quiet where the user's own code would be: this file compiles under lints that
//! are denied.
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused,
    rust_2018_idioms,
    single_use_lifetimes,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]

use revalidate::{Cache, CacheKey, CacheTags, Permissions, cache_tag, web_method};

/// Public functions, as of a library.
pub mod library {
    use super::{CacheKey, CacheTags, Permissions, cache_tag, web_method};

    /// Multiplies.
    #[web_method(Permissions::Anyone, cache(tags = ["multiply", "by:{a}"], ttl = "1h", stale_while_revalidate = 60))]
    pub async fn multiply(a: i64, b: i64) -> i64 {
        a * b
    }

    /// Finds.
    ///
    /// # Errors
    ///
    /// When there is nothing.
    #[must_use = "finding is all it does"]
    #[web_method(cache(tags = ["found:{first}", "word:{name}"], ttl = "1h", key = (name, first, more.len())))]
    pub async fn find(
        name: &str,
        (first, _): (u8, u8),
        more: impl Into<String>,
    ) -> Result<String, std::fmt::Error> {
        Ok(format!("{name}{first}{}", more.into()))
    }

    /// Is tagged.
    #[cache_tag("tagged", "tagged:{of}")]
    pub async fn tagged(of: u8) -> Vec<u8> {
        vec![of]
    }

    /// A key, with tags.
    #[derive(Clone, Debug, CacheKey, CacheTags)]
    #[cache_tags("thing:{id}", r"raw:{id}")]
    pub struct Thing {
        /// Its number.
        pub id: u32,
    }

    /// Of a crate, not of the library.
    #[web_method(cache(ttl = 3))]
    pub(crate) async fn thing(id: u32) -> Thing {
        Thing { id }
    }

    #[expect(clippy::unused_async, reason = "it is an example")]
    #[web_method(cache(ttl = 3, companion = none))]
    pub(super) async fn private(mut n: u8) -> Option<u8> {
        n += 1;
        Some(n)
    }
}

#[tokio::test]
async fn quiet() {
    let cache = Cache::builder().build();
    cache
        .enter(async {
            assert_eq!(library::multiply(6, 7).await, 42);
            assert_eq!(library::find("a", (1, 2), "b").await.as_deref(), Ok("a1b"));
            assert_eq!(library::tagged(3).await, [3]);
            assert_eq!(library::thing(3).await.id, 3);
            assert_eq!(library::private(3).await, Some(4));
        })
        .await;
}
