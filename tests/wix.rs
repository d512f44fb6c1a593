//! Wix's web methods, in the order of its documentation: `webMethod`, permissions, caching,
//! `invalidateCache`, `elevate`.
#![cfg(feature = "web")]

mod wix_support;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use revalidate::{
    Cache, CacheLayer, Caller, Clock, InvalidateError, Permissions, PublicError, WebError,
    WebMethods, WebMethodsError, elevate, invalidate_cache, web_method,
};
use wix_support::{authorise, counter, get, isolated, post, send};

counter!(MULTIPLY);
/// Multiplies.
#[web_method(Permissions::Anyone, cache(tags = ["multiply", "math"], ttl = 604_800))]
async fn multiply(a: i64, b: i64) -> i64 {
    MULTIPLY.set(MULTIPLY.get() + 1);
    a * b
}

#[web_method(Permissions::Anyone)]
async fn greet(name: &str, greeting: impl Into<String>, mark: Option<char>) -> String {
    format!("{} {name}{}", greeting.into(), mark.unwrap_or('.'))
}

enum Failing {
    NoSuch(u32),
    Secret,
}

impl std::fmt::Display for Failing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the password of the database is x")
    }
}

impl WebError for Failing {
    fn public(&self) -> Option<PublicError> {
        match self {
            Self::NoSuch(id) => Some(PublicError::new(
                404,
                "no_such",
                format!("there is no {id}"),
            )),
            Self::Secret => None,
        }
    }
}

type Renamed<T> = Result<T, Failing>;

#[web_method(Permissions::Anyone)]
async fn fails(id: u32) -> Renamed<u32> {
    match id {
        0 => Err(Failing::Secret),
        1 => Ok(1),
        id => Err(Failing::NoSuch(id)),
    }
}

#[web_method(Permissions::Anyone, cache(tags = ["math"]))]
async fn unhurried() -> u32 {
    1
}

counter!(MEMBERS);
#[web_method(Permissions::SiteMember, cache(tags = ["members"], ttl = "1h", shared))]
async fn members() -> String {
    MEMBERS.set(MEMBERS.get() + 1);
    "for members".to_owned()
}

#[web_method(Permissions::Admin, cache(ttl = "1h", shared))]
async fn accounts() -> String {
    "for admins".to_owned()
}

counter!(CART);
#[web_method(Permissions::SiteMember, cache(ttl = "1h", key = (Caller::current(), page)))]
async fn cart(page: u32) -> String {
    CART.set(CART.get() + 1);
    let caller = Caller::current().unwrap();
    format!("{page} of {}", caller.id().unwrap())
}

#[web_method(Permissions::Anyone, cache(ttl = "1h"))]
async fn careless() -> Option<String> {
    tokio::task::yield_now().await;
    Caller::current().and_then(|caller| caller.id().map(str::to_owned))
}

#[web_method(Permissions::Anyone)]
async fn drop_math() -> Result<(), InvalidateError> {
    invalidate_cache("math").await.map(|_| ())
}

#[web_method(Permissions::Anyone)]
async fn drop_math_elevated() -> Result<(), InvalidateError> {
    elevate(async { invalidate_cache("math").await })
        .await
        .map(|_| ())
}

fn app() -> Router {
    let methods = WebMethods::new()
        .method::<multiply>()
        .method::<greet>()
        .method::<fails>()
        .method::<members>()
        .method::<accounts>()
        .method::<cart>()
        .method::<careless>()
        .method::<drop_math>()
        .method::<drop_math_elevated>()
        .method::<unhurried>()
        .method_as::<multiply>("times")
        .invalidate_cache_method()
        .body_limit(64)
        .authorise(authorise)
        .build();
    Router::new().nest("/f", methods.unwrap())
}

