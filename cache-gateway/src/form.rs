//! Reading a request's form for its parameters, and giving its body on as it came.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;

/// The most that is read of a form: past it its parameters have no value.
const MAX_FORM_BYTES: usize = 64 << 10;

pin_project! {
    /// The body of a request that policies have seen: as it came, also where its beginning was read.
    pub struct RequestBody<B>
    where
        B: Body,
    {
        read: VecDeque<Result<Frame<B::Data>, B::Error>>,
        #[pin]
        rest: Rest<B>,
    }
}

pin_project! {
    #[project = RestProjected]
    enum Rest<B> {
        Plain { #[pin] body: B },
        Begun { body: Pin<Box<B>> },
    }
}

impl<B: Body> RequestBody<B> {
    pub(crate) const fn new(body: B) -> Self {
        Self {
            read: VecDeque::new(),
            rest: Rest::Plain { body },
        }
    }
}

impl<B: Body + Default> Default for RequestBody<B> {
    fn default() -> Self {
        Self::new(B::default())
    }
}

impl<B: Body> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        match (this.read.pop_front(), this.rest.project()) {
            (Some(frame), _) => Poll::Ready(Some(frame)),
            (None, RestProjected::Plain { body }) => body.poll_frame(cx),
            (None, RestProjected::Begun { body }) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty()
            && match &self.rest {
                Rest::Plain { body } => body.is_end_stream(),
                Rest::Begun { body } => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Rest::Plain { body } => body.size_hint(),
            Rest::Begun { body } => body.size_hint(),
        };
        let data =
            |frame: &Result<Frame<Bytes>, _>| frame.as_ref().ok()?.data_ref().map(Bytes::len);
        let read = self.read.iter().filter_map(data).sum::<usize>() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

/// Reads the body of a request that is a form: the form, where it is all there and no larger than is
/// read, and the request with its body as it came.
pub(crate) async fn read<B>(request: Request<B>) -> (Option<Bytes>, Request<RequestBody<B>>)
where
    B: Body<Data = Bytes>,
{
    if !is_form(request.headers()) || request.body().is_end_stream() {
        return (None, request.map(RequestBody::new));
    }
    let (parts, body) = request.into_parts();
    let mut body = Box::pin(body);
    let (mut read, mut form) = (VecDeque::new(), BytesMut::new());
    let mut whole = true;
    while let Some(frame) = body.frame().await {
        // Errors and trailers are for whoever reads it after us.
        let data = frame.as_ref().ok().and_then(Frame::data_ref);
        whole = data.is_some_and(|data| form.len() + data.len() <= MAX_FORM_BYTES);
        form.extend_from_slice(data.filter(|_| whole).map_or(&[], Bytes::as_ref));
        read.push_back(frame);
        if !whole {
            break;
        }
    }
    let rest = Rest::Begun { body };
    let request = Request::from_parts(parts, RequestBody { read, rest });
    (whole.then(|| form.freeze()), request)
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let kind = value.as_bytes().split(|&byte| byte == b';').next();
        let kind = kind.unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    })
}
