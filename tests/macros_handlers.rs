//! axum handlers under `#[web_method]`: extractors as keys, responses as values, companions by
//! extractor, and what is not stored.
#![cfg(feature = "axum")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::body::Body;
use axum::extract::{MatchedPath, OriginalUri, Path, Query, RawQuery, State};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, StreamExt};
use http_body_util::BodyExt;
use revalidate::{Cache, CacheKey, CacheTags, web_method};
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

/// Counts the loads of each handler.
#[derive(Clone, Default)]
struct Loads(Arc<AtomicUsize>);

impl Loads {
    fn count(&self) -> usize {
        self.0.fetch_add(1, SeqCst)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, CacheTags)]
#[cache_tags("contact:{id}")]
struct Contact {
    id: i64,
    name: String,
}

#[derive(Debug)]
struct AppError;

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        StatusCode::NOT_FOUND.into_response()
    }
}

#[web_method(cache(tags = ["contacts", "by-id:{id}"], ttl = "1h"))]
async fn contact(
    State(loads): State<Loads>,
    Path(id): Path<i64>,
) -> Result<Json<Contact>, AppError> {
    let n = loads.count();
    if id < 0 {
        return Err(AppError);
    }
    Ok(Json(Contact {
        id,
        name: format!("load {n}"),
    }))
}

#[derive(Deserialize, Serialize)]
struct Filter {
    q: String,
    #[serde(default)]
    page: u32,
}

#[axum::debug_handler]
#[web_method(cache(tags = ["contacts"], ttl = "1h"))]
async fn search(
    State(loads): State<Loads>,
    Query(Filter { q, page }): Query<Filter>,
    method: Method,
    OriginalUri(_uri): OriginalUri,
    _path: MatchedPath,
    RawQuery(_raw): RawQuery,
    extra: Query<HashMap<String, String>>,
) -> impl IntoResponse {
    let n = loads.count();
    let extra = extra.len();
    (
        [(header::CACHE_CONTROL, "max-age=5")],
        format!("{method} {q} {page} {extra} {n}"),
    )
}

#[web_method(cache(ttl = "1h"))]
#[axum::debug_handler]
async fn page(State(loads): State<Loads>, id: Option<Path<u32>>) -> (StatusCode, Html<String>) {
    let n = loads.count();
    let id = id.map_or(0, |Path(id)| id);
    let status = StatusCode::from_u16(u16::try_from(id).unwrap()).unwrap_or(StatusCode::OK);
    (status, Html(n.to_string()))
}

#[web_method(cache(ttl = "1h"))]
async fn made(State(loads): State<Loads>, Path(kind): Path<String>) -> Response {
    let n = loads.count().to_string();
    match kind.as_str() {
        "cookie" => ([(header::SET_COOKIE, "a=b")], n).into_response(),
        "private" => ([(header::CACHE_CONTROL, "max-age=3, Private")], n).into_response(),
        "missing" => (StatusCode::NOT_FOUND, n).into_response(),
        "gone" => (StatusCode::GONE, [(header::CACHE_CONTROL, "max-age=9")], n).into_response(),
        "large" => Response::new(Body::from("x".repeat(3 << 20) + &n)),
        "chunks" => streamed(vec!["a".into(), "b".into(), n], End::Ends),
        "many" => {
            let mut chunks = vec!["x".repeat(1 << 20); 3];
            chunks.push(n);
            streamed(chunks, End::Ends)
        }
        "failing" => streamed(vec![n], End::Fails),
        "endless" => streamed(vec![n], End::Never),
        _ => n.into_response(),
    }
}

/// What comes after the last chunk.
enum End {
    Ends,
    Fails,
    Never,
}

/// A body of unknown length.
fn streamed(chunks: Vec<String>, end: End) -> Response {
    let chunks = stream::iter(chunks).map(Ok::<_, std::io::Error>);
    let end = match end {
        End::Ends => stream::empty().boxed(),
        End::Fails => stream::iter([Err(std::io::Error::other("cut"))]).boxed(),
        End::Never => stream::pending().boxed(),
    };
    Response::new(Body::from_stream(chunks.chain(end)))
}

#[web_method(cache(ttl = "1h"))]
async fn fallible(
    State(loads): State<Loads>,
    Path(ok): Path<bool>,
) -> Result<impl IntoResponse, AppError> {
    let n = loads.count();
    if ok {
        Ok((StatusCode::CREATED, n.to_string()))
    } else {
        Err(AppError)
    }
}