#[tokio::test]
async fn arguments_come_by_position_and_by_name() {
    isolated(async {
        let app = app();
        for body in ["[6, 7]", r#"{"b": 7, "a": 6}"#] {
            let answer = post(&app, "", "/f/multiply", body).await;
            assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "42"));
            assert_eq!(answer.header("cache-control"), "no-store");
        }
        assert_eq!(post(&app, "", "/f/times", "[6, 7]").await.body, "42");
        for (body, said) in [
            (r#"["Ada", "Hello"]"#, "Hello Ada."),
            (r#"["Ada", "Hello", null]"#, "Hello Ada."),
            (
                r#"{"name": "Ada", "greeting": "Hi", "mark": "!"}"#,
                "Hi Ada!",
            ),
        ] {
            let answer = post(&app, "", "/f/greet", body).await;
            assert_eq!(answer.body, format!("{said:?}"), "{body}");
        }
    })
    .await;
}

#[tokio::test]
async fn mistakes_are_told_by_name() {
    isolated(async {
        let app = app();
        for (body, status, code, named) in [
            ("[6]", 400, "invalid_argument", "`b` is missing"),
            (r#"[6, "x"]"#, 400, "invalid_argument", "`b`"),
            ("[6, 7, 8]", 400, "invalid_argument", "takes 2: `a`, `b`"),
            (r#"{"c": 1}"#, 400, "invalid_argument", "`c`"),
            ("6", 400, "invalid_json", "array"),
            ("[6", 400, "invalid_json", "no JSON"),
        ] {
            let answer = post(&app, "", "/f/multiply", body).await;
            assert_eq!(answer.status, status, "{body}");
            assert_eq!(answer.code(), code, "{body}");
            assert!(answer.body.contains(named), "{body}: {}", answer.body);
        }
        let long = format!("[{}6, 7]", " ".repeat(64));
        assert_eq!(post(&app, "", "/f/multiply", &long).await.status, 413);
        let plain = Request::post("/f/multiply")
            .body(Body::from("[6, 7]"))
            .unwrap();
        assert_eq!(send(&app, plain).await.status, 415);
        assert_eq!(post(&app, "", "/f/nothing", "[]").await.code(), "not_found");
        let answer = get(&app, "", "/f/greet?args=[]").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (405, "method_not_allowed".to_owned())
        );
        assert_eq!(answer.header("allow"), "POST");
        let answer = post(&app, "", "/f/fails", "[7]").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (404, "no_such".to_owned())
        );
        let answer = post(&app, "", "/f/fails", "[0]").await;
        assert_eq!(answer.status, 500);
        assert!(!answer.body.contains("password"), "{}", answer.body);
        assert_eq!(post(&app, "", "/f/fails", "[1]").await.body, "1");
    })
    .await;
}

#[tokio::test]
async fn permissions_are_checked_before_the_cache() {
    isolated(async {
        let app = app();
        for _ in 0..2 {
            for (who, expected) in [("admin:1", 200), ("member:7", 200), ("", 401)] {
                assert_eq!(
                    post(&app, who, "/f/members", "").await.status,
                    expected,
                    "{who}"
                );
                let answer = get(&app, who, "/f/members").await;
                assert_eq!(answer.status, expected, "{who}");
                assert!(answer.header("cache-control").contains("no-store"));
            }
            for (who, expected) in [("admin:1", 200), ("member:7", 403), ("", 401)] {
                assert_eq!(
                    post(&app, who, "/f/accounts", "").await.status,
                    expected,
                    "{who}"
                );
                assert_eq!(
                    get(&app, who, "/f/accounts").await.status,
                    expected,
                    "{who}"
                );
            }
        }
        assert_eq!(MEMBERS.get(), 1);
        let head = Request::head("/f/members").body(Body::empty()).unwrap();
        assert_eq!(send(&app, head).await.status, 401);
    })
    .await;
    let refused = WebMethods::new().method::<members>().build().unwrap_err();
    assert!(matches!(refused, WebMethodsError::NoAuthoriser { .. }));
    let refused = WebMethods::new()
        .method::<multiply>()
        .method::<multiply>()
        .build();
    assert!(matches!(
        refused,
        Err(WebMethodsError::DuplicateName { .. })
    ));
}

