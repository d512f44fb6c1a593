//! Reading a request's form for its parameters, and giving its body on as it came.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;

/// The most that is read of a form: past it its parameters have no value.
pub(crate) const MAX_FORM_BYTES: usize = 64 << 10;

/// What was read of a request's form.
#[derive(Debug)]
pub(crate) enum Form {
    /// It is none, or broke off.
    None,
    TooLong,
    Whole(Bytes),
}

pin_project! {
    /// The body of a request that policies have seen: as it came, also where its beginning was read.
    pub struct RequestBody<B>
    where
        B: Body,
    {
        read: Bytes,
        // What came next, and was no more of the form.
        last: Option<Result<Frame<B::Data>, B::Error>>,
        #[pin]
        rest: Rest<B>,
    }
}

pin_project! {
    #[project = RestProjected]
    enum Rest<B> {
        Plain { #[pin] body: B },
        Begun { body: Pin<Box<B>> },
        // Not every body may be asked again.
        Ended,
    }
}

impl<B: Body> RequestBody<B> {
    pub(crate) const fn new(body: B) -> Self {
        Self {
            read: Bytes::new(),
            last: None,
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
        let mut this = self.project();
        if !this.read.is_empty() {
            let read = std::mem::take(this.read);
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        if let Some(last) = this.last.take() {
            return Poll::Ready(Some(last));
        }
        let frame = match this.rest.as_mut().project() {
            RestProjected::Plain { body } => ready!(body.poll_frame(cx)),
            RestProjected::Begun { body } => ready!(body.as_mut().poll_frame(cx)),
            RestProjected::Ended => None,
        };
        if frame.is_none() {
            this.rest.set(Rest::Ended);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty()
            && self.last.is_none()
            && match &self.rest {
                Rest::Plain { body } => body.is_end_stream(),
                Rest::Begun { body } => body.is_end_stream(),
                Rest::Ended => true,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Rest::Plain { body } => body.size_hint(),
            Rest::Begun { body } => body.size_hint(),
            Rest::Ended => SizeHint::with_exact(0),
        };
        let last = self.last.as_ref().and_then(|last| last.as_ref().ok());
        let last = last.and_then(Frame::data_ref).map_or(0, Bytes::len);
        let read = (self.read.len() + last) as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

/// Reads the body of a request that is a form, and no more of it than is read of one; the request has its
/// body still, as it came but for the bounds of its frames.
pub(crate) async fn read<B>(request: Request<B>) -> (Form, Request<RequestBody<B>>)
where
    B: Body<Data = Bytes>,
{
    if !is_form(request.headers()) || request.body().is_end_stream() {
        return (Form::None, request.map(RequestBody::new));
    }
    let (parts, body) = request.into_parts();
    let mut body = Box::pin(body);
    let mut read = BytesMut::new();
    // Errors and trailers are for whoever reads it after us. Nothing of the form comes after trailers.
    let (whole, last) = loop {
        match body.frame().await.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) if data.len() <= MAX_FORM_BYTES - read.len() => {
                read.extend_from_slice(&data);
            }
            Some(Ok(Ok(data))) => break (None, Some(Ok(Frame::data(data)))),
            Some(Ok(Err(trailers))) => break (Some(true), Some(Ok(trailers))),
            Some(Err(error)) => break (Some(false), Some(Err(error))),
            None => break (Some(true), None),
        }
    };
    let read = read.freeze();
    let form = match whole {
        Some(true) => Form::Whole(read.clone()),
        Some(false) => Form::None,
        None => Form::TooLong,
    };
    let rest = match last {
        Some(_) => Rest::Begun { body },
        None => Rest::Ended,
    };
    let body = RequestBody { read, last, rest };
    (form, Request::from_parts(parts, body))
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let kind = value.as_bytes().split(|&byte| byte == b';').next();
        let kind = kind.unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    })
}
