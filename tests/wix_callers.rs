//! Who calls a web method: what is made for one caller is given to nobody else, however the load that asked
//! came to its end, and what a caller may not drop stays.
#![cfg(feature = "web")]

mod wix_support;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use revalidate::{
    Cache, CacheLayer, Caller, Clock, FutureExt, InvalidateError, LoadTimeout, NotStorable,
    Permissions, Reason, WebMethods, allow_inner_failures, elevate, invalidate_cache, web_method,
};
use tokio::sync::Notify;
use tower::ServiceExt;
use wix_support::{authorise, counter, isolated, post, send};

/// What each of two members is answered, twice.
async fn answers(app: &Router, path: &str) -> Vec<String> {
    let mut said = Vec::new();
    for who in ["member:1", "member:2", "member:1", "member:2"] {
        said.push(post(app, who, path, "").await.body);
    }
    said
}

fn id() -> Option<String> {
    Caller::current().and_then(|caller| caller.id().map(str::to_owned))
}

// ---- keys ----

counter!(NAMED);

/// An application's own type that happens to have the name: it tells nobody apart.
mod own {
    use revalidate::{Permissions, web_method};

    pub(crate) struct Caller;

    impl Caller {
        pub(crate) fn current() -> Option<&'static str> {
            Some("whoever")
        }
    }

    #[web_method(Permissions::Anyone, cache(ttl = "1h", key = (Caller::current(), 1)))]
    pub(crate) async fn misnamed() -> Option<String> {
        super::id()
    }

    #[web_method(Permissions::Anyone, cache(ttl = "1h"))]
    pub(crate) async fn misnamed_argument(
        #[cache(key = self::Caller::current())] _page: Option<u32>,
    ) -> Option<String> {
        super::id()
    }

    #[web_method(Permissions::Anyone, cache(ttl = "1h", key = revalidate::Caller::current()))]
    pub(crate) async fn named_in_full() -> Option<String> {
        super::NAMED.set(super::NAMED.get() + 1);
        super::id()
    }
}

