//! What streaming promises: constant memory, each frame as soon as it exists, and each client at its
//! own pace, whoever else reads, leaves or validates meanwhile. How a recording ends, and what is kept
//! of it, is in `layer_streams.rs`.
//!
//! Nothing is timed. An origin makes a frame only once the one before has arrived, so whatever holds
//! one back ends in a wait for ever. Tokio's clock stands still while anything can run: when it moves,
//! somebody waits for what nobody will send.
#![cfg(feature = "axum")]

mod layer_support;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use allocation_counter::{AllocationInfo, measure};
use axum::body::Body;
use bytes::Bytes;
use cache_tower::CacheBody;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use layer_support::*;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};
use tower::util::BoxCloneSyncService;
use tower::{Layer, service_fn};

type Streamed = CacheBody<Body>;

/// A layer around an origin whose responses come as the test sends them.
struct Stage {
    app: BoxCloneSyncService<Request<Body>, Response<Streamed>, Infallible>,
    clock: Clock,
    answers: Arc<Mutex<VecDeque<Response<Body>>>>,
    asked: Count,
}

fn stage(layer: CacheLayer) -> Stage {
    let (cache, clock) = cache();
    let answers = Arc::new(Mutex::new(VecDeque::<Response<Body>>::new()));
    let asked = Count::default();
    let (queue, count) = (Arc::clone(&answers), asked.clone());
    let origin = service_fn(move |_: Request<Body>| {
        count.up();
        let answer = queue.lock().unwrap().pop_front();
        async { Ok(answer.expect("an answer for each request")) }
    });
    Stage {
        app: BoxCloneSyncService::new(layer.cache(cache).layer(origin)),
        clock,
        answers,
        asked,
    }
}

impl Stage {
    /// Queues a response. `headers` are lines `name: value`, separated by `|`.
    fn answers(&self, status: u16, headers: &str, body: Body) {
        let mut response = Response::new(body);
        *response.status_mut() = status.try_into().unwrap();
        for (name, value) in fields(headers) {
            response.headers_mut().append(name, value);
        }
        self.answers.lock().unwrap().push_back(response);
    }

    /// Queues a response whose frames the test sends.
    fn streams(&self, headers: &str) -> Feed {
        let (feed, body) = fed();
        self.answers(200, headers, body);
        feed
    }

    /// Sends a request, and has the head of its response before there is any of the body.
    async fn asks(&self, method: &str, headers: &str) -> Response<Streamed> {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in fields(headers) {
            request = request.header(name, value);
        }
        at_once(open(&self.app, request.body(Body::empty()).unwrap())).await
    }

    async fn gets(&self) -> Streamed {
        self.asks("GET", "").await.into_body()
    }

    /// What a client gets that comes now, and reads all.
    async fn reply(&self, headers: &str) -> Reply {
        at_once(Reply::of(self.asks("GET", headers).await)).await
    }
}

fn fields(text: &str) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let lines = text.split('|').filter(|line| !line.is_empty());
    lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.parse().unwrap(), value.parse().unwrap())
    })
}

/// What a future comes to that need not wait: each of its steps is woken by the one before.
async fn at_once<F: Future>(future: F) -> F::Output {
    let began = Instant::now();
    let output = timeout(SECOND, future).await;
    assert!(began.elapsed().is_zero(), "it waits for what nobody sends");
    output.unwrap()
}

/// The next frame. There must be one, or the end.
async fn read(body: &mut Streamed) -> Option<String> {
    let data = at_once(next(body)).await?.unwrap();
    Some(String::from_utf8(data.to_vec()).unwrap())
}

async fn read_all(body: &mut Streamed) -> String {
    let mut all = String::new();
    while let Some(text) = read(body).await {
        all.push_str(&text);
    }
    all
}

fn send(feed: &Feed, text: &'static str) {
    feed.send(Ok(Bytes::from_static(text.as_bytes()))).unwrap();
}

/// Fresh for a minute, with and without the length of `one two`.
const FRESH: [&str; 2] = [
    "cache-control: max-age=60",
    "cache-control: max-age=60|content-length: 7",
];

// Memory.

const CHUNK: usize = 64 << 10;
const GIBIBYTE: u64 = 1 << 30;
/// What a response may take beside what is recorded of it: a few chunks, on their way.
const ON_THE_WAY: u64 = 8 * CHUNK as u64;

/// A body whose bytes are made when they are asked for.
struct Made {
    left: u64,
    number: u8,
    /// Whether it makes its client wait before each frame, as a network does.
    waits: bool,
    waited: bool,
    /// Whether it says how long it is.
    announced: bool,
    _alive: Arc<()>,
}

