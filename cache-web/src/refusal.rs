//! What a caller is told instead of a value: a status, a code for programs, a message for people.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use cache_core::spi::web::Failure;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Why a call is not answered with a value.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    /// For the log.
    details: Option<String>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            details: None,
        }
    }

    /// What the caller did wrong with an argument.
    pub(crate) fn argument(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_argument", message)
    }

    /// What went wrong here: its details are for the log alone.
    pub(crate) fn internal(details: Option<String>) -> Self {
        let mut refusal = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "the web method failed",
        );
        refusal.details = details;
        refusal
    }

    pub(crate) fn failed(failure: Failure) -> Self {
        let mut refusal = Self::internal(failure.details);
        if let Some(public) = failure.public {
            refusal.status =
                StatusCode::from_u16(public.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            refusal.code = public.code().to_owned().into();
            refusal.message = public.message().to_owned().into();
        }
        refusal
    }

    /// Tells the log what only it is told.
    pub(crate) fn log(self, method: &str) -> Self {
        #[cfg(feature = "tracing")]
        if self.status.is_server_error() {
            let details = self.details.as_deref().unwrap_or("no details");
            tracing::error!(method, code = &*self.code, details, "a web method failed");
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (method, &self.details);
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "code": self.code, "message": self.message }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        response
    }
}
