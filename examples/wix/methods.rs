//! The web methods: both samples of Wix's page, and what they are made of.
//!
//! | in Wix's samples | here |
//! |---|---|
//! | `cachedMultiply`, for anyone, with tags and a ttl | [`cached_multiply`] |
//! | its `invalidateCache`, elevated and for anyone: any visitor makes the site load again as often as they please | [`invalidate_multiply`] is for administrators |
//! | `myQueryContactFunction` catches its error, logs it and returns nothing, which is then kept for a day | [`my_query_contacts`] returns the error: it is not kept |
//! | the second `invalidateCache` takes its tags from any visitor | the built-in `invalidateCache` does, and is for administrators |

use std::time::Duration;

use revalidate::{Caller, Permissions, elevate, invalidate_cache, web_method};
use tokio::time::sleep;

use crate::crm::{self, Contact, CrmError};

/// The product of two numbers, which takes a while to find.
#[web_method(Permissions::Anyone, cache(tags = ["multiply", "math"], ttl = 604_000))]
pub(crate) async fn cached_multiply(a: i32, b: i32) -> i64 {
    sleep(Duration::from_millis(300)).await;
    i64::from(a) * i64::from(b)
}

/// Drops all products.
#[web_method(Permissions::Admin)]
pub(crate) async fn invalidate_multiply() {
    // The tags are ours, so this cannot fail: an administrator may, and they are well formed.
    let dropped = invalidate_cache(["multiply", "math"]).await;
    debug_assert!(dropped.is_ok());
}

/// Everybody in the book. While it cannot be reached, the last answer serves for a day: a value's backup.
#[web_method(Permissions::Anyone, cache(tags = ["contact", "crm"], ttl = 85_500, stale_if_error = "1d"))]
pub(crate) async fn my_query_contacts() -> Result<Vec<Contact>, CrmError> {
    crm::query().await
}

/// Adds a contact, for members. It may drop what it changed, `elevate`d: the tags are not the member's to choose.
#[web_method(Permissions::SiteMember)]
pub(crate) async fn add_contact(name: String) -> Result<(), CrmError> {
    crm::add(&name).await?;
    let dropped = elevate(async { invalidate_cache("contact").await }).await;
    debug_assert!(dropped.is_ok());
    Ok(())
}

/// Takes the book's service down, or brings it back: to see that a failure is not kept.
#[web_method(Permissions::Admin)]
pub(crate) async fn set_crm_down(down: bool) {
    crm::set_down(down);
}

/// Who the caller is.
#[web_method(Permissions::Anyone)]
pub(crate) async fn who_am_i() -> String {
    let caller = Caller::current();
    let id = caller.as_ref().and_then(Caller::id);
    id.unwrap_or("visitor").to_owned()
}
