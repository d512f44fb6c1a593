//! What Next.js's cache components do, in the order of its pages: `use cache`, `cacheTag`, `cacheLife`,
//! `revalidateTag`, `updateTag`, `revalidatePath`, draft mode; and where this differs on purpose.
#![cfg(feature = "axum")]

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::Request;
use axum::routing::get;
use revalidate::{
    Bypass, Cache, CacheLayer, CachePolicy, Clock, InvalidateError, Life, NotStorable, PathTarget,
    Reason, bypass, cache_life, cache_tag, invalidate_cache, observe, revalidate_path,
    revalidate_tag, web_method,
};
use tokio::sync::Notify;
use tower::ServiceExt;

/// A number that is a new one each time it is read: what a page is made of.
static DATA: AtomicU32 = AtomicU32::new(0);

fn data() -> u32 {
    DATA.fetch_add(1, SeqCst)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cache whose default profile has Next.js's figures (5m, 15m, never), on a clock that stands still.
fn cache() -> (Cache, Clock) {
    let clock = Clock::manual();
    let default = Life::from("15m").stale_while_revalidate("1y").client("5m");
    let cache = Cache::builder()
        .clock(clock.clone())
        .default_life(default)
        .build();
    (cache, clock)
}

fn tags_of(key: revalidate::Key) -> Vec<String> {
    let explained = Cache::current().unwrap().explain(key);
    let own = |tag: &String| !tag.starts_with("function ") && tag != "everything";
    explained.tags.into_iter().filter(own).collect()
}

/// Lets what runs in the background end.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

// ---- use cache ----

#[derive(Clone, serde::Serialize)]
struct Filter {
    kind: String,
    at_most: Option<u32>,
}

#[web_method(cache())]
async fn rooms(filter: Filter, order: Vec<String>) -> u32 {
    let _ = (filter, order);
    data()
}

#[tokio::test]
async fn keys_are_made_of_the_arguments() {
    let run = async {
        let filter = |kind: &str, at_most| Filter {
            kind: kind.into(),
            at_most,
        };
        let first = rooms(filter("blue", None), vec!["a".into()]).await;
        assert_eq!(rooms(filter("blue", None), vec!["a".into()]).await, first);
        for (filter, order) in [
            (filter("red", None), vec!["a"]),
            (filter("blue", Some(0)), vec!["a"]),
            (filter("blue", None), vec![]),
            (filter("blue", None), vec!["a", ""]),
        ] {
            let order = order.into_iter().map(Into::into).collect();
            assert_ne!(rooms(filter, order).await, first);
        }
    };
    cache().0.enter(run).await;
}

#[web_method(cache(tags = ["slow"]))]
async fn slow(gate: &'static Gate) -> u32 {
    let read = data();
    gate.0.notify_one();
    gate.1.notified().await;
    read
}

/// Where a load says that it has read, and waits. It is the same key wherever it is.
struct Gate(Notify, Notify);

impl Gate {
    const fn new() -> Self {
        Self(Notify::const_new(), Notify::const_new())
    }
}

impl revalidate::CacheKey for Gate {
    fn encode(&self, _: &mut revalidate::KeyWriter<'_>) {}
}

/// There, who joins a fill is given it even if it began before an invalidation.
#[tokio::test]
async fn callers_share_a_fill_unless_an_invalidation_overtook_it() {
    static GATE: Gate = Gate::new();
    let (cache, _) = cache();
    let ask = || tokio::spawn(cache.enter(slow(&GATE)));
    let first = ask();
    GATE.0.notified().await;
    let second = ask();
    settle().await;
    cache.invalidate_cache("slow").await.unwrap();
    let third = ask();
    settle().await;
    GATE.0.notified().await;
    GATE.1.notify_waiters();
    let (first, second, third) = (first.await.unwrap(), second.await.unwrap(), third.await);
    assert_eq!(first, second, "both came before it");
    assert_ne!(first, third.unwrap());
}

// ---- cacheTag ----

#[web_method(cache())]
async fn tagged_by_one() -> u32 {
    cache_tag("my-data");
    data()
}

#[web_method(cache())]
async fn tagged_by_many() -> u32 {
    cache_tag(["tag-one", "tag-two"]);
    cache_tag("tag-one");
    cache_tag(String::from("Tag-One"));
    data()
}

#[web_method(cache())]
async fn tagged_by_data() -> Vec<u32> {
    let found = vec![data(), data()];
    cache_tag("bookings-data");
    cache_tag(found.iter().map(|id| format!("booking:{id}")));
    found
}

#[tokio::test]
async fn tags_are_one_or_many_known_before_or_after_the_data() {
    let run = async {
        tagged_by_one().await;
        assert_eq!(tags_of(tagged_by_one::key()), ["my-data"]);

        // The same tag again adds nothing; tags are case-sensitive.
        tagged_by_many().await;
        let tags = tags_of(tagged_by_many::key());
        assert_eq!(tags, ["tag-one", "tag-two", "Tag-One"]);

        let found = tagged_by_data().await;
        invalidate_cache(format!("booking:{}", found[1]))
            .await
            .unwrap();
        assert_ne!(tagged_by_data().await, found);
    };
    cache().0.enter(run).await;
}

#[web_method(cache())]
async fn tagged_by(count: u32, length: u32) -> u32 {
    cache_tag((0..count).map(|n| format!("{n:0>0$}", length as usize)));
    data()
}

/// There, what is too long or too many is dropped with a warning, and the entry outlives its invalidation.
#[tokio::test]
async fn past_the_limits_of_tags_a_value_is_served_and_not_stored() {
    let (cache, _) = cache();
    let run = async {
        for (count, length, expected) in [
            (128, 256, Reason::Hit),
            (129, 3, Reason::NotStorable(NotStorable::TooManyTags)),
            (1, 257, Reason::NotStorable(NotStorable::TagLength)),
        ] {
            tagged_by(count, length).await;
            let reason = cache.explain(tagged_by::key(count, length)).reason;
            assert_eq!(reason, expected, "{count} of {length}");
        }
    };
    cache.enter(run).await;
}

/// There it throws.
#[tokio::test]
async fn outside_of_everything_cached_a_tag_does_nothing() {
    cache_tag("nobody's");
    cache_life("1m");
}

// ---- cacheLife ----

#[web_method(cache(life = "hours"))]
async fn for_hours() -> u32 {
    data()
}

#[web_method(cache())]
async fn lasting(life: &str) -> u32 {
    match life {
        "default" => {}
        "products" => cache_life(Life::from("2h").stale_while_revalidate("1h")),
        "shorter for clients" => cache_life(Life::default().client("1m")),
        life => cache_life(life),
    }
    data()
}

#[tokio::test]
async fn profiles_have_their_figures() {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let (cache, clock) = cache();
    let run = async {
        for (profile, revalidate, expire) in [
            ("seconds", 1, MINUTE),
            ("minutes", MINUTE, HOUR),
            ("hours", HOUR, DAY),
            ("days", DAY, 7 * DAY),
            ("weeks", 7 * DAY, 30 * DAY),
            ("max", 30 * DAY, 365 * DAY),
            ("products", 2 * HOUR, HOUR),
            ("default", 15 * MINUTE, 31_557_600),
            // What is not said is as in the default.
            ("shorter for clients", 15 * MINUTE, 31_557_600),
        ] {
            lasting(profile).await;
            let reason = || cache.explain(lasting::key(profile)).reason;
            for (wait, expected) in [
                (secs(revalidate) - secs(1), Reason::Hit),
                (secs(1), Reason::Stale),
                (secs(expire) - secs(1), Reason::Stale),
                (secs(1), Reason::Expired),
            ] {
                clock.advance(wait);
                assert_eq!(reason(), expected, "{profile} after {wait:?} more");
            }
        }
        for_hours().await;
        assert_eq!(cache.explain(for_hours::key()).fresh_for, secs(HOUR));
    };
    cache.enter(run).await;
}

#[tokio::test]
async fn a_stale_entry_is_served_while_it_is_made_anew() {
    let (cache, clock) = cache();
    let run = async {
        let first = for_hours().await;
        clock.advance(secs(3_600));
        assert_eq!(for_hours().await, first);
        settle().await;
        let second = for_hours().await;
        assert_ne!(second, first);
        // Past `expire` callers wait.
        clock.advance(secs(3_600 + 86_400));
        assert_ne!(for_hours().await, second);
    };
    cache.enter(run).await;
}

// ---- nesting ----

#[web_method(cache(tags = ["inner"], ttl = "1m"))]
async fn inner() -> u32 {
    data()
}

#[web_method(cache(tags = ["outer"]))]
async fn outer_unsaid() -> u32 {
    inner().await
}

#[web_method(cache(tags = ["outer"], ttl = "2h"))]
async fn outer_explicit() -> u32 {
    inner().await
}

#[tokio::test]
async fn tags_always_flow_outward_and_lifetimes_unless_said() {
    let (cache, _) = cache();
    let run = async {
        inner().await;
        // On an inner hit as on a miss.
        for _ in 0..2 {
            outer_unsaid().await;
            outer_explicit().await;
            for (key, ttl) in [(outer_unsaid::key(), 60), (outer_explicit::key(), 7_200)] {
                assert_eq!(cache.explain(&key).fresh_for, secs(ttl));
                assert_eq!(tags_of(key), ["outer", "inner"]);
            }
            let before = outer_explicit().await;
            invalidate_cache("inner").await.unwrap();
            assert_ne!(outer_explicit().await, before);
            outer_unsaid::clear().await.unwrap();
        }
    };
    cache.enter(run).await;
}

// ---- revalidateTag, updateTag ----

#[web_method(cache(tags = ["posts"], ttl = "1h", stale_while_revalidate = "1h"))]
async fn windowed() -> u32 {
    data()
}

#[web_method(cache(tags = ["posts"], ttl = "1h", stale_while_revalidate = 0))]
async fn windowless() -> u32 {
    data()
}

/// `revalidateTag(tag, profile)`; the window is the entry's.
#[tokio::test]
async fn revalidate_tag_serves_stale_once_more_for_as_long_as_the_window_lasts() {
    let (cache, clock) = cache();
    let run = async {
        let (first, waits) = (windowed().await, windowless().await);
        revalidate_tag("posts").await.unwrap();
        assert_ne!(windowless().await, waits, "`{{ expire: 0 }}`");
        let (got, reads) = observe(windowed()).await;
        assert_eq!((got, reads[0].reason), (first, Reason::Stale));
        settle().await;
        let second = windowed().await;
        assert_ne!(second, first);

        revalidate_tag("posts").await.unwrap();
        clock.advance(secs(3_600));
        assert_ne!(windowed().await, second);
        // Nothing has these tags, and that is no error.
        revalidate_tag("nobody's").await.unwrap();
        revalidate_tag([""; 0]).await.unwrap();
    };
    cache.enter(run).await;
}

/// There, only in Server Actions; here in any code that is not cached itself.
#[tokio::test]
async fn update_tag_is_seen_by_the_very_next_read() {
    let run = async {
        let first = windowed().await;
        invalidate_cache("posts").await.unwrap();
        assert_ne!(windowed().await, first);
    };
    cache().0.enter(run).await;
}

#[web_method(cache())]
async fn changes_something(how: u8) -> Result<(), InvalidateError> {
    match how {
        0 => revalidate_tag("posts").await,
        1 => invalidate_cache("posts").await,
        _ => revalidate_path("/").await,
    }
    .map(|_| ())
}

#[tokio::test]
async fn misuse_is_an_error() {
    let run = async {
        for how in 0..3 {
            let error = changes_something(how).await.unwrap_err().to_string();
            assert!(error.contains("changes_something"), "{error}");
        }
        let long = "x".repeat(257);
        let error = revalidate_tag(long).await.unwrap_err();
        assert!(error.to_string().contains("257 characters"), "{error}");
        for path in ["blog", "", &"/a".repeat(33)] {
            let error = revalidate_path(path).await.unwrap_err();
            assert!(matches!(error, InvalidateError::InvalidPath { .. }));
        }
    };
    cache().0.enter(run).await;
}

// ---- revalidatePath, draft mode ----

async fn page(path: Option<Path<String>>) -> (CachePolicy, String) {
    let _ = path;
    let policy = CachePolicy::life(Life::from("1h").stale_while_revalidate(0));
    (policy, data().to_string())
}

struct App(Router, Cache);

impl App {
    fn new() -> Self {
        let (cache, _) = cache();
        let app = Router::new()
            .route("/", get(page))
            .route("/blog", get(page))
            .route("/blog/{slug}", get(page))
            .route("/blog/{slug}/comments", get(page))
            .route("/windowed", get(async || windowed().await.to_string()))
            .layer(CacheLayer::new().cache(cache.clone()));
        Self(app, cache)
    }

    async fn send(&self, request: Request<Body>) -> String {
        let response = self.0.clone().oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    async fn get(&self, path: &str) -> String {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    async fn draft(&self, path: &str) -> String {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Bypass);
        self.send(request).await
    }
}

#[tokio::test]
async fn revalidate_path_drops_pages_layouts_and_patterns() {
    const PATHS: [&str; 5] = ["/", "/blog", "/blog/a", "/blog/b", "/blog/a/comments"];
    let page = |path: &str| PathTarget::page(path);
    let layout = |path: &str| PathTarget::layout(path);
    for (target, dropped) in [
        (page("/blog/a"), vec!["/blog/a"]),
        (page("/blog/a/"), vec!["/blog/a"]),
        (page("/"), vec!["/"]),
        (page("/blog/{slug}"), vec!["/blog/a", "/blog/b"]),
        (layout("/blog/a"), vec!["/blog/a", "/blog/a/comments"]),
        (
            layout("/blog/{slug}"),
            vec!["/blog/a", "/blog/b", "/blog/a/comments"],
        ),
        (layout("/blog"), PATHS[1..].to_vec()),
        (layout("/"), PATHS.to_vec()),
        (page("/nowhere"), vec![]),
    ] {
        let app = App::new();
        let mut before = Vec::new();
        for path in PATHS {
            before.push(app.get(path).await);
        }
        app.1.revalidate_path(target.clone()).await.unwrap();
        let mut found = Vec::new();
        for (path, before) in PATHS.into_iter().zip(before) {
            if app.get(path).await != before {
                found.push(path);
            }
        }
        assert_eq!(found, dropped, "{target:?}");
    }
}

#[tokio::test]
async fn draft_mode_neither_reads_nor_writes() {
    let app = App::new();
    let drafted = app.draft("/blog").await;
    let stored = app.get("/blog").await;
    assert_ne!(stored, drafted, "it stored nothing");
    assert_ne!(app.draft("/blog").await, stored, "it reads nothing");
    assert_eq!(app.get("/blog").await, stored, "it replaces nothing");

    // The functions that the handler calls go past the cache too.
    let function = app.1.enter(windowed()).await.to_string();
    assert_ne!(app.draft("/windowed").await, function);
    assert_eq!(app.1.enter(windowed()).await.to_string(), function);
}

#[tokio::test]
async fn draft_mode_joins_no_load() {
    static GATE: Gate = Gate::new();
    let (cache, _) = cache();
    let reader = tokio::spawn(cache.enter(slow(&GATE)));
    GATE.0.notified().await;
    let draft = tokio::spawn(cache.enter(bypass(slow(&GATE))));
    // It reads for itself.
    GATE.0.notified().await;
    GATE.1.notify_waiters();
    let read = reader.await.unwrap();
    assert_ne!(draft.await.unwrap(), read);
    assert_eq!(cache.enter(slow(&GATE)).await, read);
}
