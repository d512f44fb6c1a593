//! One reader of a recording, as the body of a response.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cache_core::respond::{self, Scope};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use crate::body::{BoxError, poll_telling};
use crate::recording::{End, Recording};

/// What a reader of its own load is compared by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Likeness {
    status: StatusCode,
    parts: [Option<http::HeaderValue>; 3],
}

impl Likeness {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        Self {
            status,
            parts: [CONTENT_TYPE, CONTENT_ENCODING, ETAG].map(|name| headers.get(name).cloned()),
        }
    }
}

/// A load of a reader's own, not begun until it is polled.
pub(crate) type OwnLoad<B> = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

/// Who reads.
pub(crate) enum Role<B> {
    /// The caller whose request is being answered: gets the rest, and the error.
    First(Scope),
    /// A joiner, with the load that it falls back to.
    Joined {
        load: OwnLoad<B>,
        likeness: Likeness,
        scope: Scope,
    },
}

/// One reader of a recording: the body of a response.
pub(crate) struct Reader<B> {
    recording: Option<Arc<Recording<B>>>,
    number: usize,
    next: usize,
    delivered: u64,
    role: Role<B>,
    tail: Tail<B>,
}

/// Where a reader reads from.
enum Tail<B> {
    Shared,
    Loading,
    /// Its own load's body, compared up to there with what it has handed on.
    Comparing(Pin<Box<B>>, Place),
    Own(Pin<Box<B>>),
    Done,
}

/// A place in the chunks, kept so that no frame goes through all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Place {
    chunk: usize,
    offset: usize,
    /// How many bytes lie before it.
    before: u64,
}

/// The reader's own load began differently from the recording that it took over from.
#[derive(Clone, Copy, Debug)]
struct Differs;

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a response shared by several requests broke off, and loading it again gave another",
        )
    }
}