#[tokio::test]
async fn no_cache_outside_keeps_what_is_not_for_anyone() {
    for layer in [CacheLayer::new(), CacheLayer::new().ttl("1h")] {
        isolated(async {
            let app = app().layer(layer);
            for path in ["/f/members", "/f/accounts", "/f/cart?args=[1]"] {
                let (first, outsider) =
                    tokio::join!(get(&app, "admin:1", path), get(&app, "", path));
                assert_eq!(
                    (first.status.as_u16(), outsider.status.as_u16()),
                    (200, 401),
                    "{path}"
                );
                assert_eq!(get(&app, "", path).await.status, 401, "{path}");
            }
            assert_eq!(
                get(&app, "member:2", "/f/cart?args=[1]").await.body,
                "\"1 of 2\""
            );
            assert_eq!(get(&app, "member:1", "/f/careless").await.body, "\"1\"");
            assert_eq!(get(&app, "member:2", "/f/careless").await.body, "\"2\"");
        })
        .await;
    }
}

/// A response of a method is its value: the default is for what says no lifetime.
#[tokio::test]
async fn a_get_lives_as_long_as_the_methods_value() {
    let clock = Clock::manual();
    let cache = Cache::builder().clock(clock.clone()).default_life("10m");
    let asked = async {
        let app = app();
        let status = async |path| {
            get(&app, "", path).await;
            get(&app, "", path).await.header("cache-status").to_owned()
        };
        post(&app, "", "/f/multiply", "[6,7]").await;
        clock.advance(Duration::from_secs(800));
        let multiply = "/f/multiply?args=[6,7]";
        assert_eq!(status(multiply).await, "revalidate; hit; ttl=604000");
        assert_eq!(status("/f/unhurried").await, "revalidate; hit; ttl=600");
        clock.advance(Duration::from_secs(604_000));
        assert_eq!(MULTIPLY.get(), 1);
        status(multiply).await;
        assert_eq!(MULTIPLY.get(), 2);
    };
    cache.build().enter(asked).await;
}

