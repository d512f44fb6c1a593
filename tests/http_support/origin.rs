//! The origin: answers by a script, and remembers what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use cache_core::Clock;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tower::Service;

/// The connection to the origin broke.
#[derive(Clone, Copy, Debug)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection broke")
    }
}

impl std::error::Error for Broken {}

/// Answers by a script, and beyond it with 500 and `not scripted`.
#[derive(Clone)]
pub struct Origin(Arc<Mutex<Script>>);

pub struct Script {
    clock: Clock,
    pub replies: VecDeque<Reaction>,
    /// Closed once what is held may go.
    pub gate: Arc<Semaphore>,
    pub seen: Vec<Parts>,
}

pub struct Reaction {
    pub takes: Duration,
    pub held: bool,
    pub answer: Answer,
}

pub type Answered = Result<Response<Body>, Broken>;

pub enum Answer {
    Whole(Response<()>, String),
    Trailed(Response<()>, String, HeaderMap),
    Cut(Response<()>, String),
    Break,
}

impl Origin {
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Mutex::new(Script {
            clock,
            replies: VecDeque::new(),
            gate: Arc::new(Semaphore::new(0)),
            seen: Vec::new(),
        })))
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }

    /// The next reply, and the gate to wait at before it is given.
    fn react(&self, request: Request<Body>) -> (Answered, Option<Arc<Semaphore>>) {
        let mut script = self.script();
        let head = request.method() == Method::HEAD;
        script.seen.push(request.into_parts().0);
        let Some(Reaction {
            takes,
            held,
            answer,
        }) = script.replies.pop_front()
        else {
            let mut response = Response::new(Body::from("not scripted"));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return (Ok(response), None);
        };
        script.clock.advance(takes);
        let gate = held.then(|| Arc::clone(&script.gate));
        let answered = match answer {
            Answer::Whole(response, _) if head => Ok(response.map(|()| Body::empty())),
            Answer::Whole(response, body) => Ok(response.map(|()| Body::from(body))),
            Answer::Trailed(response, body, trailers) => {
                let trailers = ready(Some(Ok(trailers)));
                Ok(response.map(|()| Body::new(Body::from(body).with_trailers(trailers))))
            }
            Answer::Cut(response, body) => {
                let frames = stream::iter([Ok(body), Err(Broken)]);
                Ok(response.map(|()| Body::from_stream(frames)))
            }
            Answer::Break => Err(Broken),
        };
        (answered, gate)
    }
}

impl Service<Request<Body>> for Origin {
    type Response = Response<Body>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (answered, gate) = self.react(request);
        Box::pin(async move {
            if let Some(gate) = gate {
                let _closed = gate.acquire().await;
            }
            answered
        })
    }
}

/// What stands between an origin and a service that cannot fail.
#[derive(Clone)]
pub struct Router(pub Origin);

impl Service<Request<Body>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answered = self.0.call(request);
        Box::pin(async move {
            Ok(answered.await.unwrap_or_else(|broken| {
                let mut response = Response::new(Body::from(broken.to_string()));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }))
        })
    }
}