#[web_method(cache(ttl = "1h", timeout = "2h"))]
async fn posted(
    #[cache(key = headers.get("accept-language").map(|v| v.as_bytes()))] headers: HeaderMap,
    State(loads): State<Loads>,
    Json(contact): Json<Contact>,
) -> Result<Response, AppError> {
    let n = loads.count();
    Ok(format!("{} {} {n}", contact.name, headers.len()).into_response())
}

fn app(loads: &Loads) -> Router {
    Router::new()
        .route("/contacts/{id}", get(contact))
        .route("/search", get(search))
        .route("/page", get(page))
        .route("/page/{id}", get(page))
        .route("/made/{kind}", get(made))
        .route("/fallible/{ok}", get(fallible))
        .route("/posted", post(posted))
        .with_state(loads.clone())
}

async fn send(app: &Router, request: Request<Body>) -> Response {
    app.clone().oneshot(request).await.unwrap()
}

async fn text(app: &Router, path: &str) -> (u16, String) {
    let response = send(app, Request::get(path).body(Body::empty()).unwrap()).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn isolated<F: Future>(test: impl FnOnce(Loads, Router) -> F) -> F::Output {
    let loads = Loads::default();
    let app = app(&loads);
    Cache::builder().build().enter(test(loads, app)).await
}

#[tokio::test]
async fn state_is_not_in_the_key_and_the_path_is() {
    isolated(|_, app| async move {
        let first = text(&app, "/contacts/7").await;
        assert_eq!(first.1, r#"{"id":7,"name":"load 0"}"#);
        assert_eq!(text(&app, "/contacts/7").await, first);
        assert_ne!(text(&app, "/contacts/8").await.1, first.1);
        contact::remove_cached(Path(7)).await.unwrap();
        assert_eq!(
            text(&app, "/contacts/7").await.1,
            r#"{"id":7,"name":"load 2"}"#
        );
        // By the tag of the argument, and by the one that the value itself has.
        revalidate::invalidate_cache("by-id:7").await.unwrap();
        assert_eq!(
            text(&app, "/contacts/7").await.1,
            r#"{"id":7,"name":"load 3"}"#
        );
        revalidate::invalidate_cache("contact:7").await.unwrap();
        assert_eq!(
            text(&app, "/contacts/7").await.1,
            r#"{"id":7,"name":"load 4"}"#
        );
        // Errors are not kept.
        assert_eq!(text(&app, "/contacts/-1").await.0, 404);
        assert_eq!(text(&app, "/contacts/-1").await.0, 404);
        assert_eq!(
            text(&app, "/contacts/9").await.1,
            r#"{"id":9,"name":"load 7"}"#
        );
    })
    .await;
}

#[tokio::test]
async fn every_extractor_in_the_key_tells_calls_apart() {
    isolated(|_, app| async move {
        let first = text(&app, "/search?q=a").await;
        assert_eq!(first, (200, "GET a 0 1 0".to_owned()));
        assert_eq!(text(&app, "/search?q=a").await, first);
        assert_eq!(text(&app, "/search?q=a&page=1").await.1, "GET a 1 2 1");
        let response = send(
            &app,
            Request::get("/search?q=a").body(Body::empty()).unwrap(),
        )
        .await;
        assert_eq!(response.headers()["cache-control"], "max-age=5");
        revalidate::invalidate_cache("contacts").await.unwrap();
        assert_eq!(text(&app, "/search?q=a").await.1, "GET a 0 1 2");
    })
    .await;
}

#[tokio::test]
async fn a_status_in_a_tuple_decides_too() {
    isolated(|_, app| async move {
        assert_eq!(text(&app, "/page").await, (200, "0".into()));
        assert_eq!(text(&app, "/page").await, (200, "0".into()));
        assert_eq!(text(&app, "/page/404").await, (404, "1".into()));
        assert_eq!(text(&app, "/page/404").await, (404, "2".into()));
        assert_eq!(text(&app, "/page/201").await, (201, "3".into()));
        assert_eq!(text(&app, "/page/201").await, (201, "3".into()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_response_is_decides_whether_it_is_kept() {
    isolated(|_, app| async move {
        for kind in ["plain", "gone", "chunks"] {
            let path = format!("/made/{kind}");
            let first = text(&app, &path).await;
            assert_eq!(text(&app, &path).await, first, "{kind}");
        }
        for kind in ["cookie", "private", "missing", "large", "many"] {
            let path = format!("/made/{kind}");
            let first = text(&app, &path).await;
            assert_ne!(text(&app, &path).await, first, "{kind}");
            assert!(!first.1.is_empty());
        }
        let (_, large) = text(&app, "/made/large").await;
        assert!(large.len() > 3 << 20 && large.starts_with('x') && !large.ends_with('x'));
        let (_, many) = text(&app, "/made/many").await;
        assert!(many.len() > 3 << 20 && many.starts_with('x') && !many.ends_with('x'));
        for _ in 0..2 {
            let response = send(
                &app,
                Request::get("/made/failing").body(Body::empty()).unwrap(),
            )
            .await;
            assert!(response.into_body().collect().await.is_err());
        }
        // What never ends reaches its caller all the same.
        let response = send(
            &app,
            Request::get("/made/endless").body(Body::empty()).unwrap(),
        )
        .await;
        let frame = response.into_body().frame().await.unwrap().unwrap();
        assert!(frame.into_data().unwrap().iter().all(u8::is_ascii_digit));
    })
    .await;
}

#[tokio::test]
async fn results_of_responses() {
    isolated(|loads, app| async move {
        assert_eq!(text(&app, "/fallible/true").await, (201, "0".into()));
        assert_eq!(text(&app, "/fallible/true").await, (201, "0".into()));
        assert_eq!(text(&app, "/fallible/false").await.0, 404);
        assert_eq!(text(&app, "/fallible/false").await.0, 404);
        assert_eq!(loads.0.load(SeqCst), 3);
    })
    .await;
}

#[tokio::test]
async fn a_decision_puts_one_header_into_the_key() {
    isolated(|_, app| async move {
        let post = async |language: &str, agent: &str| {
            let request = Request::post("/posted")
                .header("content-type", "application/json")
                .header("accept-language", language)
                .header("user-agent", agent)
                .body(Body::from(r#"{"id":1,"name":"ann"}"#))
                .unwrap();
            let response = send(&app, request).await;
            response.into_body().collect().await.unwrap().to_bytes()
        };
        assert_eq!(post("de", "a").await, "ann 3 0");
        assert_eq!(post("de", "b").await, "ann 3 0");
        assert_eq!(post("fr", "b").await, "ann 3 1");
    })
    .await;
}

/// serde is not shown its page; a derived key holds it.
#[derive(Deserialize, Serialize, CacheKey)]
struct Hidden {
    text: String,
    #[serde(skip_serializing)]
    page: u8,
}

#[web_method(cache(ttl = "1h"))]
async fn hidden(Query(Hidden { text, page }): Query<Hidden>) -> String {
    format!("{text} {page}")
}

#[tokio::test]
async fn a_derived_key_holds_what_serde_is_not_shown() {
    isolated(|_, _| async {
        let app = Router::new().route("/", get(hidden));
        assert_eq!(text(&app, "/?text=a&page=1").await.1, "a 1");
        assert_eq!(text(&app, "/?text=a&page=2").await.1, "a 2");
    })
    .await;
}

/// What one of several tenants is served from.
#[derive(Clone)]
struct Tenant {
    name: &'static str,
    loads: Loads,
}

#[web_method(cache(ttl = "1h"))]
async fn home(
    #[cache(key = tenant.name)] State(tenant): State<Tenant>,
    Path(page): Path<u8>,
) -> String {
    format!("{} {page} {}", tenant.name, tenant.loads.count())
}

#[web_method(cache(ttl = "1h", key = (tenant.name, id)))]
async fn by_key(
    State(tenant): State<Tenant>,
    Path(id): Path<u8>,
    #[cache(skip)] RawQuery(query): RawQuery,
) -> String {
    format!("{} {id} {}", tenant.name, query.unwrap_or_default())
}

#[tokio::test]
async fn a_key_tells_states_apart() {
    isolated(|loads, _| async move {
        let app = |name| {
            let loads = loads.clone();
            Router::new()
                .route("/{page}", get(home))
                .route("/key/{id}", get(by_key))
                .with_state(Tenant { name, loads })
        };
        let (a, b) = (app("a"), app("b"));
        for _ in 0..2 {
            assert_eq!(text(&a, "/1").await.1, "a 1 0");
            assert_eq!(text(&b, "/1").await.1, "b 1 1");
            assert_eq!(text(&a, "/key/1?x").await.1, "a 1 x");
            assert_eq!(text(&b, "/key/1?y").await.1, "b 1 y");
        }
        assert_eq!(text(&a, "/key/1?z").await.1, "a 1 x");
        let tenant = Tenant { name: "a", loads };
        home::remove_cached(State(tenant), Path(1)).await.unwrap();
        assert_eq!(text(&a, "/1").await.1, "a 1 2");
        assert_eq!(text(&b, "/1").await.1, "b 1 1");
    })
    .await;
}
