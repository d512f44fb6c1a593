//! What a page's handler answers, as Wix's routers say it: [`ok`], [`not_found`], [`redirect`],
//! [`forbidden`].
//!
//! ```
//! # use cache_web as revalidate;
//! use axum::{Router, extract::Path, response::Html, routing::get};
//! use revalidate::outputs::{Output, forbidden, not_found, ok, redirect};
//!
//! async fn post(Path(slug): Path<String>) -> Output {
//!     match slug.as_str() {
//!         "first" => ok(Html("Hello")).cache(["blog", "post:first"], "1h"),
//!         "1" => redirect("/blog/first"),
//!         "draft" => forbidden(),
//!         _ => not_found().page(Html("There is no such post.")),
//!     }
//! }
//!
//! let app: Router = Router::new()
//!     .route("/blog/{slug}", get(post))
//!     .layer(cache_tower::CacheLayer::new());
//! ```
//!
//! An output decides by itself whether a [`CacheLayer`](cache_tower::CacheLayer) around it stores it:
//! only what [`ok`] answers, and only where [`cache`](Page::cache) or [`cache_tags`](Page::cache_tags)
//! says so. Nothing else is stored, whatever the layer's own `ttl` or the response's headers say
//! (`Cache-Status`: `detail=policy`). What is stored carries the tags that it names and those of every
//! cached function that the handler called.

use axum::response::{IntoResponse, Response};
use cache_core::{IntoTags, Life};
use cache_tower::CachePolicy;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The page was found: `page` with its status, which is 200 unless it says otherwise.
///
/// It is not stored unless [`cache`](Page::cache) or [`cache_tags`](Page::cache_tags) is called on it
/// (Wix's fourth argument of `ok`).
pub fn ok(page: impl IntoResponse) -> Page {
    Page(page.into_response())
}

/// There is no such page: 404.
pub fn not_found() -> Output {
    Output::plain(StatusCode::NOT_FOUND)
}

/// The caller may not see the page: 403.
pub fn forbidden() -> Output {
    Output::plain(StatusCode::FORBIDDEN)
}

/// The page is at `to` for now: 302.
///
/// Characters that no URI has are percent-encoded, line breaks too. Where `to` comes from the request
/// check that it leads to where you want: this does not.
pub fn redirect(to: &str) -> Output {
    Output::elsewhere(StatusCode::FOUND, to)
}

/// The page has moved to `to` for good: 301, which browsers remember. Else as [`redirect`].
pub fn moved(to: &str) -> Output {
    Output::elsewhere(StatusCode::MOVED_PERMANENTLY, to)
}

/// What [`ok`] answers: a page that may be cached.
///
/// A handler whose every answer is a page returns it as it is; one with other outcomes returns
/// [`Output`], which the methods here give, and `.into()`.
#[derive(Debug)]
#[must_use = "a page does nothing until the handler returns it"]
pub struct Page(Response);

impl Page {
    /// Has it stored under these tags, for this long: whole seconds, a `Duration`, text such as
    /// `"1h30m"`, a built-in profile such as `"hours"`, or a [`Life`] with its stale windows.
    ///
    /// As on Wix **nothing is stored without tags**: a list that turns out empty (the posts of a blog
    /// that has none yet) would make an entry that no tag can drop. A page that is to be kept for its
    /// lifetime alone, or dropped by its path, says [`CachePolicy`] beside it and is no output. A page
    /// with an error's status is not stored either.
    ///
    /// # Panics
    ///
    /// With text that is no lifetime.
    #[track_caller]
    pub fn cache<M>(self, tags: impl IntoTags<M>, life: impl Into<Life>) -> Output {
        self.told(CachePolicy::ttl(life), tags)
    }

    /// The same where no lifetime is named: it is stored for as long as what it is made of allows, and no
    /// longer than the cache's `default_life`, which is Wix's 604,800 seconds, a week, unless set.
    pub fn cache_tags<M>(self, tags: impl IntoTags<M>) -> Output {
        self.told(CachePolicy::new(), tags)
    }

    fn told<M>(self, policy: CachePolicy, tags: impl IntoTags<M>) -> Output {
        let tagged = policy.clone().tags(tags);
        // Without a tag it is the policy that it was.
        let stored = self.0.status().is_success() && tagged != policy;
        Output {
            policy: if stored {
                tagged
            } else {
                CachePolicy::no_store()
            },
            response: self.0,
        }
    }
}

impl From<Page> for Output {
    fn from(page: Page) -> Self {
        Self::unstored(page.0)
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        Output::from(self).into_response()
    }
}

/// What a page's handler answers, whichever it is.
#[derive(Debug)]
#[must_use = "an output does nothing until the handler returns it"]
pub struct Output {
    response: Response,
    policy: CachePolicy,
}

impl Output {
    /// Shows `page` in the place of what would be shown. The status stays.
    pub fn page(self, page: impl IntoResponse) -> Self {
        let mut response = page.into_response();
        *response.status_mut() = self.response.status();
        if let Some(to) = self.response.headers().get(LOCATION) {
            response.headers_mut().insert(LOCATION, to.clone());
        }
        Self { response, ..self }
    }

    fn unstored(response: Response) -> Self {
        Self {
            response,
            policy: CachePolicy::no_store(),
        }
    }

    fn plain(status: StatusCode) -> Self {
        let text = status.canonical_reason().unwrap_or_default();
        Self::unstored((status, text).into_response())
    }

    fn elsewhere(status: StatusCode, to: &str) -> Self {
        let to = utf8_percent_encode(to, NOT_IN_A_URI).to_string();
        let location = HeaderValue::try_from(to).expect("what is left is visible ASCII");
        Self::unstored((status, [(LOCATION, location)]).into_response())
    }
}

impl IntoResponse for Output {
    fn into_response(mut self) -> Response {
        self.response.extensions_mut().insert(self.policy);
        self.response
    }
}

/// What stands in no URI as it is (RFC 3986, appendix A). `%` does: what is encoded already stays so.
const NOT_IN_A_URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
