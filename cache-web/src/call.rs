//! One call: its arguments read from a POST's body or a GET's query, and its value written.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use cache_core::spi::web::Calling;
use cache_tower::spi::as_inside;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::json::{Arguments, Json};
use crate::refusal::{JSON, NO_STORE, Refusal, caught};

/// A method as it is called.
#[derive(Clone, Copy)]
pub(crate) struct Callee {
    pub(crate) parameters: &'static [&'static str],
    pub(crate) call: fn(Arguments) -> Calling<Json>,
}

/// Answers a POST: nobody keeps its response.
pub(crate) async fn post(callee: Callee, name: &str, limit: usize, request: Request) -> Response {
    let arguments = read_body(request, limit).await;
    let mut response = answer(name, arguments, callee).await;
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// Answers a GET of a cached method: its response may be kept for as long as the method's value.
pub(crate) async fn get(callee: Callee, name: &str, limit: usize, request: Request) -> Response {
    let arguments = read_query(request.uri().query().unwrap_or_default(), limit);
    let mut response = answer(name, arguments, callee).await;
    if response.status() == StatusCode::OK {
        response.extensions_mut().insert(as_inside());
    }
    response
}

async fn answer(name: &str, text: Result<impl AsRef<[u8]>, Refusal>, callee: Callee) -> Response {
    let called = caught(async {
        let arguments = Arguments::read(text?.as_ref(), callee.parameters)?;
        (callee.call)(arguments).await
    });
    match called.await.unwrap_or_else(Err) {
        Ok(value) => {
            let mut response = Response::new(Body::from(value));
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            response
        }
        Err(refusal) => refusal.log(name).into_response(),
    }
}

async fn read_body(request: Request, limit: usize) -> Result<bytes::Bytes, Refusal> {
    // A page of another site can send forms and plain text as its visitor, and this not unasked.
    if !is_json(request.headers()) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the arguments are sent as `Content-Type: application/json`",
        ));
    }
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_long(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            limit,
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "body_broken_off",
            "the arguments did not come to their end",
        )),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn too_long(status: StatusCode, code: &'static str, limit: usize) -> Refusal {
    let message = format!("the arguments are longer than {limit} bytes");
    Refusal::new(status, code, message)
}

fn read_query(query: &str, limit: usize) -> Result<String, Refusal> {
    let mut arguments = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "args" || arguments.is_some() {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "invalid_query",
                "the query is `args=`, once, with the arguments as percent-encoded JSON",
            ));
        }
        if value.len() > limit {
            return Err(too_long(StatusCode::URI_TOO_LONG, "uri_too_long", limit));
        }
        arguments = Some(value.into_owned());
    }
    Ok(arguments.unwrap_or_default())
}