/// Such a body, and what tells whether it is still there.
fn made(length: u64, waits: bool, announced: bool) -> (Body, Arc<()>) {
    let alive = Arc::new(());
    let made = Made {
        left: length,
        number: 0,
        waits,
        waited: false,
        announced,
        _alive: Arc::clone(&alive),
    };
    (Body::new(made), alive)
}

impl http_body::Body for Made {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.waited = self.waits && !self.waited;
        if self.waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= CHUNK as u64;
        self.number = self.number.wrapping_add(1);
        let chunk = Bytes::from(vec![self.number; CHUNK]);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        match self.announced {
            true => SizeHint::with_exact(self.left),
            false => SizeHint::default(),
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// What a future comes to on this thread, and the memory that was held for it meanwhile.
fn measured<F: Future>(runtime: &Runtime, future: F) -> (F::Output, AllocationInfo) {
    let mut output = None;
    let held = measure(|| output = Some(runtime.block_on(at_once(future))));
    (output.unwrap(), held)
}

/// Reads a body from its beginning, up to a length or its end, and says how long that is.
async fn read_up_to(body: &mut Streamed, length: u64) -> u64 {
    let mut read = 0;
    let mut number = 0_u8;
    while read < length {
        let Some(frame) = next(body).await else { break };
        let frame = frame.unwrap();
        number = number.wrapping_add(1);
        assert_eq!((frame.len(), frame[0]), (CHUNK, number), "in order");
        read += frame.len() as u64;
    }
    read
}

#[test]
fn a_gibibyte_flows_in_constant_memory() {
    const LIMIT: usize = 1 << 20;
    let storable = "cache-control: max-age=60";
    for (headers, waits, announced, recorded) in [
        ("cache-control: no-store", true, false, 0),
        (storable, true, true, 0),
        // It might be stored until the limit is passed; all at once, and little by little.
        (storable, false, false, LIMIT),
        (storable, true, false, LIMIT),
    ] {
        let stage = stage(CacheLayer::new().max_body_bytes(LIMIT));
        let (body, _) = made(GIBIBYTE, waits, announced);
        stage.answers(200, headers, body);
        let (length, held) = measured(&runtime(), async {
            read_up_to(&mut stage.gets().await, u64::MAX).await
        });
        assert_eq!(length, GIBIBYTE, "{headers}");
        let most = recorded as u64 + ON_THE_WAY;
        assert!(held.bytes_max <= most, "{headers} {announced}: {held:?}");
        assert!(held.bytes_current <= CHUNK as i64, "{headers}: {held:?}");
    }
}

#[test]
fn an_endless_stream_flows_and_ends_with_its_client() {
    const LIMIT: u64 = 1 << 20;
    for layer in [CacheLayer::new(), CacheLayer::shared_proxy()] {
        let stage = stage(layer.max_body_bytes(LIMIT as usize));
        let (body, alive) = made(u64::MAX, true, false);
        stage.answers(200, "cache-control: max-age=60", body);
        let runtime = runtime();
        let mut client = runtime.block_on(stage.gets());
        let recorded = 2 * LIMIT;
        assert!(runtime.block_on(read_up_to(&mut client, recorded)) == recorded);
        // What was recorded is let go; from here on nothing is.
        let (_, held) = measured(&runtime, async {
            for _ in 0..GIBIBYTE / CHUNK as u64 {
                assert_eq!(next(&mut client).await.unwrap().unwrap().len(), CHUNK);
            }
        });
        assert!(held.bytes_max <= ON_THE_WAY, "{held:?}");
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(client);
        runtime.block_on(settle());
        assert_eq!(Arc::strong_count(&alive), 1, "nobody reads it any more");
    }
}

// Frames.

#[tokio::test(start_paused = true)]
async fn each_frame_arrives_before_the_next_one_exists() {
    let [plain, announced] = FRESH;
    let none = "";
    for (way, method, asked, answered) in [
        ("stored", "GET", none, plain),
        ("stored, of known length", "GET", none, announced),
        (
            "one of several",
            "GET",
            none,
            "cache-control: max-age=60|vary: accept",
        ),
        ("not stored", "GET", none, "cache-control: no-store"),
        ("not declared", "GET", none, none),
        ("another method", "POST", none, plain),
        ("a part", "GET", "range: bytes=0-6", plain),
    ] {
        for layer in [CacheLayer::new(), CacheLayer::shared_proxy()] {
            // Kept whole, too large from the second frame on, and too large at once.
            for limit in [100, 5, 1] {
                let stage = stage(layer.clone().max_body_bytes(limit));
                let feed = stage.streams(answered);
                let mut client = stage.asks(method, asked).await.into_body();
                for text in ["one", " t", "wo"] {
                    send(&feed, text);
                    assert_eq!(read(&mut client).await.as_deref(), Some(text), "{way}");
                }
                drop(feed);
                assert_eq!(read(&mut client).await, None, "{way}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn joiners_get_each_frame_before_the_next_one_exists() {
    for headers in FRESH {
        let stage = stage(CacheLayer::new());
        let feed = stage.streams(headers);
        let mut clients = [stage.gets().await, stage.gets().await, stage.gets().await];
        for text in ["one", " t", "wo"] {
            send(&feed, text);
            for client in &mut clients {
                assert_eq!(read(client).await.as_deref(), Some(text));
            }
        }
        drop(feed);
        for client in &mut clients {
            assert_eq!(read(client).await, None);
        }
        assert_eq!(stage.asked.get(), 1);
    }
}

// Clients that are slow, and clients that leave.

#[tokio::test(start_paused = true)]
async fn a_slow_client_holds_nobody() {
    for headers in FRESH {
        for slow in [0, 1] {
            let stage = stage(CacheLayer::new());
            let feed = stage.streams(headers);
            let mut clients = vec![stage.gets().await, stage.gets().await];
            let mut slow = clients.swap_remove(slow);
            let mut other = clients.remove(0);
            for text in ["one ", "two"] {
                send(&feed, text);
                assert_eq!(read(&mut other).await.as_deref(), Some(text));
            }
            drop(feed);
            assert_eq!(read(&mut other).await, None);
            assert_eq!(stage.reply("").await.assert_hit().text(), "one two");
            assert_eq!(read_all(&mut slow).await, "one two");
            assert_eq!(stage.asked.get(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn past_the_limit_a_slow_first_client_holds_no_joiner() {
    let stage = stage(CacheLayer::new().max_body_bytes(6));
    let feed = stage.streams(FRESH[0]);
    let mut slow = stage.gets().await;
    let mut joined = stage.gets().await;
    send(&feed, "one ");
    send(&feed, "two ");
    // The rest is the first client's, who reads nothing; the joiner's is from a request of its own.
    let own = stage.streams(FRESH[0]);
    send(&own, "one two three");
    drop(own);
    assert_eq!(read_all(&mut joined).await, "one two three");
    send(&feed, "three");
    drop(feed);
    assert_eq!(read_all(&mut slow).await, "one two three");
    assert_eq!(stage.asked.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_takes_nothing_from_who_stays() {
    for headers in FRESH {
        for leaves in 0..3 {
            let stage = stage(CacheLayer::new());
            let feed = stage.streams(headers);
            let mut clients = vec![stage.gets().await, stage.gets().await, stage.gets().await];
            send(&feed, "one ");
            for client in &mut clients {
                assert_eq!(read(client).await.as_deref(), Some("one "));
            }
            drop(clients.remove(leaves));
            settle().await;
            send(&feed, "two");
            for client in &mut clients {
                assert_eq!(read(client).await.as_deref(), Some("two"), "{leaves} left");
            }
            drop(feed);
            for client in &mut clients {
                assert_eq!(read(client).await, None);
            }
            assert_eq!(stage.reply("").await.assert_hit().text(), "one two");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_after_all_have_left_gets_all() {
    for headers in FRESH {
        let stage = stage(CacheLayer::new());
        let feed = stage.streams(headers);
        let mut clients = [stage.gets().await, stage.gets().await];
        send(&feed, "one ");
        for client in &mut clients {
            assert_eq!(read(client).await.as_deref(), Some("one "));
        }
        drop(clients);
        settle().await;
        stage.clock.advance(10 * SECOND);
        settle().await;
        let mut back = stage.gets().await;
        assert_eq!(read(&mut back).await.as_deref(), Some("one "));
        send(&feed, "two");
        assert_eq!(read(&mut back).await.as_deref(), Some("two"));
        drop(feed);
        assert_eq!(read(&mut back).await, None);
        assert_eq!(stage.reply("").await.assert_hit().text(), "one two");
        assert_eq!(stage.asked.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn past_the_limit_who_leaves_takes_nothing_from_who_stays() {
    for first_leaves in [true, false] {
        let stage = stage(CacheLayer::new().max_body_bytes(6));
        let feed = stage.streams(FRESH[0]);
        let mut first = stage.gets().await;
        let mut joined = stage.gets().await;
        send(&feed, "one ");
        for client in [&mut first, &mut joined] {
            assert_eq!(read(client).await.as_deref(), Some("one "));
        }
        send(&feed, "two ");
        settle().await;
        if first_leaves {
            drop(first);
            assert!(feed.is_closed(), "nobody else may have the rest");
            let own = stage.streams(FRESH[0]);
            send(&own, "one two three");
            drop(own);
            assert_eq!(read_all(&mut joined).await, "two three");
        } else {
            drop(joined);
            send(&feed, "three");
            drop(feed);
            assert_eq!(read_all(&mut first).await, "two three");
        }
    }
}

// Other requests meanwhile.

#[tokio::test(start_paused = true)]
async fn head_ranges_and_conditions_do_not_wait_for_a_stream() {
    for layer in [CacheLayer::new(), CacheLayer::shared_proxy()] {
        for headers in FRESH {
            let headers = format!("{headers}|etag: \"a\"");
            let stage = stage(layer.clone());
            let feed = stage.streams(&headers);
            let mut client = stage.gets().await;
            send(&feed, "one ");
            assert_eq!(read(&mut client).await.as_deref(), Some("one "));

            stage.answers(200, &headers, Body::empty());
            let head = stage.asks("HEAD", "").await;
            assert_eq!(at_once(Reply::of(head)).await.text(), "");
            stage.answers(
                206,
                "cache-control: max-age=60|etag: \"a\"|content-range: bytes 0-2/7",
                "one".into(),
            );
            let part = stage.reply("range: bytes=0-2").await;
            assert_eq!((part.status.as_u16(), part.text()), (206, "one"));
            assert_eq!(stage.asked.get(), 3, "both are the origin's to answer");
            let has_it = stage.reply("if-none-match: \"a\"").await;
            assert_eq!((has_it.status.as_u16(), has_it.text()), (304, ""));
            assert_eq!(stage.asked.get(), 3, "the head of the stream says so");

            send(&feed, "two");
            assert_eq!(read(&mut client).await.as_deref(), Some("two"));
            drop(feed);
            assert_eq!(read(&mut client).await, None);
            assert_eq!(stage.reply("").await.assert_hit().text(), "one two");
            let part = stage.reply("range: bytes=4-").await;
            assert_eq!(part.assert_hit().text(), "two");
            let head = stage.asks("HEAD", "").await;
            assert_eq!(head.headers()["content-length"], "7");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_is_not_told_of_what_comes_after() {
    for layer in [CacheLayer::new(), CacheLayer::shared_proxy()] {
        let stage = stage(layer);
        let old = "cache-control: max-age=60|etag: \"a\"";
        let feed = stage.streams(old);
        let mut streaming = stage.gets().await;
        send(&feed, "one ");
        assert_eq!(read(&mut streaming).await.as_deref(), Some("one "));
        send(&feed, "two");
        drop(feed);
        settle().await;
        let mut hit = stage.gets().await;

        stage.clock.advance(61 * SECOND);
        stage.answers(304, old, Body::empty());
        let validated = stage.reply("").await;
        assert_eq!(validated.text(), "one two");
        assert!(validated.cache().contains("; fwd=stale; fwd-status=304"));
        assert_eq!(stage.reply("").await.assert_hit().text(), "one two");

        stage.clock.advance(61 * SECOND);
        let feed = stage.streams("cache-control: max-age=60|etag: \"b\"");
        let mut new = stage.gets().await;
        send(&feed, "three");
        assert_eq!(read(&mut new).await.as_deref(), Some("three"));
        assert_eq!(read_all(&mut streaming).await, "two");
        assert_eq!(read_all(&mut hit).await, "one two");
        drop(feed);
        assert_eq!(read(&mut new).await, None);
        assert_eq!(stage.reply("").await.assert_hit().text(), "three");
        assert_eq!(stage.asked.get(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn the_old_one_is_served_while_its_refresh_streams() {
    let stage = stage(CacheLayer::new());
    let headers = "cache-control: max-age=60, stale-while-revalidate=60";
    stage.answers(200, headers, "old".into());
    assert_eq!(stage.reply("").await.text(), "old");
    stage.clock.advance(61 * SECOND);
    let feed = stage.streams(headers);
    for text in ["new ", "page"] {
        assert_eq!(stage.reply("").await.assert_hit().text(), "old");
        settle().await;
        send(&feed, text);
    }
    drop(feed);
    settle().await;
    assert_eq!(stage.reply("").await.assert_hit().text(), "new page");
    assert_eq!(stage.asked.get(), 2);
}
