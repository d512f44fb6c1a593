//! What callers of web methods are told, and what they are not: refusals, challenges, panics, names.
#![cfg(feature = "web")]

mod wix_support;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use revalidate::{
    Caller, Permissions, PublicError, WebError, WebMethods, WebMethodsError, web_method,
};
use serde::Deserialize;
use wix_support::{authorise, get, isolated, post, send};

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
enum Plan {
    Public {
        months: u8,
    },
    #[expect(dead_code)]
    InternalTrial {
        secret_discount: u8,
    },
}

#[web_method(Permissions::Anyone)]
async fn subscribe(plan: Plan) -> u8 {
    match plan {
        Plan::Public { months } => months,
        Plan::InternalTrial { .. } => 0,
    }
}

#[web_method(Permissions::SiteMember, cache(ttl = "1h", shared))]
async fn panics(with_text: bool) -> u8 {
    if with_text {
        panic!("the password is x");
    }
    std::panic::panic_any(7);
}

#[web_method(Permissions::Anyone)]
async fn panics_uncached() -> u8 {
    panic!("the password is x")
}

#[web_method(Permissions::Admin)]
async fn administer() {}

struct SignInAgain;

impl WebError for SignInAgain {
    fn public(&self) -> Option<PublicError> {
        Some(PublicError::new(401, "expired", "sign in again"))
    }
}

#[web_method(Permissions::Anyone)]
async fn expired() -> Result<u8, SignInAgain> {
    Err(SignInAgain)
}

fn methods() -> WebMethods {
    WebMethods::new()
        .method::<subscribe>()
        .method::<panics>()
        .method::<panics_uncached>()
        .method::<administer>()
        .method::<expired>()
        .authorise(authorise)
}

fn app() -> Router {
    methods().build().unwrap()
}

#[tokio::test]
async fn what_is_wrong_with_an_argument_is_told_by_its_name_and_place_alone() {
    isolated(async {
        let app = app();
        for (body, told) in [
            (
                r#"["Nothing"]"#,
                "the argument `plan` is not what the web method takes, at line 1, column 9",
            ),
            (
                r#"{"plan": {"Public": {"months": 1, "more": 2}}}"#,
                "the argument `plan` is not what the web method takes, at line 1, column 31",
            ),
            ("[6", "the arguments are no JSON, at line 1, column 2"),
            ("[]", "the argument `plan` is missing"),
        ] {
            let answer = post(&app, "", "/subscribe", body).await;
            assert_eq!(answer.status, 400, "{body}");
            assert!(
                answer.body.contains(&format!("{told:?}")),
                "{}",
                answer.body
            );
        }
        let right = post(&app, "", "/subscribe", r#"[{"Public": {"months": 3}}]"#).await;
        assert_eq!(right.body, "3");
    })
    .await;
}

#[tokio::test]
async fn a_401_says_what_it_asks_for() {
    isolated(async {
        let realm = r#"Bearer realm="members", Cookie"#;
        let other = methods().challenge(realm).build().unwrap();
        for (app, challenge) in [(app(), "Bearer"), (other, realm)] {
            for answer in [
                post(&app, "", "/administer", "").await,
                get(&app, "", "/panics?args=[true]").await,
                post(&app, "", "/expired", "").await,
            ] {
                assert_eq!(answer.status, 401);
                assert_eq!(answer.header("www-authenticate"), challenge);
                assert!(answer.header("cache-control").contains("no-store"));
            }
            let forbidden = post(&app, "member:1", "/administer", "").await;
            assert_eq!(forbidden.status, 403);
            assert_eq!(forbidden.header("www-authenticate"), "");
        }
        for challenge in ["", " ", "Bearer\n", "Bearer\u{7f}"] {
            let refused = methods().challenge(challenge).build().unwrap_err();
            let expected = WebMethodsError::InvalidChallenge {
                challenge: challenge.into(),
            };
            assert_eq!(refused, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_is_a_500_and_says_nothing() {
    isolated(async {
        let app = app();
        for answer in [
            post(&app, "member:1", "/panics", "[true]").await,
            post(&app, "member:1", "/panics", "[false]").await,
            get(&app, "member:1", "/panics?args=[true]").await,
            post(&app, "", "/panics_uncached", "").await,
        ] {
            assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(answer.code(), "internal_error");
            assert!(!answer.body.contains("password"), "{}", answer.body);
            assert!(answer.header("cache-control").contains("no-store"));
        }
    })
    .await;
}

fn nobody_knows() -> Caller {
    panic!("later")
}

#[tokio::test]
async fn so_is_one_of_the_authoriser() {
    isolated(async {
        let at_once = WebMethods::new().method::<subscribe>();
        let at_once = at_once.authorise(|_| -> std::future::Ready<Caller> { panic!("at once") });
        let later = WebMethods::new().method::<subscribe>();
        let later = later.authorise(|_| async { nobody_knows() });
        for app in [at_once.build().unwrap(), later.build().unwrap()] {
            let answer = post(&app, "", "/subscribe", "[]").await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.code()),
                (500, "internal_error")
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_client_cannot_export_is_refused() {
    for name in ["then", "WebMethodError"] {
        let named = || methods().method_as::<subscribe>(name);
        let refused = named().build().unwrap_err();
        assert_eq!(refused, WebMethodsError::NotInClient { name: name.into() });
        assert!(refused.to_string().contains(name), "{refused}");
        assert!(named().without_client().build().is_ok());
    }
}

/// The limit is one of the arguments, by whatever way they come.
#[tokio::test]
async fn arguments_in_a_query_have_the_limit_of_a_body() {
    isolated(async {
        let app = methods().body_limit(8).build().unwrap();
        let fits = get(&app, "member:1", "/panics?args=%5B%20%20true%5D").await;
        assert_eq!(fits.status, 500);
        let long = get(&app, "member:1", "/panics?args=%5B%20%20%20true%5D").await;
        assert_eq!((long.status.as_u16(), &*long.code()), (414, "uri_too_long"));
        let request = Request::post("/subscribe").header("content-type", "application/json");
        let long = request.body(Body::from("[       ]")).unwrap();
        assert_eq!(send(&app, long).await.status, 413);
    })
    .await;
}
