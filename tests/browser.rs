//! The JavaScript client in a browser: a page imports it from the server, calls methods, and shows what came of it.
//!
//! In the first test the server's side is written out, so that each request that the client sends is seen;
//! in the second it is the mounted methods themselves.
#![cfg(feature = "web")]

mod browser_support;

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use browser_support::{document, text_of};
use cache_web::client::{Signature, routes};
use revalidate::{Cache, CacheLayer, Caller, Permissions, WebMethods, web_method};
use serde_json::{Value, json};
use tower::ServiceExt;

/// What the server was asked, in order: method, path and whether the cookie came along.
type Asked = Arc<Mutex<Vec<String>>>;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<pre id="exports"></pre>
<pre id="outcomes">the script has not run</pre>
<script type="module">
import * as methods from "/site/methods/client.js?v=1";
import { echo, delete as remove, "price-of" as priceOf, fetch as ours, globalThis as strange } from "/site/methods/client.js";

const outcomes = {};
async function note(name, call) {
  try {
    outcomes[name] = { value: await call() };
  } catch (error) {
    const { name: kind, status, code, message } = error;
    outcomes[name] = { kind, ours: error instanceof methods.WebMethodError, status, code, message };
  }
}
await note("get", () => echo("ü & ?#/", null, { deep: [1.5] }));
await note("missing", () => echo("one"));
await note("long", async () => (await echo("x".repeat(9000)))[0].length);
await note("post", () => remove(7));
await note("priceOf", () => priceOf("chair"));
await note("shadows", async () => [await ours(1), await strange(2)]);
await note("refused", () => methods.refused());
await note("empty", () => methods.empty());
await note("text", () => methods.text());
await note("elsewhere", () => methods.elsewhere());
document.getElementById("outcomes").textContent = JSON.stringify(outcomes);
document.getElementById("exports").textContent = Object.keys(methods).join(" ");
</script>
"#;

