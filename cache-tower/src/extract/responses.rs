//! Responses of cached functions: kept as status, headers, extensions and body.
//!
//! What a layer would not store is not stored here either, and reaches its caller all the same: an
//! error's status without explicit freshness, `Set-Cookie`, `private`, `no-store`, `max-age=0`, an
//! event stream, a body that fails, is longer than [`MAX_BODY`], has trailers, or does not end within [`MAX_WAIT`].

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use cache_core::macro_support::{
    CacheTags, Finished, Finishing, LoadTimeout, Probe, Returned, SaysTimeout, Shape, TagSink,
    Verdict, add_tags_of,
};
use cache_core::{Cache, CacheWeight, NotStorable, RemoteFormat, RemoteValue};
use http::header::SET_COOKIE;
use http::{Extensions, HeaderMap, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use crate::freshness::{CacheControl, explicit_lifetime, initial_age, is_event_stream};
use crate::layer::CDN_CACHE_CONTROL;
use crate::policy::CachePolicy;
use crate::wire::{VERSION, put_head, take_flag, take_head};

/// The longest body of a function's response that is stored, in bytes.
pub const MAX_BODY: usize = 2 << 20;

/// How long a load waits for a body of unknown length; past it, the caller is given the body as it
/// comes, and nothing is stored.
pub const MAX_WAIT: Duration = Duration::from_secs(2);

/// A response as a function's value is kept.
#[derive(Clone, Debug)]
pub struct StoredResponse {
    status: StatusCode,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
}

impl CacheWeight for StoredResponse {
    fn cache_weight(&self) -> usize {
        // A name and a value each, as `Bytes` or a static name, and their text.
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 104)
            .sum();
        size_of::<Self>() + headers + self.body.len()
    }
}

/// Headers and body as the bytes they are. Of what else a response carries a policy alone can go to other
/// nodes; one with other extensions stays where it was made.
impl RemoteValue for StoredResponse {
    fn write(&self, _: RemoteFormat, to: &mut Vec<u8>) -> bool {
        let policy = self.extensions.get::<CachePolicy>();
        if self.extensions.len() > usize::from(policy.is_some()) {
            return false;
        }
        to.put_u8(VERSION);
        to.put_u8(policy.is_some().into());
        if let Some(policy) = policy {
            policy.write(to);
        }
        let written = put_head(self.status, &self.headers, |_| true, to);
        to.put_slice(&self.body);
        written
    }

    fn read(_: RemoteFormat, mut from: &[u8]) -> Option<Self> {
        let from = &mut from;
        if from.try_get_u8().ok()? != VERSION {
            return None;
        }
        let mut extensions = Extensions::new();
        if take_flag(from)? {
            extensions.insert(CachePolicy::read(from)?);
        }
        let (status, headers) = take_head(from)?;
        Some(Self {
            status,
            headers,
            extensions,
            body: Bytes::copy_from_slice(from),
        })
    }
}

impl StoredResponse {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        *response.extensions_mut() = self.extensions;
        response
    }
}

/// `Response`.
#[derive(Clone, Copy, Debug)]
pub struct ResponseShape;

/// `Result<Response, E>`.
pub struct FallibleResponseShape<E>(PhantomData<fn() -> E>);

impl<E> Clone for FallibleResponseShape<E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E> Copy for FallibleResponseShape<E> {}
impl<E> fmt::Debug for FallibleResponseShape<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FallibleResponseShape")
    }
}

/// Return types that are responses.
pub trait ShapeOfResponse {
    /// The kind.
    type Shape;
    /// Tells the kind.
    fn shape(&self) -> Self::Shape;
}

impl ShapeOfResponse for &&&&Returned<Response> {
    type Shape = ResponseShape;

    #[inline]
    fn shape(&self) -> ResponseShape {
        ResponseShape
    }
}

impl<E> ShapeOfResponse for &&&&Returned<Result<Response, E>> {
    type Shape = FallibleResponseShape<E>;

    #[inline]
    fn shape(&self) -> Self::Shape {
        FallibleResponseShape(PhantomData)
    }
}

impl Shape for ResponseShape {
    type Output = Response;
    type Stored = StoredResponse;

    #[inline]
    fn restore(value: StoredResponse) -> Response {
        value.into_response()
    }

    fn finish(output: Response) -> Finishing<StoredResponse, Response> {
        Finishing::Later(Box::pin(keep(output, |response| response)))
    }
}

