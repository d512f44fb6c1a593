//! The example `bookmarks`: as somebody runs it, and its middleware on a node that has not heard yet.
#![cfg(all(feature = "axum", feature = "bookmarks", unix))]

#[path = "../examples/bookmarks/carry.rs"]
mod carry;
mod example_support;

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use axum::{Extension, Router, middleware};
use carry::{Bookmarks, carry};
use example_support::{Example, PATIENCE};
use http_body_util::BodyExt;
use revalidate::remote::Memory;
use revalidate::{Cache, CacheLayer, invalidate_cache};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

const SECRET: [u8; 32] = [7; 32];

/// A node whose tasks run while it is asked, and at no other time: it hears of nothing in between.
struct Node {
    runtime: Runtime,
    app: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn came_from(&self) -> &str {
        self.headers["cache-status"].to_str().unwrap()
    }
}

impl Node {
    fn new(server: &Memory, database: &Arc<Mutex<String>>, secret: [u8; 32]) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let cache = Cache::builder().remote(server.clone()).build();
        runtime.block_on(cache.connected());
        let (read, written) = (Arc::clone(database), Arc::clone(database));
        let read = async move || read.lock().unwrap().clone();
        let write = async move |text: String| {
            *written.lock().unwrap() = text;
            let done = invalidate_cache("greeting").await.unwrap();
            (done.bookmark.map(Extension), StatusCode::NO_CONTENT)
        };
        let cookies = async |headers: HeaderMap| {
            let cookies = headers.get_all(header::COOKIE).iter();
            let cookies = cookies.map(|cookies| cookies.to_str().unwrap());
            cookies.collect::<Vec<_>>().join(" and ")
        };
        let app = Router::new()
            .route("/", get(read).put(write))
            .layer(CacheLayer::new().tags(["greeting"]).ttl("1h"))
            .route("/cookies", get(cookies))
            .layer(middleware::from_fn_with_state(
                Bookmarks(cache, secret),
                carry,
            ));
        Self { runtime, app }
    }

    fn ask(&self, method: &str, path: &str, cookies: &[&str], body: &'static str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for cookies in cookies {
            request = request.header(header::COOKIE, *cookies);
        }
        let request = request.body(Body::from(body)).unwrap();
        self.runtime.block_on(async {
            let (head, body) = self
                .app
                .clone()
                .oneshot(request)
                .await
                .unwrap()
                .into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Answer {
                status: head.status,
                headers: head.headers,
                body: String::from_utf8(body.into()).unwrap(),
            }
        })
    }

    fn read(&self, cookies: &[&str]) -> Answer {
        self.ask("GET", "/", cookies, "")
    }

    /// Changes the greeting; the cookie that was answered.
    fn write(&self, greeting: &'static str) -> String {
        let answer = self.ask("PUT", "/", &[], greeting);
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
        let cookie = answer.header(header::SET_COOKIE);
        let (cookie, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(
            attributes,
            "Path=/; Max-Age=20; HttpOnly; Secure; SameSite=Lax"
        );
        cookie.to_owned()
    }
}

/// Two nodes that have read the same, of which the first has changed it since; and the cookie it gave.
fn changed() -> (Node, Node, String) {
    let (server, database) = (Memory::new(), Arc::new(Mutex::new("old".to_owned())));
    let (one, other) = (
        Node::new(&server, &database, SECRET),
        Node::new(&server, &database, SECRET),
    );
    for node in [&one, &other] {
        assert_eq!(node.read(&[]).body, "old");
        assert!(node.read(&[]).came_from().contains("; hit"));
    }
    let cookie = one.write("new");
    (one, other, cookie)
}

#[test]
fn who_wrote_reads_that_on_a_node_that_has_not_heard_of_it() {
    let (one, other, cookie) = changed();
    // Others wait for nothing, and may see for a moment what was.
    assert_eq!(other.read(&[]).body, "old");
    let read = other.read(&[&cookie]);
    assert_eq!(
        (read.body.as_str(), one.read(&[]).body.as_str()),
        ("new", "new")
    );
    // It is stored for everybody, without the cookie.
    assert!(read.came_from().contains("stored"), "{}", read.came_from());
    assert_eq!(read.header(header::SET_COOKIE), "");
    assert_ne!(read.header(header::CACHE_CONTROL), "no-store");
    for cookies in [&[][..], &[&*cookie]] {
        let read = other.read(cookies);
        assert!(read.came_from().contains("; hit"), "{}", read.came_from());
        assert_eq!(
            (read.body.as_str(), read.header(header::SET_COOKIE)),
            ("new", "")
        );
    }
}

#[test]
fn a_cookie_of_others_making_is_as_none() {
    let (_, other, cookie) = changed();
    let foreign = Node::new(&Memory::new(), &Arc::default(), [8; 32]).write("new");
    for cookie in [
        &foreign,
        "__Host-bookmark=",
        "__Host-bookmark=AAAA",
        "__Host-bookmark=%7F",
    ] {
        let read = other.read(&[cookie]);
        assert!(
            read.came_from().contains("; hit"),
            "{cookie}: {}",
            read.came_from()
        );
        assert_eq!(read.body, "old");
    }
    // A right one counts beside it.
    assert_eq!(other.read(&[&foreign, &cookie]).body, "new");
}

#[test]
fn what_is_inside_sees_the_other_cookies_alone() {
    let (_, other, cookie) = changed();
    let between = format!("a=b;{cookie}; c=d");
    for (sent, seen) in [
        (vec![&*between], "a=b; c=d"),
        (vec!["a=b", &*cookie, "c=d"], "a=b; c=d"),
        (vec![&*cookie], ""),
        (vec!["__Host-bookmarks=e"], "__Host-bookmarks=e"),
    ] {
        assert_eq!(other.ask("GET", "/cookies", &sent, "").body, seen);
    }
}

#[test]
fn the_example() {
    let example = Example::start("bookmarks", &[("LISTEN", "127.0.0.1:0")]);
    let agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE));
    let agent = agent.build().new_agent();
    let other = &example.beside;
    let greeting = |cookie: &str| {
        let asked = agent.get(other).header("cookie", cookie).call();
        asked.unwrap().body_mut().read_to_string().unwrap()
    };
    assert_eq!(greeting(""), "");
    for text in ["good morning", "good evening"] {
        let put = agent.put(format!("http://{}/", example.address)).send(text);
        let put = put.unwrap();
        let cookie = put.headers()["set-cookie"].to_str().unwrap();
        assert_eq!(greeting(cookie.split(';').next().unwrap()), text);
    }
    let (status, said) = example.end("-TERM");
    assert!(status.success(), "{said:?}");
}
