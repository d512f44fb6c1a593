//! What clients get.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;

/// What a client got, read whole.
#[derive(Debug)]
pub struct Reply {
    /// 599 where the service returned an error.
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The service returned an error.
    pub failed: bool,
    /// The body broke off.
    pub cut: bool,
}

impl Reply {
    pub async fn of(response: Response<Body>) -> Self {
        let (parts, mut rest) = response.into_parts();
        let (mut body, mut cut) = (Vec::new(), false);
        while let Some(frame) = rest.frame().await {
            match frame {
                Ok(frame) => body.extend(frame.into_data().unwrap_or_default()),
                Err(_) => {
                    cut = true;
                    break;
                }
            }
        }
        Self {
            status: parts.status,
            headers: parts.headers,
            body: body.into(),
            failed: false,
            cut,
        }
    }

    pub fn failure() -> Self {
        Self {
            status: StatusCode::from_u16(599).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            failed: true,
            cut: false,
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The first line of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// All lines of a field, in their order; obs-text as UTF-8.
    pub fn lines(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.get_all(name).iter();
        lines
            .map(|line| std::str::from_utf8(line.as_bytes()).unwrap())
            .collect()
    }

    /// What the caches said, as one list.
    pub fn cache(&self) -> String {
        self.lines("cache-status").join(", ")
    }

    /// What this cache said: the last member.
    pub fn own(&self) -> String {
        let cache = self.cache();
        let at = cache.rfind(", revalidate;").map_or(0, |at| at + 2);
        cache[at..].to_owned()
    }

    /// Whether it was answered without asking the origin.
    pub fn is_hit(&self) -> bool {
        self.own().starts_with("revalidate; hit")
    }

    #[track_caller]
    pub fn assert_hit(&self) -> &Self {
        assert!(self.is_hit(), "not a hit: {self:?}");
        self
    }

    /// That the request went to the origin.
    #[track_caller]
    pub fn assert_forwarded(&self) -> &Self {
        let own = self.own();
        assert!(
            own.starts_with("revalidate; fwd="),
            "not forwarded: {self:?}"
        );
        self
    }
}