impl<E: Send + 'static> Shape for FallibleResponseShape<E> {
    type Output = Result<Response, E>;
    type Stored = StoredResponse;

    #[inline]
    fn restore(value: StoredResponse) -> Self::Output {
        Ok(value.into_response())
    }

    fn finish(output: Self::Output) -> Finishing<StoredResponse, Self::Output> {
        match output {
            Err(error) => Finishing::Now(Finished::Refuse(Err(error), NotStorable::Error)),
            Ok(response) => Finishing::Later(Box::pin(keep(response, Ok))),
        }
    }
}

fn gateway_timeout(limit: &LoadTimeout) -> Response {
    (StatusCode::GATEWAY_TIMEOUT, limit.to_string()).into_response()
}

impl SaysTimeout for ResponseShape {
    fn timed_out(limit: LoadTimeout) -> Response {
        gateway_timeout(&limit)
    }
}

impl<E: Send + 'static> SaysTimeout for FallibleResponseShape<E> {
    fn timed_out(limit: LoadTimeout) -> Self::Output {
        Ok(gateway_timeout(&limit))
    }
}

/// What a head says of its storing, as a layer would read it. What it states of freshness is a limit:
/// the function's own lifetime may be shorter.
fn verdict(status: StatusCode, headers: &HeaderMap) -> Verdict {
    let control = CacheControl::targeted(headers, &[CDN_CACHE_CONTROL]);
    let partial = matches!(
        status,
        StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
    ) || status.is_informational();
    if headers.contains_key(SET_COOKIE)
        || control.private
        || control.no_store
        || (control.must_understand && status.canonical_reason().is_none())
        || control.no_cache
        || is_event_stream(headers)
        || partial
    {
        return Err(NotStorable::Response);
    }
    let now = Cache::current().map_or_else(SystemTime::now, |cache| cache.clock().system_time());
    let left = explicit_lifetime(&control, headers, now)
        .map(|lifetime| lifetime.saturating_sub(initial_age(headers, now, Duration::ZERO)));
    match left {
        Some(left) if !left.is_zero() => Ok(Some(left)),
        // A stale value may stand in for these (RFC 5861, section 4).
        _ if status.is_server_error() => Err(NotStorable::Error),
        Some(_) => Err(NotStorable::Response),
        None if status.is_client_error() => Err(NotStorable::Response),
        None => Ok(None),
    }
}

/// Reads a response to its end, or gives it back whole.
async fn keep<R>(response: Response, output: fn(Response) -> R) -> Finished<StoredResponse, R> {
    let (parts, mut body) = response.into_parts();
    let back = |parts, frames: VecDeque<_>, rest, why| {
        let body = Body::new(Replay { frames, rest });
        Finished::Refuse(output(Response::from_parts(parts, body)), why)
    };
    let length = body.size_hint().exact();
    let at_most = match verdict(parts.status, &parts.headers) {
        Ok(_) if length.is_some_and(|n| n > MAX_BODY as u64) => Err(NotStorable::TooLarge),
        verdict => verdict,
    };
    let at_most = match at_most {
        Ok(at_most) => at_most,
        Err(why) => return back(parts, VecDeque::new(), Some(body), why),
    };
    let mut frames: VecDeque<Result<Frame<Bytes>, axum::Error>> = VecDeque::new();
    let mut total = 0;
    // A body of known length is being sent; one of unknown length may be a stream without an end.
    let mut patience = length
        .is_none()
        .then(|| Box::pin(tokio::time::sleep(MAX_WAIT)));
    loop {
        let next = std::future::poll_fn(|cx| {
            let frame = Pin::new(&mut body).poll_frame(cx);
            match (&frame, &mut patience) {
                (Poll::Pending, Some(sleep)) => sleep.as_mut().poll(cx).map(|()| None),
                _ => frame.map(Some),
            }
        });
        let Some(next) = next.await else {
            return back(parts, frames, Some(body), NotStorable::TooLarge);
        };
        let Some(frame) = next else { break };
        let why = match &frame {
            Ok(frame) => match frame.data_ref() {
                Some(data) => {
                    total += data.len();
                    (total > MAX_BODY).then_some(NotStorable::TooLarge)
                }
                None => Some(NotStorable::Response),
            },
            Err(_) => Some(NotStorable::Error),
        };
        let failed = frame.is_err();
        frames.push_back(frame);
        if let Some(why) = why {
            let rest = (!failed).then_some(body);
            return back(parts, frames, rest, why);
        }
    }
    let data = frames
        .into_iter()
        .filter_map(|frame| frame.ok()?.into_data().ok());
    let body = gather(data, total);
    let stored = StoredResponse {
        status: parts.status,
        headers: parts.headers,
        extensions: parts.extensions,
        body,
    };
    match at_most {
        Some(at_most) => Finished::StoreFor(stored, at_most),
        None => Finished::Store(stored),
    }
}

