//! A response's body while it is read: one task reads it as fast as it comes, and any number of
//! readers take what is there, each at its own pace.
//!
//! Past the size limit the rest of the body goes to the first reader, who then reads it directly,
//! with back-pressure. The other readers get it from a load of their own: what they have handed on
//! already must be how that one begins.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use cache_core::respond::{Reservation, Scope};
use http::HeaderMap;
use http_body::SizeHint;

use crate::body::BoxError;
use crate::reader::{Reader, Role};
use crate::refusal::Refusal;

/// A body that is being read, and what has come of it.
pub(crate) struct Recording<B>(Mutex<State<B>>);

pub(crate) struct State<B> {
    pub(crate) chunks: Chunks,
    pub(crate) hint: SizeHint,
    pub(crate) end: End<B>,
    /// The wakers of readers that wait, by the reader's number.
    pub(crate) waiting: Vec<Option<Waker>>,
    pub(crate) vacant: Vec<usize>,
    pub(crate) listening: usize,
    /// The recording task, to be told when nobody listens any more.
    pub(crate) task: Option<Waker>,
    /// What the response learns while it is made, for responses and loads around its readers.
    pub(crate) learned: Scope,
}

/// What was taken of a body, and the room that it takes in the cache.
#[derive(Debug)]
pub(crate) struct Chunks {
    pub(crate) list: Vec<Bytes>,
    length: u64,
    room: Reservation,
}

/// What a chunk takes beside its bytes.
const CHUNK_OVERHEAD: usize = 64;
/// Chunks shorter than this are copied, so that they do not hold a large buffer of the service's.
const SMALL_CHUNK: usize = 4096;

impl Chunks {
    pub(crate) const fn new(room: Reservation) -> Self {
        Self {
            list: Vec::new(),
            length: 0,
            room,
        }
    }

    /// Takes a chunk. Where it is too much it is taken too, to be passed on, and no more should be.
    pub(crate) fn add(&mut self, chunk: Bytes, limit: usize) -> Result<(), Refusal> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.length += chunk.len() as u64;
        let kept = self.room.grow(chunk.len() + CHUNK_OVERHEAD);
        let small = chunk.len() < SMALL_CHUNK;
        self.list.push(if small {
            Bytes::copy_from_slice(&chunk)
        } else {
            chunk
        });
        if self.length > limit as u64 {
            Err(Refusal::TooLarge)
        } else if kept {
            Ok(())
        } else {
            Err(Refusal::NoRoom)
        }
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// All of it in one piece of exactly its size.
    pub(crate) fn whole(&self) -> Bytes {
        let mut whole = Vec::with_capacity(usize::try_from(self.length).unwrap_or(0));
        for chunk in &self.list {
            whole.extend_from_slice(chunk);
        }
        whole.into()
    }
}

/// How a recording ended.
pub(crate) enum End<B> {
    Running,
    Whole(Option<HeaderMap>),
    /// The rest is for the first reader.
    HandedOver(Option<Pin<Box<B>>>),
    Failed(Option<BoxError>),
}

impl<B> Recording<B> {
    /// Goes on from what was taken already. `hint`: the size of the whole.
    pub(crate) fn new(hint: SizeHint, chunks: Chunks, learned: Scope) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            chunks,
            hint,
            end: End::Running,
            waiting: Vec::new(),
            vacant: Vec::new(),
            listening: 0,
            task: None,
            learned,
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it failed or was cut short, so that nobody should begin to read it.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.state().end, End::HandedOver(_) | End::Failed(_))
    }

    pub(crate) fn reader(self: &Arc<Self>, role: Role<B>) -> Reader<B> {
        let mut state = self.state();
        state.listening += 1;
        let number = state.vacant.pop().unwrap_or_else(|| {
            state.waiting.push(None);
            state.waiting.len() - 1
        });
        drop(state);
        Reader::new(Arc::clone(self), number, role)
    }

    /// Adds what has come, also where it is too much: then the recording is to end.
    pub(crate) fn add(&self, chunk: Bytes, limit: usize) -> Result<(), Refusal> {
        let mut state = self.state();
        let kept = state.chunks.add(chunk, limit);
        wake_all(state);
        kept
    }

    /// Ends the recording; all that came is in it.
    pub(crate) fn finish(&self, trailers: Option<HeaderMap>) {
        self.end(End::Whole(trailers));
    }

    /// Gives the rest of the body to the first reader.
    pub(crate) fn hand_over(&self, body: Pin<Box<B>>) {
        self.end(End::HandedOver(Some(body)));
    }

    pub(crate) fn fail(&self, error: BoxError) {
        self.end(End::Failed(Some(error)));
    }

    fn end(&self, end: End<B>) {
        let mut state = self.state();
        if matches!(state.end, End::Running) {
            state.end = end;
            wake_all(state);
        }
    }

    /// Whether anybody listens; the task is woken when the last one leaves.
    pub(crate) fn is_heard(&self, task: &Waker) -> bool {
        let mut state = self.state();
        if !state
            .task
            .as_ref()
            .is_some_and(|known| known.will_wake(task))
        {
            state.task = Some(task.clone());
        }
        state.listening > 0
    }

    /// All that came, in one piece.
    pub(crate) fn whole(&self) -> Bytes {
        self.state().chunks.whole()
    }
}

fn wake_all<B>(mut state: MutexGuard<'_, State<B>>) {
    let woken: Vec<Waker> = state.waiting.iter_mut().filter_map(Option::take).collect();
    drop(state);
    for waker in woken {
        waker.wake();
    }
}

impl<B> fmt::Debug for Recording<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}