impl std::error::Error for Differs {}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl<B> Reader<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            match &mut self.tail {
                Tail::Shared => match ready!(self.poll_shared(cx)) {
                    Shared::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
                    Shared::Last(frame) => {
                        self.tell_around();
                        self.done();
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    Shared::Over => {
                        self.tell_around();
                        self.done();
                        return Poll::Ready(None);
                    }
                    Shared::Error(error) => return self.failed(error),
                    Shared::Rest(body) => {
                        self.leave();
                        self.tail = Tail::Own(body);
                    }
                    Shared::Broken => self.tail = Tail::Loading,
                },
                Tail::Loading => {
                    let Role::Joined {
                        load,
                        likeness,
                        scope,
                    } = &mut self.role
                    else {
                        return self.failed(Box::new(Differs));
                    };
                    let loaded = ready!(scope.run(|| load.as_mut().poll(cx)));
                    scope.flow();
                    match loaded {
                        Ok(response)
                            if Likeness::of(response.status(), response.headers()) == *likeness =>
                        {
                            self.tail =
                                Tail::Comparing(Box::pin(response.into_body()), Place::default());
                        }
                        Ok(_) => return self.failed(Box::new(Differs)),
                        Err(error) => return self.failed(error),
                    }
                }
                Tail::Comparing(_, place) if place.before == self.delivered => {
                    self.leave();
                    if let Tail::Comparing(body, _) = std::mem::replace(&mut self.tail, Tail::Done)
                    {
                        self.tail = Tail::Own(body);
                    }
                }
                Tail::Comparing(body, place) => {
                    match ready!(poll_telling(self.role.scope(), body.as_mut(), cx)) {
                        Some(Ok(frame)) => {
                            let Ok(data) = frame.into_data() else {
                                return self.failed(Box::new(Differs));
                            };
                            let again = (self.delivered - place.before).min(data.len() as u64);
                            let again = usize::try_from(again).unwrap_or(data.len());
                            let same = self.recording.as_ref().is_some_and(|recording| {
                                place.goes_on_so(&recording.state().chunks.list, &data[..again])
                            });
                            if !same {
                                return self.failed(Box::new(Differs));
                            }
                            if again < data.len() {
                                let rest = data.slice(again..);
                                return Poll::Ready(Some(Ok(Frame::data(rest))));
                            }
                        }
                        Some(Err(error)) => return self.failed(error.into()),
                        None => return self.failed(Box::new(Differs)),
                    }
                }
                Tail::Own(body) => {
                    let polled = ready!(poll_telling(self.role.scope(), body.as_mut(), cx));
                    if !matches!(polled, Some(Ok(_))) {
                        self.done();
                    }
                    return Poll::Ready(polled.map(|frame| frame.map_err(Into::into)));
                }
                Tail::Done => return Poll::Ready(None),
            }
        }
    }

    fn poll_shared(&mut self, cx: &Context<'_>) -> Poll<Shared<B>> {
        let Some(recording) = &self.recording else {
            return Poll::Ready(Shared::Over);
        };
        let mut state = recording.state();
        if let Some(chunk) = state.chunks.list.get(self.next) {
            self.next += 1;
            self.delivered += chunk.len() as u64;
            let frame = Frame::data(chunk.clone());
            let is_last =
                matches!(state.end, End::Whole(None)) && self.next == state.chunks.list.len();
            return Poll::Ready(match is_last {
                true => Shared::Last(frame),
                false => Shared::Frame(frame),
            });
        }
        let first = matches!(self.role, Role::First(_));
        let state = &mut *state;
        let outcome = match &mut state.end {
            End::Running => {
                let waiting = &mut state.waiting[self.number];
                if !waiting
                    .as_ref()
                    .is_some_and(|known| known.will_wake(cx.waker()))
                {
                    *waiting = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
            End::Whole(trailers) => match trailers {
                Some(trailers) if self.next == state.chunks.list.len() => {
                    self.next += 1;
                    Shared::Frame(Frame::trailers(trailers.clone()))
                }
                _ => Shared::Over,
            },
            End::HandedOver(rest) if first => rest.take().map_or(Shared::Over, Shared::Rest),
            End::Failed(error) if first => error.take().map_or(Shared::Over, Shared::Error),
            End::HandedOver(_) | End::Failed(_) => Shared::Broken,
        };
        Poll::Ready(outcome)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.tail {
            Tail::Shared => {
                let Some(recording) = &self.recording else {
                    return SizeHint::with_exact(0);
                };
                let state = recording.state();
                match &state.end {
                    End::Whole(_) => SizeHint::with_exact(state.chunks.length() - self.delivered),
                    _ => match state.hint.exact() {
                        Some(whole) => SizeHint::with_exact(whole.saturating_sub(self.delivered)),
                        None => SizeHint::default(),
                    },
                }
            }
            Tail::Own(body) => body.size_hint(),
            Tail::Done => SizeHint::with_exact(0),
            Tail::Loading | Tail::Comparing(..) => SizeHint::default(),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match &self.tail {
            Tail::Own(body) => body.is_end_stream(),
            Tail::Done => true,
            // Not before the end was polled, which is when it tells around what was learned.
            Tail::Shared | Tail::Loading | Tail::Comparing(..) => false,
        }
    }

    /// Lets what was learned while the body was made flow to who reads it. At the end, and not only
    /// with the head: the body may have called cached functions too.
    fn tell_around(&self) {
        if let Some(recording) = self.recording.as_ref().filter(|_| respond::in_record()) {
            let learned = recording.state().learned.clone();
            learned.flow();
        }
    }

    fn failed(&mut self, error: BoxError) -> Polled {
        self.done();
        Poll::Ready(Some(Err(error)))
    }

    fn done(&mut self) {
        self.leave();
        self.tail = Tail::Done;
    }
}

impl<B> Role<B> {
    const fn scope(&self) -> &Scope {
        match self {
            Self::First(scope) | Self::Joined { scope, .. } => scope,
        }
    }
}

impl<B> Reader<B> {
    /// The reader of this number, at the beginning.
    pub(crate) const fn new(recording: Arc<Recording<B>>, number: usize, role: Role<B>) -> Self {
        Self {
            recording: Some(recording),
            number,
            next: 0,
            delivered: 0,
            role,
            tail: Tail::Shared,
        }
    }

    /// Stops listening to the recording.
    fn leave(&mut self) {
        let Some(recording) = self.recording.take() else {
            return;
        };
        let mut state = recording.state();
        state.waiting[self.number] = None;
        state.vacant.push(self.number);
        state.listening -= 1;
        // Nobody else may have the rest.
        let rest = match &mut state.end {
            End::HandedOver(rest) if matches!(self.role, Role::First(_)) => rest.take(),
            _ => None,
        };
        let task = if state.listening == 0 {
            state.task.take()
        } else {
            None
        };
        drop(state);
        drop(rest);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<B> Drop for Reader<B> {
    fn drop(&mut self) {
        self.leave();
    }
}

enum Shared<B> {
    Frame(Frame<Bytes>),
    Last(Frame<Bytes>),
    Over,
    Rest(Pin<Box<B>>),
    Error(BoxError),
    Broken,
}

impl Place {
    /// Whether the chunks hold these bytes next; moves past what they do.
    fn goes_on_so(&mut self, chunks: &[Bytes], mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Some(chunk) = chunks.get(self.chunk) else {
                return false;
            };
            let here = &chunk[self.offset..];
            let compared = here.len().min(bytes.len());
            if here[..compared] != bytes[..compared] {
                return false;
            }
            bytes = &bytes[compared..];
            self.offset += compared;
            self.before += compared as u64;
            if self.offset == chunk.len() {
                self.chunk += 1;
                self.offset = 0;
            }
        }
        true
    }
}

impl<B> fmt::Debug for Reader<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("delivered", &self.delivered)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_compared_across_chunks() {
        let chunks = ["abc", "", "defg"].map(Bytes::from);
        for (frames, expected) in [
            (&["abcdefg"][..], true),
            (&[""], true),
            (&["ab", "cd", "", "efg"], true),
            (&["abc", "defg"], true),
            (&["ab", "ce"], false),
            (&["abc", "defgh"], false),
            (&["abcdefg", "x"], false),
        ] {
            let mut place = Place::default();
            let same = frames
                .iter()
                .all(|frame| place.goes_on_so(&chunks, frame.as_bytes()));
            assert_eq!(same, expected, "{frames:?}");
        }
    }

    #[test]
    fn comparing_goes_on_where_it_was_and_never_from_the_beginning() {
        let mut chunks = ["abc", "defg"].map(Bytes::from);
        let mut place = Place::default();
        assert!(place.goes_on_so(&chunks, b"abcd"));
        let expected = Place {
            chunk: 1,
            offset: 1,
            before: 4,
        };
        assert_eq!(place, expected);
        chunks[0] = Bytes::new();
        assert!(
            place.goes_on_so(&chunks, b"efg"),
            "what is behind is not read"
        );
    }
}