/// One piece; a body that came in one is not copied.
fn gather(mut data: impl Iterator<Item = Bytes>, total: usize) -> Bytes {
    let first = data.next().unwrap_or_default();
    if first.len() == total {
        return first;
    }
    let mut whole = BytesMut::with_capacity(total);
    whole.extend_from_slice(&first);
    data.for_each(|piece| whole.extend_from_slice(&piece));
    whole.freeze()
}

/// What was read of a body, then the rest of it.
struct Replay {
    frames: VecDeque<Result<Frame<Bytes>, axum::Error>>,
    rest: Option<Body>,
}

impl http_body::Body for Replay {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(frame));
        }
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        Poll::Ready(ready!(Pin::new(rest).poll_frame(cx)))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read = self
            .frames
            .iter()
            .flatten()
            .filter_map(Frame::data_ref)
            .map(Bytes::len)
            .sum::<usize>() as u64;
        let rest = self.rest.as_ref().map(Body::size_hint).unwrap_or_default();
        let mut hint = SizeHint::new();
        hint.set_lower(read + rest.lower());
        if let (Some(upper), Some(_)) = (rest.upper(), &self.rest) {
            hint.set_upper(read + upper);
        }
        hint
    }
}

/// Tuples that are responses: their head is looked at once, on a copy, when they are loaded.
pub trait HasStatus {
    /// What it says of its storing.
    fn verdict(&self) -> Verdict;
}

impl HasStatus for StatusCode {
    fn verdict(&self) -> Verdict {
        verdict(*self, &HeaderMap::new())
    }
}

macro_rules! tuples {
    ($($($name:ident)+;)+) => { $(
        impl<$($name: Clone),+> HasStatus for ($($name,)+)
        where
            ($($name,)+): IntoResponse,
        {
            fn verdict(&self) -> Verdict {
                let response = self.clone().into_response();
                verdict(response.status(), response.headers())
            }
        }
    )+ };
}
tuples! { A B; A B C; A B C D; A B C D E; }

impl<T: HasStatus> HasStatus for Option<T> {
    fn verdict(&self) -> Verdict {
        self.as_ref().map_or(Ok(None), T::verdict)
    }
}

impl<T: HasStatus, E> HasStatus for Result<T, E> {
    fn verdict(&self) -> Verdict {
        self.as_ref().map_or(Ok(None), T::verdict)
    }
}

/// Asks a returned value for its head.
pub trait VerdictByHead {
    /// What it says of its storing.
    fn verdict(&self) -> Verdict;
}

impl<T: HasStatus> VerdictByHead for &Probe<'_, T> {
    fn verdict(&self) -> Verdict {
        self.0.verdict()
    }
}

/// Responses that hold a value which says which tags it has.
pub trait TagsInside {
    /// Adds its tags.
    fn tags_inside(&self, tags: &mut TagSink);
}

impl<T: CacheTags> TagsInside for Json<T> {
    fn tags_inside(&self, tags: &mut TagSink) {
        self.0.cache_tags(tags);
    }
}

impl<A, T: TagsInside> TagsInside for (A, T) {
    fn tags_inside(&self, tags: &mut TagSink) {
        self.1.tags_inside(tags);
    }
}

impl<A, B, T: TagsInside> TagsInside for (A, B, T) {
    fn tags_inside(&self, tags: &mut TagSink) {
        self.2.tags_inside(tags);
    }
}

impl<T: TagsInside> TagsInside for Option<T> {
    fn tags_inside(&self, tags: &mut TagSink) {
        self.iter().for_each(|value| value.tags_inside(tags));
    }
}

impl<T: TagsInside, E> TagsInside for Result<T, E> {
    fn tags_inside(&self, tags: &mut TagSink) {
        self.iter().for_each(|value| value.tags_inside(tags));
    }
}

/// Asks a returned response for the tags of what it holds.
pub trait ValueTagsInside {
    /// Adds them to the load.
    fn value_tags(&self);
}

impl<T: TagsInside> ValueTagsInside for &Probe<'_, T> {
    fn value_tags(&self) {
        add_tags_of(&|tags| self.0.tags_inside(tags));
    }
}
