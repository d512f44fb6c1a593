//! Putting parts of one response together (RFC 9111, section 3.4, and RFC 9110, section 15.3.7.3): one
//! that is stored, and one that an answer adds. They are of one response only where both have the
//! same strong validator.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};

use crate::range::Part;
use crate::stored::{Stored, clean, without};
use crate::validation::update;

/// A part that is stored, and that another can be joined to.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    etag: HeaderValue,
    part: Part,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Piece {
    /// `None` where it is no part, or nothing tells what other parts are of the same response.
    pub(crate) fn of(stored: &Stored) -> Option<Self> {
        let part = stored.terms.part?;
        let copied = stored.copy();
        let etag = copied.headers.get(ETAG).filter(|etag| is_strong(etag))?;
        Some(Self {
            etag: etag.clone(),
            part,
            headers: copied.headers,
            body: copied.body,
        })
    }

    pub(crate) const fn is_beginning(&self) -> bool {
        self.part.first == 0
    }

    /// Asks for all that follows it; for the whole, where it is not of the current response.
    pub(crate) fn ask_for_rest(&self, request: &mut HeaderMap) {
        request.insert(RANGE, rest(self.part.last + 1));
        request.insert(IF_RANGE, self.etag.clone());
    }

    /// The part that a 206 with these headers is, where it is one of the same response.
    fn fellow(&self, answer: &HeaderMap) -> Option<Part> {
        let part = Part::of(answer)?;
        let same = self.part.total == part.total && answer.get(ETAG) == Some(&self.etag);
        same.then_some(part)
    }

    /// Whether a 206 with these headers has all that follows it, and no more.
    pub(crate) fn is_gone_on_with_by(&self, answer: &HeaderMap) -> bool {
        self.fellow(answer).is_some_and(|rest| {
            rest.first == self.part.last + 1 && rest.length() == rest.total - rest.first
        })
    }

    /// With what a 206 with these headers says, where it is of the same response.
    pub(crate) fn updated_by(&self, answer: &HeaderMap) -> Option<Self> {
        self.fellow(answer)?;
        let mut answer = answer.clone();
        clean(&mut answer);
        let mut updated = self.clone();
        update(&mut updated.headers, &answer);
        Some(updated)
    }

    /// The headers of the whole.
    pub(crate) fn headers_of_whole(&self) -> HeaderMap {
        let mut headers = without(&self.headers, |name| *name == CONTENT_RANGE);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.part.total));
        headers
    }

    /// It and a part of the same response as one, where they meet: the part that they are, unless
    /// they are the whole.
    pub(crate) fn joined(
        &self,
        part: &Part,
        body: &[u8],
    ) -> Option<(HeaderMap, Bytes, Option<Part>)> {
        let (part, body) = self.part.joined(&self.body, part, body)?;
        Some(match part.is_whole() {
            true => (self.headers_of_whole(), body, None),
            false => (self.headers.clone(), body, Some(part)),
        })
    }
}

fn is_strong(etag: &HeaderValue) -> bool {
    etag.as_bytes().starts_with(b"\"")
}

fn rest(first: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes={first}-"))
        .unwrap_or_else(|_| HeaderValue::from_static("bytes=0-"))
}