fn signature(name: &'static str, is_cached: bool) -> Signature<'static> {
    Signature {
        name,
        docs: "Ends */ early.",
        arguments: vec![
            ("new", "unknown".into()),
            ("b", "unknown".into()),
            ("c", "unknown".into()),
        ],
        returns: "unknown".into(),
        is_cached,
    }
}

async fn method(
    State(asked): State<Asked>,
    Path(name): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signed_in = headers
        .get(COOKIE)
        .is_some_and(|cookie| cookie == "session=7");
    let cookie = if signed_in { "cookie" } else { "" };
    asked
        .lock()
        .unwrap()
        .push(format!("{method} {name} {cookie}"));
    let arguments: Value = if method == Method::GET {
        let query: Vec<(String, String)> = axum::extract::Query::try_from_uri(&uri).unwrap().0;
        serde_json::from_str(&query[0].1).unwrap()
    } else {
        assert_eq!(headers["content-type"], "application/json");
        serde_json::from_slice(&body).unwrap()
    };
    match name.as_str() {
        "refused" => (
            StatusCode::FORBIDDEN,
            Json(json!({ "code": "forbidden", "message": "not <you> & yours" })),
        )
            .into_response(),
        "empty" => Json(Value::Null).into_response(),
        "text" => (StatusCode::BAD_GATEWAY, "a proxy's page").into_response(),
        // Another site, which no page here may read from.
        "elsewhere" => (
            StatusCode::TEMPORARY_REDIRECT,
            [("location", "http://127.0.0.1:9/")],
        )
            .into_response(),
        _ => Json(arguments).into_response(),
    }
}

/// The site, and the address where it listens until the runtime ends.
async fn site() -> (String, Asked) {
    let asked = Asked::default();
    let names = [
        ("echo", true),
        ("delete", false),
        ("price-of", true),
        ("fetch", false),
        ("globalThis", true),
    ];
    let fail = [
        ("refused", true),
        ("empty", false),
        ("text", false),
        ("elsewhere", false),
    ];
    let signatures: Vec<_> = names
        .into_iter()
        .chain(fail)
        .map(|(name, cached)| signature(name, cached))
        .collect();
    let methods = routes(&signatures, CacheLayer::new().cache(Cache::new())).merge(
        Router::new()
            .route("/{name}", any(method))
            .with_state(Arc::clone(&asked)),
    );
    let page = get(|| async {
        (
            [(SET_COOKIE, "session=7; HttpOnly; SameSite=Strict")],
            Html(PAGE),
        )
    });
    let app = Router::new()
        .route("/", page)
        .nest("/site/methods", methods);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    (format!("http://{address}"), asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_calls_methods_as_functions() {
    let (url, asked) = site().await;
    let document = tokio::task::spawn_blocking(move || document(&url))
        .await
        .unwrap();
    assert_eq!(
        text_of(&document, "exports"),
        "WebMethodError delete echo elsewhere empty fetch globalThis price-of refused text"
    );
    let outcomes: Value = serde_json::from_str(&text_of(&document, "outcomes"))
        .unwrap_or_else(|_| panic!("{document}"));
    assert_eq!(
        outcomes,
        json!({
            "get": { "value": ["ü & ?#/", null, { "deep": [1.5] }] },
            "missing": { "value": ["one", null, null] },
            "long": { "value": 9000 },
            "post": { "value": [7, null, null] },
            "priceOf": { "value": ["chair", null, null] },
            "shadows": { "value": [[1, null, null], [2, null, null]] },
            "refused": { "kind": "WebMethodError", "ours": true, "status": 403, "code": "forbidden", "message": "not <you> & yours" },
            "empty": { "value": null },
            "text": { "kind": "WebMethodError", "ours": true, "status": 502, "code": "not_json", "message": "text answered 502, and no JSON" },
            "elsewhere": { "kind": "WebMethodError", "ours": true, "status": 0, "code": "unreachable", "message": "elsewhere was not reached: Failed to fetch" },
        })
    );
    assert_eq!(
        *asked.lock().unwrap(),
        [
            "GET echo cookie",
            "GET echo cookie",
            "POST echo cookie",
            "POST delete cookie",
            "GET price-of cookie",
            "POST fetch cookie",
            "GET globalThis cookie",
            "GET refused cookie",
            "POST empty cookie",
            "POST text cookie",
            "POST elsewhere cookie",
        ]
    );
}

#[tokio::test]
async fn both_files_have_their_type_and_a_validator() {
    let app = routes(
        &[signature("echo", true)],
        CacheLayer::new().cache(Cache::new()),
    );
    for (path, kind, words) in [
        (
            "/client.js",
            "text/javascript; charset=utf-8",
            "export async function echo(new_, b, c)",
        ),
        (
            "/client.d.ts",
            "text/plain; charset=utf-8",
            "export declare function echo(new_: unknown, b: unknown, c: unknown): Promise<unknown>;",
        ),
    ] {
        let ask = async |validator: &str| {
            let request = http::Request::get(path).header("if-none-match", validator);
            let request = request
                .header("authorization", "Bearer x")
                .body(axum::body::Body::empty())
                .unwrap();
            app.clone().oneshot(request).await.unwrap()
        };
        let first = ask("\"other\"").await;
        assert_eq!(first.headers()["content-type"], kind);
        assert_eq!(first.headers()["cache-control"], "no-cache");
        let validator = first.headers()["etag"].to_str().unwrap().to_owned();
        let text = axum::body::to_bytes(first.into_body(), 1 << 20)
            .await
            .unwrap();
        assert!(std::str::from_utf8(&text).unwrap().contains(words));
        assert_eq!(ask(&validator).await.status(), StatusCode::NOT_MODIFIED);
    }
}

/// The product.
#[web_method(Permissions::Anyone, cache(tags = ["math"], ttl = 60))]
async fn multiply(a: i64, b: Option<i64>) -> i64 {
    a * b.unwrap_or(2)
}

/// For administrators' eyes.
#[web_method(Permissions::Admin)]
async fn delete(id: u64) -> Result<Value, String> {
    Ok(json!({ "deleted": id }))
}

const METHODS_PAGE: &str = r#"<!doctype html>
<pre id="outcomes">the script has not run</pre>
<script type="module">
import { multiply, delete as remove } from "/methods/client.js";
const outcomes = [];
for (const call of [() => multiply(6, 7), () => multiply(6), () => multiply("six"), () => remove(7)]) {
  try {
    outcomes.push(await call());
  } catch ({ status, code, message }) {
    outcomes.push({ status, code, names: message.includes("`a`") });
  }
}
document.getElementById("outcomes").textContent = JSON.stringify(outcomes);
</script>
"#;

fn mounted() -> WebMethods {
    WebMethods::new()
        .method::<multiply>()
        .method::<delete>()
        .cache(Cache::new())
        .authorise(|_| async { Caller::anonymous() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_calls_the_methods_that_are_mounted() {
    let app = Router::new()
        .route("/", get(|| async { Html(METHODS_PAGE) }))
        .nest("/methods", mounted().build().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    let document = tokio::task::spawn_blocking(move || document(&url))
        .await
        .unwrap();
    let outcomes: Value = serde_json::from_str(&text_of(&document, "outcomes"))
        .unwrap_or_else(|_| panic!("{document}"));
    assert_eq!(
        outcomes,
        json!([
            42,
            12,
            { "status": 400, "code": "invalid_argument", "names": true },
            { "status": 401, "code": "unauthenticated", "names": false },
        ])
    );
}

#[tokio::test]
async fn the_client_says_what_is_mounted_and_keeps_other_documentation_to_itself() {
    let text = async |methods: WebMethods, path: &str| {
        let request = http::Request::get(path).body(axum::body::Body::empty());
        let response = methods.build().unwrap().oneshot(request.unwrap()).await;
        let response = response.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
        (status, String::from_utf8(body.unwrap().to_vec()).unwrap())
    };
    let (_, types) = text(mounted(), "/client.d.ts").await;
    for words in [
        "The product.",
        "multiply(a: number, b?: number | null): Promise<number>;",
        "(id: number): Promise<unknown>;",
    ] {
        assert!(types.contains(words), "{types}");
    }
    assert!(!types.contains("administrators"), "{types}");
    let (status, _) = text(mounted().without_client(), "/client.js").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let taken = mounted().method_as::<multiply>("client.js").build();
    assert!(taken.unwrap_err().to_string().contains("client.js"));
}