#[tokio::test]
async fn another_type_named_caller_makes_no_key_the_callers() {
    isolated(async {
        let app = WebMethods::new()
            .method::<own::misnamed>()
            .method::<own::misnamed_argument>()
            .method::<own::named_in_full>()
            .authorise(authorise)
            .build()
            .unwrap();
        for path in ["/misnamed", "/misnamed_argument", "/named_in_full"] {
            let each = [r#""1""#, r#""2""#, r#""1""#, r#""2""#];
            assert_eq!(answers(&app, path).await, each, "{path}");
        }
        assert_eq!(NAMED.get(), 2, "the real one makes it so, by any path");
        let known = Cache::current().unwrap().explain(own::misnamed::key());
        assert_eq!(known.reason, Reason::NotStorable(NotStorable::Caller));
    })
    .await;
}

/// Anybody may call it, and each is answered otherwise: no layer may hand on what another was told.
#[tokio::test]
async fn what_everybody_may_call_and_is_each_callers_own_is_kept_by_no_layer() {
    for layer in [CacheLayer::new().ttl("1h"), CacheLayer::shared_proxy()] {
        isolated(async {
            let methods = WebMethods::new().method::<own::named_in_full>();
            let methods = methods.authorise(authorise).build().unwrap();
            let app = methods.layer(layer.cache(Cache::new()));
            let ask = |who| wix_support::get(&app, who, "/named_in_full");
            for _ in 0..2 {
                let (one, two) = tokio::join!(ask("member:1"), ask("member:2"));
                assert_eq!((&*one.body, &*two.body), (r#""1""#, r#""2""#));
                assert_eq!(one.header("cache-control"), "no-store");
            }
        })
        .await;
    }
}

counter!(HELPED);
#[web_method(Permissions::Anyone, cache(ttl = "1h", key = Caller::current()))]
async fn keyed() -> Option<String> {
    HELPED.set(HELPED.get() + 1);
    helper().await
}

#[web_method(cache(ttl = "1h"))]
async fn helper() -> Option<String> {
    id()
}

counter!(FETCHED);
#[web_method(Permissions::Anyone)]
async fn fetches() -> String {
    let caller = Caller::current();
    let key = ("orders", caller.clone());
    let load = || async move {
        FETCHED.set(FETCHED.get() + 1);
        Ok::<_, Infallible>(caller.unwrap().id().unwrap().to_owned())
    };
    let cache = Cache::current().unwrap();
    cache.fetch(key, "1h", ["orders"], load).await.unwrap()
}

counter!(FETCHED_ASKING);
#[web_method(Permissions::Anyone)]
async fn fetches_asking() -> Option<String> {
    let key = ("asking", Caller::current());
    let load = || async {
        FETCHED_ASKING.set(FETCHED_ASKING.get() + 1);
        Ok::<_, Infallible>(id())
    };
    let cache = Cache::current().unwrap();
    cache.fetch(key, "1h", ["orders"], load).await.unwrap()
}

#[tokio::test]
async fn what_asks_without_the_caller_in_its_own_key_is_stored_nowhere() {
    isolated(async {
        let app = WebMethods::new()
            .method::<keyed>()
            .method::<fetches>()
            .method::<fetches_asking>()
            .authorise(authorise)
            .build()
            .unwrap();
        for path in ["/keyed", "/fetches", "/fetches_asking"] {
            let each = [r#""1""#, r#""2""#, r#""1""#, r#""2""#];
            assert_eq!(answers(&app, path).await, each, "{path}");
        }
        assert_eq!(HELPED.get(), 4, "a helper asked that has no such key");
        assert_eq!(FETCHED.get(), 2, "asked before, and in the key");
        assert_eq!(FETCHED_ASKING.get(), 4, "a loader has no such key");
    })
    .await;
}

// ---- loads that asked, and came to nothing ----

#[derive(Clone, Debug)]
struct Failed;

impl From<LoadTimeout> for Failed {
    fn from(_: LoadTimeout) -> Self {
        Self
    }
}

thread_local! {
    static TAG: RefCell<String> = const { RefCell::new(String::new()) };
    static FILLING: Cell<bool> = const { Cell::new(false) };
    static ASKED: Arc<Notify> = Arc::default();
}

fn tag() -> String {
    TAG.with_borrow(Clone::clone)
}

/// Asks who calls, and then comes to nothing; each turn is a load of its own, as some never end.
#[web_method(cache(tags = [tag()], ttl = "1m", stale_if_error = "1h", timeout = "10s"))]
async fn asks(way: &'static str, _turn: usize) -> Result<u32, Failed> {
    if FILLING.get() {
        return Ok(1);
    }
    drop(Caller::current());
    match way {
        "panics" => panic!("after asking"),
        "left" | "late" => {
            ASKED.with(|asked| asked.notify_one());
            pending().await
        }
        _ => Err(Failed),
    }
}

async fn asked() {
    let asked = ASKED.with(Arc::clone);
    asked.notified().await;
}

/// A response that is made inside of a load, and asks.
async fn response() {
    async fn handler() {
        drop(Caller::current());
        panic!("after asking");
    }
    let pages = Router::new().route("/", get(handler));
    let pages: Router = pages.layer(CacheLayer::new().ttl("1h"));
    let request = Request::get("/").body(Body::empty()).unwrap();
    pages.oneshot(request).await.unwrap();
}

counter!(AROUND);
/// Goes on without it.
#[web_method(Permissions::Anyone, cache(ttl = "1h", stale_while_revalidate = "1h"))]
async fn around(way: String) -> bool {
    AROUND.set(AROUND.get() + 1);
    allow_inner_failures();
    let turn = AROUND.get();
    match &*way {
        "panics" => tokio::spawn(asks("panics", turn).in_current_load())
            .await
            .is_ok(),
        "left" => tokio::select! {
            biased;
            done = asks("left", turn) => done.is_ok(),
            () = asked() => false,
        },
        "late" => asks("late", turn).await.is_ok(),
        "stale" => asks("stale", turn).await.is_ok(),
        "response" => tokio::spawn(response().in_current_load()).await.is_ok(),
        _ => asks("fails", turn).await.is_ok(),
    }
}

/// Asks as two callers, what is inside loading for all or, where its tags do not let it, for its caller alone.
async fn for_nobody_else(way: &'static str, tag: &str) {
    TAG.set("fine".to_owned());
    AROUND.set(0);
    let clock = Clock::manual();
    let cache = Cache::builder().clock(clock.clone()).build();
    let calls = async {
        let methods = WebMethods::new().method::<around>().authorise(authorise);
        let app = methods.build().unwrap();
        if way == "stale" {
            FILLING.set(true);
            asks("stale", 1).await.unwrap();
            asks("stale", 2).await.unwrap();
            FILLING.set(false);
            clock.advance(Duration::from_secs(120));
        }
        TAG.set(tag.to_owned());
        let arguments = format!("[{way:?}]");
        for who in ["member:1", "member:2"] {
            let call = post(&app, who, "/around", &arguments);
            let answer = if way == "late" {
                let late = async {
                    asked().await;
                    clock.advance(Duration::from_secs(10));
                };
                tokio::join!(call, late).0
            } else {
                call.await
            };
            assert_eq!(answer.body, (way == "stale").to_string(), "{way}");
        }
        assert_eq!(AROUND.get(), 2, "{way}");
        let known = cache.explain(around::key(way.to_owned()));
        assert_eq!(
            known.reason,
            Reason::NotStorable(NotStorable::Caller),
            "{way}"
        );
    };
    cache.enter(calls).await;
}

#[tokio::test]
async fn a_load_that_asked_and_came_to_nothing_makes_nothing_around_it_storable() {
    for way in ["fails", "panics", "left", "late", "stale", "response"] {
        for_nobody_else(way, "fine").await;
    }
}

#[tokio::test]
async fn nor_does_one_that_ran_for_its_caller_alone() {
    let too_long = "x".repeat(300);
    for way in ["fails", "panics", "left", "late", "stale"] {
        for_nobody_else(way, &too_long).await;
    }
}

// ---- what a caller may not drop ----

/// Puts, and puts what was begun before: how many of both were stored, and what is there then.
async fn put_twice() -> (usize, Option<u32>) {
    let cache = Cache::current().unwrap();
    let begun = cache.begin("begun");
    let stored = [
        cache.put("row", 2_u32, "1h", ["t"]),
        cache.put_from(begun, 2_u32, "1h", ["t"]),
    ];
    let refused = Some(Reason::NotStorable(NotStorable::Permission));
    assert!(
        stored
            .iter()
            .all(|put| put.is_stored() || put.why_not() == refused)
    );
    let stored = stored.iter().filter(|put| put.is_stored()).count();
    (stored, cache.get("row").await)
}

#[web_method(Permissions::Anyone)]
async fn puts() -> (usize, Option<u32>) {
    put_twice().await
}

#[web_method(Permissions::Anyone)]
async fn puts_elevated() -> (usize, Option<u32>) {
    elevate(put_twice()).await
}

#[tokio::test]
async fn who_may_not_drop_may_not_put() {
    isolated(async {
        let methods = WebMethods::new().method::<puts>().method::<puts_elevated>();
        let app = methods.authorise(authorise).build().unwrap();
        let cache = Cache::current().unwrap();
        for (who, path, came) in [
            ("", "/puts", "[0,1]"),
            ("member:1", "/puts", "[0,1]"),
            ("admin:1", "/puts", "[2,2]"),
            ("", "/puts_elevated", "[2,2]"),
        ] {
            assert!(cache.put("row", 1_u32, "1h", ["t"]).is_stored());
            assert_eq!(post(&app, who, path, "").await.body, came, "{who} {path}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_isolated_cache_is_still_inside_of_the_load() {
    isolated(async {
        let load = || async {
            let dropped = Cache::isolated(async { invalidate_cache("t").await }).await;
            dropped.map(|_| 0_u8)
        };
        let cache = Cache::current().unwrap();
        let refused = cache.fetch("row", "1h", ["t"], load);
        let refused = refused.await.unwrap_err();
        assert!(matches!(
            refused,
            InvalidateError::InsideCachedFunction { .. }
        ));
    })
    .await;
}

// ---- caches outside, and keys made of the caller ----

#[web_method(Permissions::SiteMember, cache(ttl = "1h", shared))]
async fn members() -> String {
    "for members".to_owned()
}

/// A cache around the application that is not the application's own cannot know who calls, least of all
/// where nothing in the request looks like it: it is told by the response that this is not for it.
#[tokio::test]
async fn another_cache_outside_keeps_nothing_that_is_not_for_anyone() {
    for layer in [
        CacheLayer::new(),
        CacheLayer::new().ttl("1h"),
        CacheLayer::shared_proxy(),
    ] {
        isolated(async {
            let methods = WebMethods::new().method::<members>().cache(Cache::new());
            let methods = methods.authorise(|parts| {
                let known = parts.headers.contains_key("x-session");
                async move {
                    if known {
                        Caller::member("1")
                    } else {
                        Caller::anonymous()
                    }
                }
            });
            let app = methods.build().unwrap().layer(layer.cache(Cache::new()));
            let ask = async |session: Option<&str>| {
                let mut request = Request::get("/members");
                if let Some(session) = session {
                    request = request.header("x-session", session);
                }
                send(&app, request.body(Body::empty()).unwrap()).await
            };
            let member = ask(Some("1")).await;
            assert_eq!(member.status, 200);
            let told = member.headers.get_all("cache-status").iter().next_back();
            let told = told.unwrap().to_str().unwrap();
            assert_eq!(told, "revalidate; fwd=miss; detail=no-store");
            assert_eq!(member.header("cache-control"), "private, no-store");
            assert_eq!(ask(None).await.status, 401);
        })
        .await;
    }
}

#[web_method(
    Permissions::SiteMember,
    cache(shared, ttl = "1h", key = Caller::current().is_some_and(|caller| caller.is_admin()))
)]
async fn orders() -> String {
    let caller = Caller::current().unwrap();
    caller.id().unwrap_or_default().to_owned()
}

/// A key that is made of the caller without being the caller counted as one that tells callers apart.
#[tokio::test]
async fn what_a_key_says_of_the_caller_is_not_who_that_is() {
    isolated(async {
        let methods = WebMethods::new().method::<orders>();
        let app = methods.authorise(authorise).build().unwrap();
        for who in ["member:7", "member:8"] {
            let body = post(&app, who, "/orders", "").await.body;
            assert_eq!(body, format!("\"{}\"", &who[7..]));
        }
    })
    .await;
}
