//! A request on its way through: from the client to the cache, without what is for one hop alone.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use examples::origin::{failed, is_coded};
use hyper::body::Incoming;
use tower::Service;

use crate::Proxy;

const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// One request of a client's, and its response: each without what its sender told this proxy alone.
pub(crate) async fn exchange(
    mut proxy: Proxy,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    if is_coded(request.headers()) {
        return Ok(StatusCode::NOT_IMPLEMENTED.into_response());
    }
    strip(request.headers_mut());
    let answered = proxy.call(request.map(Body::new)).await;
    let mut response = answered.unwrap_or_else(failed);
    strip(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    Ok(response)
}

/// Removes what is for the next hop alone (RFC 9110, 7.6.1), and leaves the others in their order.
fn strip(headers: &mut HeaderMap) {
    let lines = headers.get_all(CONNECTION).iter();
    let named: Vec<_> = lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    let all = headers.iter();
    *headers = all
        .filter(|(name, _)| !named.contains(name) && !HOP_BY_HOP.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
}
