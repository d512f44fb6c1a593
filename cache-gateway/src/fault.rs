//! What a request gets that a policy ended: the gateways' fault.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

/// Why a policy ended a request.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    /// The policy's kind, in lower case.
    kind: &'static str,
    name: &'static str,
    text: String,
}

impl Fault {
    /// The name of the fault of an invalidation that its caller may not make, or not here.
    pub(crate) const REFUSED: &'static str = "InvalidationRefused";

    /// A policy failed.
    pub(crate) const fn failed(kind: &'static str, name: &'static str, text: String) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind,
            name,
            text,
        }
    }

    /// The same, with the status of what the client did.
    pub(crate) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        let body = json!({ "fault": {
            "faultstring": self.text,
            "detail": { "errorcode": format!("policies.{}.{}", self.kind, self.name) },
        } });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        for (name, value) in [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "no-store"),
        ] {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}
