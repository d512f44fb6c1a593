//! An origin: where requests go on to, and its responses as they come.

use std::io::{Write, stderr};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, VIA};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, Version};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// The most fields of a head, either way.
pub const MAX_HEADERS: usize = 1000;

/// Whether the body is in a coding that hyper leaves on it.
#[must_use]
pub fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// What a client gets where the origin gave no answer.
pub fn failed(error: BoxError) -> Response {
    // Nobody may be reading it any more.
    let _ = writeln!(stderr(), "the origin failed: {error}");
    if error.is::<Elapsed>() {
        StatusCode::GATEWAY_TIMEOUT.into_response()
    } else {
        StatusCode::BAD_GATEWAY.into_response()
    }
}

/// Where requests go on to, each over a connection of its own, once. The origin may close one that is
/// kept while the next request is on its way, and then nobody knows whether it has seen that one.
#[derive(Clone, Debug)]
pub struct Origin {
    address: String,
    host: HeaderValue,
    /// How long the head of a response may take.
    patience: Duration,
}

impl Origin {
    /// One at `http://host` or `http://host:port`.
    ///
    /// # Errors
    ///
    /// Where the URL is none of these.
    pub fn new(url: &Uri, patience: Duration) -> Result<Self, String> {
        let wrong = || format!("ORIGIN {url}: not http://host or http://host:port");
        let bare = url.scheme_str() == Some("http") && url.path() == "/" && url.query().is_none();
        let authority = url.authority().filter(|_| bare).ok_or_else(wrong)?;
        let (host, port) = (authority.host(), authority.port_u16());
        let address = format!("{host}:{}", port.unwrap_or(80));
        let host = port.map_or(host, |_| &address).parse();
        Ok(Self {
            host: host.map_err(|_| wrong())?,
            address,
            patience,
        })
    }

    /// The origin's response as it comes.
    ///
    /// # Errors
    ///
    /// What kept it from coming; [`Elapsed`] where it took too long.
    pub async fn send(self, mut request: Request) -> Result<Response<Incoming>, BoxError> {
        *request.version_mut() = Version::HTTP_11;
        if let Some(target) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = target.into();
        }
        let unmeasured = !request.body().is_end_stream();
        let headers = request.headers_mut();
        if unmeasured && !headers.contains_key(CONTENT_LENGTH) {
            // Said, so that hyper leaves no GET's body out.
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        headers.insert(HOST, self.host.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.append(VIA, HeaderValue::from_static("1.1 revalidate"));

        let mut response = timeout(self.patience, self.exchange(request)).await??;
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        if switched || is_coded(headers) {
            return Err("it answered as nobody asked it to".into());
        }
        if headers.contains_key(TRANSFER_ENCODING) {
            // Which of the two lengths holds (RFC 9112, 6.3).
            headers.remove(CONTENT_LENGTH);
        }
        Ok(response)
    }

    /// The same from a handler, which cannot fail.
    pub async fn answer(self, request: Request) -> Response {
        match self.send(request).await {
            // A router says the length of what it can measure. It can measure nothing for a HEAD or a 304.
            Ok(response) if response.body().is_end_stream() => {
                response.map(|none| Body::from_stream(Body::new(none).into_data_stream()))
            }
            Ok(response) => response.map(Body::new),
            Err(error) => failed(error),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Response<Incoming>, BoxError> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            // Both are for a proxy to put right (RFC 9112, 5.1 and 5.2).
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(stream))
            .await?;
        // How it ends is told by the response and its body.
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }
}
