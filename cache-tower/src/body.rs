//! The body of the layer's responses.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cache_core::respond::{self, Scope};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::reader::Reader;

/// What a body fails with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

pin_project! {
    /// The body of a [`CacheService`](crate::CacheService)'s response: bytes from the cache, a
    /// response that is being recorded, or the inner service's own body passed on.
    pub struct CacheBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjected]
    enum Kind<B> {
        None,
        Whole { bytes: Bytes },
        Recorded { reader: Box<Reader<B>> },
        Inner { #[pin] body: B, scope: Option<Scope> },
    }
}

impl<B> CacheBody<B> {
    /// No body at all, which says nothing of the size that a body would have: of a 304, or to a HEAD.
    pub(crate) const fn none() -> Self {
        Self { kind: Kind::None }
    }

    #[inline]
    pub(crate) const fn whole(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Whole { bytes },
        }
    }

    pub(crate) fn recorded(reader: Reader<B>) -> Self {
        let reader = Box::new(reader);
        Self {
            kind: Kind::Recorded { reader },
        }
    }

    /// All of it, where it is there.
    pub(crate) fn as_whole(&self) -> Option<Bytes> {
        match &self.kind {
            Kind::Whole { bytes } => Some(bytes.clone()),
            _ => None,
        }
    }

    /// `scope` is in force while the body is polled: it may call cached functions.
    pub(crate) const fn inner(body: B, scope: Option<Scope>) -> Self {
        Self {
            kind: Kind::Inner { body, scope },
        }
    }
}

/// What polling a body gives.
type FramePoll<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

/// Polls a body in its own scope. What it learns there flows to the record around with every frame,
/// since nobody need poll for its end.
pub(crate) fn poll_telling<B: Body>(
    scope: &Scope,
    body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> FramePoll<B> {
    let polled = scope.run(|| body.poll_frame(cx));
    if polled.is_ready() && respond::in_record() {
        scope.flow();
    }
    polled
}

impl<B> Body for CacheBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProjected::None => Poll::Ready(None),
            KindProjected::Whole { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProjected::Whole { bytes } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            KindProjected::Recorded { reader } => reader.poll_frame(cx),
            KindProjected::Inner { body, scope } => {
                let polled = match scope {
                    Some(scope) => poll_telling(scope, body, cx),
                    None => body.poll_frame(cx),
                };
                polled.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::None => true,
            Kind::Whole { bytes } => bytes.is_empty(),
            Kind::Recorded { reader } => reader.is_end_stream(),
            Kind::Inner { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::None => SizeHint::default(),
            Kind::Whole { bytes } => SizeHint::with_exact(bytes.len() as u64),
            Kind::Recorded { reader } => reader.size_hint(),
            Kind::Inner { body, .. } => body.size_hint(),
        }
    }
}

impl<B> Default for CacheBody<B> {
    /// An empty body.
    fn default() -> Self {
        Self::whole(Bytes::new())
    }
}

impl<B> fmt::Debug for CacheBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::None => "CacheBody::None",
            Kind::Whole { .. } => "CacheBody::Whole",
            Kind::Recorded { .. } => "CacheBody::Recorded",
            Kind::Inner { .. } => "CacheBody::Inner",
        })
    }
}
