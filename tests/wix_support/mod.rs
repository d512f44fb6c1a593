//! What the tests of web methods share: who calls, requests and answers.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros)]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, request::Parts};
use http_body_util::BodyExt;
use revalidate::{Cache, Caller};
use tower::ServiceExt;

/// Counts the loads of a function in one test, which has a thread of its own.
macro_rules! counter {
    ($name:ident) => {
        thread_local! {
            static $name: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
        }
    };
}
pub(crate) use counter;

/// Who is calling, by a header: `member:7`, `admin:1`.
async fn who(role: Option<String>) -> Caller {
    match role.as_deref().and_then(|role| role.split_once(':')) {
        Some(("member", id)) => Caller::member(id),
        Some(("admin", id)) => Caller::admin(id),
        _ => Caller::anonymous(),
    }
}

pub fn authorise(parts: &Parts) -> impl Future<Output = Caller> + Send + use<> {
    let role = parts.headers.get("x-who").and_then(|who| who.to_str().ok());
    who(role.map(str::to_owned))
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub async fn post(app: &Router, who: &str, path: &str, body: &str) -> Answer {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header("x-who", who);
    send(app, request.body(Body::from(body.to_owned())).unwrap()).await
}

pub async fn get(app: &Router, who: &str, path: &str) -> Answer {
    let request = Request::get(path).header("x-who", who);
    send(app, request.body(Body::empty()).unwrap()).await
}

pub async fn isolated(test: impl Future<Output = ()>) {
    Cache::builder()
        .guard_invalidation(true)
        .build()
        .enter(test)
        .await;
}
