//! How long the first frame of a response takes through the layer: from when the inner service gives
//! the head until the client has the frame. The next one does not exist by then.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use benches::{Side, compare, runtime};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use revalidate::{Cache, CacheLayer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

type Service = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A body whose frames are sent to it.
struct Sent(UnboundedReceiver<Bytes>);

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.0.poll_recv(cx);
        frame.map(|frame| frame.map(|frame| Ok(Frame::data(frame))))
    }
}

/// The response that was made last: when, and what ends it.
static MADE: Mutex<Option<(Instant, UnboundedSender<Bytes>)>> = Mutex::new(None);
/// Each request is for something new.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Gives a head and one frame.
fn service(control: &'static str) -> Service {
    BoxCloneSyncService::new(service_fn(move |_: Request<Body>| async move {
        let (frames, body) = unbounded_channel();
        let body = Body::new(Sent(body));
        let response = Response::builder().header("cache-control", control);
        drop(frames.send(Bytes::from_static(&[b'x'; 1024])));
        *MADE.lock().expect("unpoisoned") = Some((Instant::now(), frames));
        Ok(response.body(body).expect("a response"))
    }))
}

fn cached(control: &'static str) -> Service {
    let layer = CacheLayer::new().cache(Cache::builder().build());
    let service = layer.layer(service(control));
    BoxCloneSyncService::new(service.map_response(|response| response.map(Body::new)))
}

/// From the head to the first frame.
async fn first_frame(service: &Service) -> Duration {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let request = Request::get(format!("/{number}")).body(Body::empty());
    let answer = service.clone().oneshot(request.expect("a request")).await;
    let mut body = answer.expect("an answer").into_body();
    let first = body.frame().await;
    let arrived = Instant::now();
    assert!(first.is_some_and(|frame| frame.is_ok()));
    let (made, frames) = MADE.lock().expect("unpoisoned").take().expect("made");
    drop(frames);
    assert!(body.frame().await.is_none());
    arrived - made
}

fn main() {
    let runtime = runtime();
    let handle = runtime.handle();
    let side = |name: &str, service: Service| {
        Side::new(name, move |times| {
            handle.block_on(async {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    took += first_frame(&service).await;
                }
                took
            })
        })
    };
    let sides = [
        side("no layer", service("max-age=60")),
        side("passed on", cached("no-store")),
        side("recorded", cached("max-age=60")),
    ];
    compare(&runtime, 1, &sides).print("From the inner head to the client's first frame", &[0]);
}
