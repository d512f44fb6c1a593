//! `Cache-Status` (RFC 9211): what the cache did with a request, said in the response.

use std::fmt::Write;

use bytes::Bytes;
use cache_core::Reason;
use cache_core::respond::Scope;
use http::header::CACHE_STATUS;
use http::{HeaderMap, HeaderValue, StatusCode};

/// Why a request went on to the inner service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forward {
    Bypass,
    Method,
    Miss,
    VaryMiss,
    Stale,
    Request,
    Partial,
}

impl Forward {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::Miss => "miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
            Self::Partial => "partial",
        }
    }
}

/// How a request was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handled {
    pub(crate) forward: Forward,
    /// What the inner service answered, where the client is shown something else.
    pub(crate) answered: Option<StatusCode>,
    pub(crate) stored: bool,
    pub(crate) collapsed: bool,
    pub(crate) detail: &'static str,
}

impl Handled {
    pub(crate) const fn passed(forward: Forward, detail: &'static str) -> Self {
        Self {
            forward,
            answered: None,
            stored: false,
            collapsed: false,
            detail,
        }
    }

    /// The value of the field.
    pub(crate) fn value(self, namespace: &str) -> HeaderValue {
        let mut text = identifier(namespace);
        let _ = write!(text, "; fwd={}", self.forward.as_str());
        if let Some(status) = self.answered {
            let _ = write!(text, "; fwd-status={}", status.as_u16());
        }
        if self.stored {
            text.push_str("; stored");
        }
        if self.collapsed {
            text.push_str("; collapsed");
        }
        let _ = write!(text, "; detail={}", self.detail);
        visible(text)
    }

    /// Adds the field to what caches nearer to the origin said.
    pub(crate) fn append(self, namespace: &str, headers: &mut HeaderMap) {
        headers.append(CACHE_STATUS, self.value(namespace));
    }
}

/// The values of `Age` and of this field for a response from the cache that stays fresh for `ttl`
/// seconds; negative, it is stale. They share their bytes, and so the count that their copies touch.
pub(crate) fn hit(
    before: Option<&str>,
    namespace: &str,
    age: u64,
    ttl: i64,
) -> (HeaderValue, HeaderValue) {
    let mut text = age.to_string();
    let digits = text.len();
    text.reserve(48);
    if let Some(before) = before {
        text.push_str(before);
        text.push_str(", ");
    }
    text.push_str(&identifier(namespace));
    let _ = write!(text, "; hit; ttl={ttl}");
    if ttl < 0 {
        text.push_str("; detail=stale");
    }
    let mut status = Bytes::from(text);
    let age = status.split_to(digits);
    (visible(age), visible(status))
}

/// Adds what the cached functions and scopes came to that the handler called: they are nearest to the
/// origin. Clients see their names alone, without modules and outer scopes: how the application is built inside is none of their concern.
pub(crate) fn append_reads(scope: &Scope, headers: &mut HeaderMap) {
    for (name, reason) in scope.said().reads {
        let own = name
            .rsplit("::")
            .next()
            .and_then(|own| own.rsplit('/').next());
        let mut text = identifier(own.unwrap_or_default());
        let _ = match reason {
            Reason::Hit => write!(text, "; hit"),
            Reason::Stale | Reason::Remote => write!(text, "; hit; detail={reason}"),
            Reason::Bypass => write!(text, "; fwd=bypass"),
            Reason::Expired | Reason::Tag => write!(text, "; fwd=stale; detail={reason}"),
            _ => write!(text, "; fwd=miss; detail={reason}"),
        };
        headers.append(CACHE_STATUS, visible(text));
    }
}

/// Says that nothing was stored for a request which wanted nothing else.
pub(crate) fn nothing_cached(namespace: &str, headers: &mut HeaderMap) {
    let mut text = identifier(namespace);
    text.push_str("; detail=only-if-cached");
    headers.append(CACHE_STATUS, visible(text));
}

/// Adds the `key` to what the layer said last (RFC 9211, section 2.7).
pub(crate) fn show_key(headers: &mut HeaderMap, key: &str) {
    add_to_last(headers, "key", &string(key));
}

/// Says of a hit that another node had loaded it.
pub(crate) fn say_remote(headers: &mut HeaderMap) {
    add_to_last(headers, "detail", "remote");
}

/// Adds a parameter to what the layer said last.
fn add_to_last(headers: &mut HeaderMap, name: &str, value: &str) {
    let mut said = headers
        .get_all(CACHE_STATUS)
        .iter()
        .cloned()
        .collect::<Vec<_>>();
    let Some(last) = said.pop() else { return };
    let mut text = last.as_bytes().to_vec();
    text.extend_from_slice(format!("; {name}={value}").as_bytes());
    said.extend(HeaderValue::from_bytes(&text));
    headers.remove(CACHE_STATUS);
    for line in said {
        headers.append(CACHE_STATUS, line);
    }
}

fn visible(text: impl Into<Bytes>) -> HeaderValue {
    HeaderValue::from_maybe_shared(text.into())
        .unwrap_or_else(|_| HeaderValue::from_static("cache"))
}

/// The cache's name as a structured field's token, or as its string where it is none.
fn identifier(namespace: &str) -> String {
    let is_token = namespace.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*')
        && namespace
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b));
    let mut text = String::with_capacity(namespace.len() + 48);
    if is_token {
        text.push_str(namespace);
        return text;
    }
    text.push_str(&string(namespace));
    text
}

/// A structured field's string; what it cannot hold becomes `?`.
fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            ' '..='~' => quoted.push(char),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

/// What upstream caches said, as one line; the field is a list.
pub(crate) fn upstream(headers: &HeaderMap) -> Option<Box<str>> {
    let lines: Vec<&str> = headers
        .get_all(CACHE_STATUS)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    if lines.is_empty() {
        None
    } else {
        Some(lines.join(", ").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let (age, status) = hit(None, "revalidate", 18, 42);
        assert_eq!(age, "18");
        assert_eq!(status, "revalidate; hit; ttl=42");
        let (age, status) = hit(Some("up; hit"), "revalidate", 0, -1);
        assert_eq!(age, "0");
        assert_eq!(status, "up; hit, revalidate; hit; ttl=-1; detail=stale");
        let miss = Handled {
            stored: true,
            ..Handled::passed(Forward::Miss, "never-stored")
        };
        assert_eq!(
            miss.value("revalidate"),
            "revalidate; fwd=miss; stored; detail=never-stored"
        );
        let failed = Handled {
            answered: Some(StatusCode::BAD_GATEWAY),
            ..Handled::passed(Forward::Stale, "expired")
        };
        assert_eq!(
            failed.value("a b\"\u{e9}\r\n"),
            "\"a b\\\"???\"; fwd=stale; fwd-status=502; detail=expired"
        );
    }
}
