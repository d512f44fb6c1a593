//! What a request gets that a policy ended: the gateways' fault.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
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
    /// A policy failed.
    pub(crate) const fn failed(kind: &'static str, name: &'static str, text: String) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind,
            name,
            text,
        }
    }

    /// A client asked for what it may not have.
    pub(crate) const fn forbidden(kind: &'static str, name: &'static str, text: String) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            kind,
            name,
            text,
        }
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        let body = json!({ "fault": {
            "faultstring": self.text,
            "detail": { "errorcode": format!("policies.{}.{}", self.kind, self.name) },
        } });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}