#[tokio::test]
async fn a_layer_around_methods_stores_nothing_of_theirs() {
    isolated(async {
        let app = app().layer(CacheLayer::new().ttl("1h"));
        for _ in 0..2 {
            let answer = get(&app, "", "/f/multiply?args=[6,7]").await;
            let said = answer.headers.get_all("cache-status").iter().next_back();
            let said = said.unwrap().to_str().unwrap();
            assert!(said.ends_with("detail=stored-inside"), "{said}");
        }
        assert_eq!(MULTIPLY.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_an_invalidation_is_said() {
    isolated(async {
        let app = app();
        for (body, said) in [
            (r#"[{"tag": "math"}]"#, r#"[[{\"tag\": \"..\"}]]"#),
            (r#"[["math"]]"#, r#"[[{\"tag\": \"..\"}]]"#),
            (r#"[[{"tag": ""}]]"#, r#"the tag \"\" has 0 characters"#),
        ] {
            let answer = post(&app, "admin:1", "/f/invalidateCache", body).await;
            assert_eq!(answer.status, 400, "{body}");
            assert!(answer.body.contains(said), "{body}: {}", answer.body);
        }
    })
    .await;
}

#[tokio::test]
async fn cached_methods_answer_gets() {
    isolated(async {
        let app = app();
        let path = "/f/multiply?args=%5B6%2C9%5D";
        let first = get(&app, "", path).await;
        assert_eq!(first.body, "54");
        assert!(!first.header("etag").is_empty());
        let again = get(&app, "", path).await;
        assert!(
            again.header("cache-status").starts_with("revalidate; hit"),
            "{:?}",
            again.headers
        );
        assert_eq!(post(&app, "", "/f/multiply", "[6, 9]").await.body, "54");
        assert_eq!(MULTIPLY.get(), 1);
        let dropped = post(
            &app,
            "admin:1",
            "/f/invalidateCache",
            r#"[[{"tag": "math"}]]"#,
        )
        .await;
        assert_eq!((dropped.status.as_u16(), &*dropped.body), (200, "null"));
        let anew = get(&app, "", path).await;
        assert!(
            anew.header("cache-status").contains("fwd="),
            "{:?}",
            anew.headers
        );
        for body in ["[]", "[[]]"] {
            post(&app, "admin:1", "/f/invalidateCache", body).await;
        }
        assert!(
            get(&app, "", path)
                .await
                .header("cache-status")
                .contains("hit")
        );
        assert_eq!(
            post(&app, "member:1", "/f/invalidateCache", "[]")
                .await
                .status,
            403
        );
    })
    .await;
}

#[tokio::test]
async fn a_key_that_holds_the_caller_is_that_callers() {
    isolated(async {
        let app = app();
        for _ in 0..2 {
            for (who, said) in [("member:1", "\"5 of 1\""), ("member:2", "\"5 of 2\"")] {
                assert_eq!(post(&app, who, "/f/cart", "[5]").await.body, said);
                assert_eq!(get(&app, who, "/f/cart?args=[5]").await.body, said);
            }
        }
        assert_eq!(CART.get(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_a_load_finds_out_of_its_caller_is_given_to_nobody_else() {
    isolated(async {
        let app = app();
        let ask = |who| post(&app, who, "/f/careless", "");
        let (one, two, none) = tokio::join!(ask("member:1"), ask("member:2"), ask(""));
        assert_eq!(
            (&*one.body, &*two.body, &*none.body),
            ("\"1\"", "\"2\"", "null")
        );
        let read = |who| get(&app, who, "/f/careless");
        let (one, two) = tokio::join!(read("member:1"), read("member:2"));
        assert_eq!((&*one.body, &*two.body), ("\"1\"", "\"2\""));
        assert_eq!(one.header("cache-control"), "no-store");
        let known = Cache::current().unwrap().explain(careless::key());
        assert!(known.to_string().contains("careless"), "{known}");
        assert_eq!(known.reason.as_str(), "caller");
    })
    .await;
}

#[tokio::test]
async fn a_guarded_cache_is_invalidated_by_admins_and_the_elevated() {
    isolated(async {
        let app = app();
        for (who, path, status) in [
            ("", "/f/drop_math", 403),
            ("member:1", "/f/drop_math", 403),
            ("admin:1", "/f/drop_math", 200),
            ("", "/f/drop_math_elevated", 200),
        ] {
            assert_eq!(
                post(&app, who, path, "").await.status,
                status,
                "{who} {path}"
            );
        }
        invalidate_cache("math").await.unwrap();
    })
    .await;
}

#[derive(Clone, Copy)]
enum Verb {
    Soft,
    Hard,
    Path,
    Remove,
    Clear,
    RemoveLocal,
    ClearMemory,
    InAnotherCache,
}

async fn act(verb: Verb) -> Result<(), InvalidateError> {
    let done = match verb {
        Verb::Soft => revalidate::revalidate_tag("math"),
        Verb::Hard => invalidate_cache("math"),
        Verb::Path => revalidate::revalidate_path("/blog"),
        Verb::Remove => multiply::remove_cached(1, 2),
        Verb::Clear => Cache::current().unwrap().clear(),
        Verb::RemoveLocal => Cache::current().unwrap().remove_local("row"),
        Verb::ClearMemory => Cache::current().unwrap().clear_memory(),
        Verb::InAnotherCache => {
            let cache = Cache::current().unwrap();
            Cache::isolated(async move { cache.clear() }).await
        }
    };
    done.await.map(drop)
}

/// By every verb there is: how many of them are refused.
#[web_method(Permissions::Anyone)]
async fn try_everything() -> usize {
    let mut refused = 0;
    for verb in [
        Verb::Soft,
        Verb::Hard,
        Verb::Path,
        Verb::Remove,
        Verb::Clear,
        Verb::RemoveLocal,
        Verb::ClearMemory,
        Verb::InAnotherCache,
    ] {
        refused += usize::from(act(verb).await == Err(InvalidateError::PermissionDenied));
    }
    refused
}

#[tokio::test]
async fn every_verb_is_guarded() {
    isolated(async {
        let methods = WebMethods::new().method::<try_everything>();
        let app = methods.authorise(authorise).build().unwrap();
        for (who, refused) in [("", "8"), ("member:1", "8"), ("admin:1", "0")] {
            assert_eq!(post(&app, who, "/try_everything", "").await.body, refused);
        }
    })
    .await;
}
