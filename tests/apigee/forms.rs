//! Forms of requests: read for their parameters, and given on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Frame;
use http_body_util::BodyExt;

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

fn key() -> CacheKey {
    CacheKey::new().reference("request.formparam.client_id")
}

fn form(body: Body) -> Request {
    let request = http::Request::post("/").header("content-type", FORM);
    request.body(body).unwrap()
}

/// A body of these frames, which may not be asked again once it has ended.
struct Frames(Option<VecDeque<Frame<bytes::Bytes>>>);

impl Frames {
    fn of<const N: usize>(frames: [Frame<bytes::Bytes>; N]) -> Body {
        Body::new(Self(Some(frames.into())))
    }
}

impl http_body::Body for Frames {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Self::Error>>> {
        let frame = self.0.as_mut().expect("it has ended").pop_front();
        if frame.is_none() {
            self.0 = None;
        }
        Poll::Ready(frame.map(Ok))
    }
}

fn data(text: &'static str) -> Frame<bytes::Bytes> {
    Frame::data(text.into())
}

/// What a handler behind a policy reads of a body, each frame as text, and what it does after its end.
fn reading(proxy: &Proxy, policy: InvalidateCache) -> Router {
    let frames = any(|request: Request| async move {
        let mut body = request.into_body();
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            seen.push(match frame.unwrap().into_data() {
                Ok(data) => String::from_utf8(data.into()).unwrap(),
                Err(trailers) => format!("{} trailers", trailers.into_trailers().unwrap().len()),
            });
        }
        assert!(body.frame().await.is_none());
        seen.join("|")
    });
    let route = frames.layer(proxy.layer(policy).unwrap());
    Router::new().route("/", route)
}

#[tokio::test]
async fn forms_are_read_and_given_on() {
    let (_, proxy, _) = setup();
    let key = || CacheKey::new().reference("request.formparam.client_id");
    let made = Count::default();
    let counted = made.clone();
    let echo = any(
        move |Extension(flow): Extension<Flow>, body: String| async move {
            let token = flow.get("flow.token");
            let token = token.unwrap_or_else(|| format!("token {}", counted.up()));
            flow.set("flow.token", token.clone()).unwrap();
            format!("{token}: {body}")
        },
    );
    let app = Router::new()
        .route("/", echo)
        .layer(proxy.layer(keep(key())).unwrap())
        .layer(proxy.layer(find(key())).unwrap());
    let post = |kind: &str, body: String| {
        let request = http::Request::post("/").header("content-type", kind);
        request.body(Body::from(body)).unwrap()
    };
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let long = "x".repeat(100_000);
    for (kind, body, token) in [
        (form, "a=1&client_id=c+17", "token 1"),
        (form, "client_id=c%2017", "token 1"),
        (form, "client_id=c-18", "token 2"),
        ("text/plain", "client_id=c-18", "token 3"),
        (form, "a=1", "token 4"),
        (form, &format!("client_id=c-18&long={long}"), "token 5"),
        (form, &format!("client_id=c-18&long={long}"), "token 6"),
    ] {
        let reply = send(&app, post(kind, body.to_owned())).await;
        assert!(reply.text() == format!("{token}: {body}"), "{token}");
    }
}

/// A form that breaks off is not read as one, and its handler sees that it did.
#[tokio::test]
async fn a_form_that_breaks_off_still_does() {
    let (_, proxy, _) = setup();
    let key = CacheKey::new().reference("request.formparam.client_id");
    let route = any(
        |body: Result<String, axum::extract::rejection::StringRejection>| async move {
            body.unwrap_or_else(|_| "broken off".into())
        },
    );
    let app = Router::new().route("/", route.layer(proxy.layer(keep(key)).unwrap()));
    let (feed, body) = layer_support::fed();
    feed.send(Ok("client_id=a".into())).unwrap();
    feed.send(Err("gone")).unwrap();
    drop(feed);
    let form = "application/x-www-form-urlencoded";
    let request = http::Request::post("/").header("content-type", form);
    assert_eq!(
        send(&app, request.body(body).unwrap()).await.text(),
        "broken off"
    );
}

#[tokio::test]
async fn a_form_with_trailers_is_one() {
    let (_, proxy, _) = setup();
    let (app, _) = app(&proxy, find(key()), keep(key()));
    let ask = || async {
        send(&app, form("client_id=a".into()))
            .await
            .text()
            .to_owned()
    };
    let reading = reading(&proxy, drop_entry(key()));
    assert_eq!(ask().await, "token 1");
    assert_eq!(ask().await, "token 1");
    let trailers =
        http::HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("\"a\""))]);
    let body = Frames::of([data("client_"), data("id=a"), Frame::trailers(trailers)]);
    let reply = send(&reading, form(body)).await;
    assert_eq!(reply.text(), "client_id=a|1 trailers");
    assert_eq!(ask().await, "token 2");
}

/// A body that has ended is not asked again by us, and what holds nothing of it is not kept.
#[tokio::test]
async fn a_form_ends_once_and_empty_frames_are_none_of_it() {
    let (_, proxy, _) = setup();
    let reading = reading(&proxy, drop_entry(key()));
    let body = Frames::of([data(""), data("client_id=a"), data(""), data("&b=1")]);
    assert_eq!(send(&reading, form(body)).await.text(), "client_id=a&b=1");
    assert_eq!(send(&reading, form(Frames::of([]))).await.text(), "");
}

#[tokio::test]
async fn a_form_too_long_to_say_what_is_dropped_goes_no_further() {
    let (_, proxy, _) = setup();
    let (app, _) = app(&proxy, find(key()), keep(key()));
    let long = |most: usize| {
        let body = "client_id=a&pad=";
        format!("{body}{}", "x".repeat(most - body.len()))
    };
    let ran = Count::default();
    let changing = |policy: InvalidateCache, when: &str| {
        let ran = ran.clone();
        let route = any(move |_: String| async move { ran.up().to_string() });
        let layer = proxy.layer(policy).unwrap();
        let layer = match when {
            "" => layer,
            when => layer.when(when),
        };
        Router::new()
            .route("/", route.layer(layer))
            .layer(axum::middleware::from_fn(shown_key))
    };
    let drop = || drop_entry(key());
    send(&app, form("client_id=a".into())).await;
    let reply = send(&changing(drop(), ""), form(long((64 << 10) + 1).into())).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        reply
            .text()
            .contains("policies.invalidatecache.FormTooLarge")
    );
    assert_eq!((reply.header("x-undropped"), ran.get()), (Some("true"), 0));
    // Where it would not have dropped anything, or that is no reason to end.
    let get = r#"request.verb = "GET""#;
    send(&changing(drop(), get), form(long(70_000).into())).await;
    send(
        &changing(drop().continue_on_error(true), ""),
        form(long(70_000).into()),
    )
    .await;
    let disabled = drop().enabled(false);
    send(&changing(disabled, ""), form(long(70_000).into())).await;
    assert_eq!(ran.get(), 3);
    assert_eq!(
        send(&app, form("client_id=a".into())).await.text(),
        "token 1"
    );
    // Nor is it known before, whether this holds.
    for when in [
        "request.formparam.b is null",
        "response.status.code = 200",
        "changed = 1",
    ] {
        let reply = send(&changing(drop(), when), form(long(70_000).into())).await;
        assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE, "{when}");
    }
    send(&changing(drop(), ""), form(long(64 << 10).into())).await;
    assert_eq!(
        send(&app, form("client_id=a".into())).await.text(),
        "token 2"
    );
}
