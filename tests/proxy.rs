//! The proxy example as somebody runs it, by the bytes on both of its sides: around a service and
//! around a router.
#![cfg(all(feature = "axum", unix))]

mod example_support;

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};

use example_support::wire::{Message, Origin, Wire, bytes};
use example_support::{Example, PATIENCE};

/// A running proxy.
struct Proxy(Example);

impl Proxy {
    fn of(origin: &Origin, wrap: &str) -> Self {
        let url = format!("http://{}", origin.address);
        let settings = [
            ("LISTEN", "127.0.0.1:0"),
            ("ORIGIN", &url),
            ("WRAP", wrap),
            ("TIMEOUT", "60"),
        ];
        Self(Example::start("proxy", &settings))
    }

    fn connect(&self) -> Wire {
        Wire::new(TcpStream::connect(&self.0.address).unwrap())
    }

    /// Sends a request as it is written.
    fn sends(&self, request: &str) -> Message {
        let mut wire = self.connect();
        wire.write(bytes(request));
        wire.message(request.starts_with("HEAD "))
    }

    fn asks(&self, method: &str, target: &str) -> Message {
        self.sends(&format!(
            "{method} {target} HTTP/1.1\r\nhost: a.example\r\n\r\n"
        ))
    }
}

/// Runs each test around a service and around a router.
macro_rules! around_both {
    ($($name:ident)*) => {
        mod service {
            $(#[test] fn $name() { super::$name("service"); })*
        }
        mod router {
            $(#[test] fn $name() { super::$name("router"); })*
        }
    };
}

around_both! {
    a_failing_origin_is_asked_once
    a_hundred_at_once
    answers_come_as_they_were
    answers_in_every_framing
    bodies_flow_both_ways
    fields_keep_their_order
    it_lets_go_of_what_its_client_left
    it_lets_requests_end_when_it_stops
    large_heads_and_bodies
    lost_bodies_are_seen_to_be
    requests_arrive_as_they_were
    silence_ends
    what_is_stored_comes_as_it_was
}

fn requests_arrive_as_they_were(wrap: &str) {
    let origin = Origin::plays("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let proxy = Proxy::of(&origin, wrap);
    let fields = "Host: a.example\r\nX-Odd: \u{e9}\u{ff}\t\u{80}\r\nX-Many: 1\r\nx-many: 2\r\nCookie: a=b\r\n\
        Accept-Encoding: br\r\nX-Empty:\r\nConnection: keep-alive, X-Mine\r\nConnection: , x-too\r\n\
        X-Mine: 1\r\nX-Too: 1\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nProxy-Authorization: a\r\n\
        TE: trailers\r\nUpgrade: h2c\r\n";
    let host = format!("host: {}", origin.address);
    let targets = [
        "/",
        "/a%2Fb/../c;d?",
        "//x?q=%zz&r={}|[]'~",
        "/a?b?c=http://d/",
    ];
    let methods = [
        "GET", "PUT", "POST", "DELETE", "OPTIONS", "TRACE", "M-SEARCH", "get", "QUERY",
    ];
    for (n, method) in methods.into_iter().enumerate() {
        let target = targets[n % targets.len()];
        for (framing, body, framed) in [
            ("", "", ""),
            (
                "Content-Length: 5\r\n",
                "a\r\n\0\u{ff}",
                "content-length: 5",
            ),
            (
                "Transfer-Encoding: Chunked\r\n",
                "2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                "transfer-encoding: chunked",
            ),
        ] {
            let answer = proxy.sends(&format!(
                "{method} {target} HTTP/1.1\r\n{fields}{framing}\r\n{body}"
            ));
            assert_eq!(
                (answer.status(), answer.body.as_str()),
                ("200", "ok"),
                "{method}"
            );
            let seen = origin.last();
            assert_eq!(seen.line(), format!("{method} {target} HTTP/1.1"));
            let mut expected = vec![
                "accept-encoding: br",
                "connection: close",
                "cookie: a=b",
                &host,
                "via: 1.1 revalidate",
                "x-empty: ",
                "x-many: 1",
                "x-many: 2",
                "x-odd: \u{e9}\u{ff}\t\u{80}",
            ];
            expected.extend(Some(framed).filter(|framed| !framed.is_empty()));
            expected.sort_by_key(|line| line.split(':').next());
            assert_eq!(seen.fields(&[]), expected, "{method} {framing}");
            let sent = if framed.starts_with('t') { "abc" } else { body };
            assert_eq!(seen.body, sent, "{method} {framing}");
        }
    }
    assert_eq!(proxy.asks("OPTIONS", "*").status(), "200");
    assert_eq!(origin.last().line(), "OPTIONS * HTTP/1.1");
    assert_eq!(proxy.asks("GET", "http://a.example/b?c").status(), "200");
    assert_eq!(origin.last().line(), "GET /b?c HTTP/1.1");
    let old = proxy.sends("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!((old.line(), old.body.as_str()), ("HTTP/1.0 200 OK", "ok"));
    assert_eq!(origin.last().line(), "GET /old HTTP/1.1");
    let coded = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    let asked = origin.asked();
    assert_eq!(proxy.sends(coded).status(), "501");
    assert_eq!(origin.asked(), asked);
}

fn answers_come_as_they_were(wrap: &str) {
    let origin = Origin::answers(|request| {
        let status = request.line().split(['/', ' ']).nth(2).unwrap().to_owned();
        format!(
            "HTTP/1.1 {status} So so\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nCache-Control: no-store\r\n\
            X-Odd: \u{e9}\u{ff}\r\nX-Odd: \u{80}\r\nX-Folded: a\r\n  b\r\nX-Space : c\r\nSet-Cookie: a\r\n\
            Set-Cookie: b\r\nContent-Encoding: gzip\r\nLocation: http://b.example/\r\nX-Mine: 1\r\n\
            Connection: x-mine, close\r\nKeep-Alive: 1\r\nProxy-Authenticate: a\r\nUpgrade: h2c\r\n\
            Content-Length: 3\r\n\r\n\0\u{ff}\n"
        )
    });
    let proxy = Proxy::of(&origin, wrap);
    for method in ["GET", "POST", "ODD"] {
        for status in [
            200, 201, 203, 206, 226, 299, 300, 301, 304, 307, 399, 401, 404, 407, 499, 500, 503,
            599, 600, 999,
        ] {
            let answer = proxy.asks(method, &format!("/{status}"));
            if method != "GET" || status != 304 {
                assert_eq!(answer.line(), format!("HTTP/1.1 {status} So so"));
            }
            let expected = [
                "cache-control: no-store",
                "content-encoding: gzip",
                "date: Thu, 01 Jan 1970 00:00:00 GMT",
                "location: http://b.example/",
                "set-cookie: a",
                "set-cookie: b",
                "x-folded: a b",
                "x-odd: \u{e9}\u{ff}",
                "x-odd: \u{80}",
                "x-space: c",
            ];
            assert_eq!(
                answer.fields(&["cache-status", "content-length"]),
                expected,
                "{method} {status}"
            );
            assert_eq!(
                answer.cache().matches("revalidate; fwd=").count(),
                1,
                "{answer:?}"
            );
            let body = if status == 304 { "" } else { "\0\u{ff}\n" };
            assert_eq!(answer.body, body, "{method} {status}");
        }
    }
}

fn fields_keep_their_order(wrap: &str) {
    for cache_control in ["no-store", "max-age=60"] {
        let origin = Origin::answers(move |_| {
            format!(
                "HTTP/1.1 200 OK\r\nKeep-Alive: 1\r\nX-A: 1\r\nX-Mine: 1\r\nX-B: 1\r\nCache-Control: {cache_control}\r\n\
                X-C: 1\r\nConnection: x-mine\r\nX-D: 1\r\nContent-Length: 0\r\nX-E: 1\r\n\r\n"
            )
        });
        let proxy = Proxy::of(&origin, wrap);
        for _ in 0..2 {
            let answer = proxy.asks("GET", "/");
            let names = answer
                .head
                .split("\r\n")
                .map(|line| line.split(':').next().unwrap());
            let own: Vec<_> = names.filter(|name| name.starts_with("x-")).collect();
            assert_eq!(own, ["x-a", "x-b", "x-c", "x-d", "x-e"], "{cache_control}");
        }
    }
}

fn answers_in_every_framing(wrap: &str) {
    let framings = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", "abc"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
            "abc",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nx-late: 1\r\n\r\n",
            "abc",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "abc",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nabc", "abc"),
        ("HTTP/1.0 200 OK\r\n\r\nabc", "abc"),
        ("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", ""),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\nabc",
            "abc",
        ),
    ];
    for (reply, body) in framings {
        for stored in ["no-store", "max-age=60"] {
            let reply = reply.replacen(
                "200 OK\r\n",
                &format!("200 OK\r\ncache-control: {stored}\r\n"),
                1,
            );
            let origin = Origin::answers(move |_| reply.clone());
            let proxy = Proxy::of(&origin, wrap);
            for method in ["GET", "GET", "POST"] {
                let answer = proxy.asks(method, "/");
                assert_eq!(answer.status(), "200", "{answer:?}");
                assert!(answer.head.starts_with("HTTP/1.1 "), "{answer:?}");
                assert!(answer.whole && answer.body == body, "{answer:?}");
            }
        }
    }
    for (reply, length) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", &["3"][..]),
        ("HTTP/1.1 200 OK\r\n\r\n", &[]),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &[]),
    ] {
        let origin = Origin::plays(reply);
        let answer = Proxy::of(&origin, wrap).asks("HEAD", "/");
        assert_eq!(
            (answer.status(), answer.header("content-length")),
            ("200", length.to_vec())
        );
        assert_eq!(origin.last().line(), "HEAD / HTTP/1.1");
    }
    for status in ["204 No Content", "304 Not Modified"] {
        let origin = Origin::answers(move |_| format!("HTTP/1.1 {status}\r\netag: \"a\"\r\n\r\n"));
        let proxy = Proxy::of(&origin, wrap);
        // Both over one connection: the first is seen to have no body.
        let mut wire = proxy.connect();
        for _ in 0..2 {
            wire.write("POST / HTTP/1.1\r\nhost: a.example\r\n\r\n");
            let answer = wire.message(false);
            assert_eq!(answer.line(), format!("HTTP/1.1 {status}"));
            assert_eq!(answer.fields(&["cache-status", "date"]), ["etag: \"a\""]);
        }
    }
}

fn bodies_flow_both_ways(wrap: &str) {
    for stored in ["no-store", "max-age=60"] {
        let (heard, next) = channel::<()>();
        let next = Mutex::new(next);
        let origin = Origin::acts(move |mut wire| {
            let head = wire.until(b"\r\n\r\n");
            let chunked = head.contains("chunked");
            wire.write(format!(
                "HTTP/1.1 200 OK\r\ncache-control: {stored}\r\n\r\n"
            ));
            if chunked {
                // What comes goes back.
                for _ in 0..2 {
                    assert_eq!(wire.until(b"\r\n"), "3\r\n");
                    let chunk = wire.take(3);
                    wire.write(chunk);
                    assert_eq!(wire.take(2), "\r\n");
                }
                assert_eq!(wire.take(5), "0\r\n\r\n");
            } else {
                wire.write("abc");
                next.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                wire.write("def");
            }
        });
        let proxy = Proxy::of(&origin, wrap);
        let mut wire = proxy.connect();
        wire.write("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n");
        wire.until(b"\r\n\r\n");
        assert_eq!(wire.take(8), "3\r\nabc\r\n");
        heard.send(()).unwrap();
        assert_eq!(wire.take(13), "3\r\ndef\r\n0\r\n\r\n");

        wire.write("GET /echo HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n");
        wire.write("3\r\nabc\r\n");
        wire.until(b"\r\n\r\n");
        assert_eq!(wire.take(8), "3\r\nabc\r\n");
        wire.write("3\r\ndef\r\n0\r\n\r\n");
        assert_eq!(wire.take(13), "3\r\ndef\r\n0\r\n\r\n");
    }
}

fn large_heads_and_bodies(wrap: &str) {
    let many = |name: &str| {
        (0..300)
            .map(|n| format!("{name}-{n}: {}\r\n", "\u{e9}".repeat(300)))
            .collect::<String>()
    };
    let body = "0123456789abcdef".repeat(10 << 16);
    let (reply, fields) = (body.clone(), many("x-down"));
    let origin = Origin::answers(move |request| {
        let stored = if request.line().contains("kept") {
            "max-age=60"
        } else {
            "no-store"
        };
        format!("HTTP/1.1 200 OK\r\ncache-control: {stored}\r\n{fields}\r\n{reply}")
    });
    let proxy = Proxy::of(&origin, wrap);
    for request in [
        format!("GET / HTTP/1.1\r\n{}\r\n", many("x-up")),
        format!("GET /kept HTTP/1.1\r\n{}\r\n", many("x-up")),
        format!(
            "PUT / HTTP/1.1\r\n{}content-length: {}\r\n\r\n{body}",
            many("x-up"),
            body.len()
        ),
    ] {
        let answer = proxy.sends(&request);
        assert_eq!(answer.status(), "200");
        assert!(
            answer.whole && answer.body == body,
            "{} of {}",
            answer.body.len(),
            body.len()
        );
        assert_eq!(answer.head.matches("x-down-").count(), 300);
        let seen = origin.last();
        assert_eq!(seen.head.matches("x-up-").count(), 300);
        assert!(seen.body.is_empty() || seen.body == body);
    }
}

fn a_hundred_at_once(wrap: &str) {
    const MANY: usize = 100;
    let all = Barrier::new(MANY);
    let origin = Origin::answers(move |request| {
        all.wait();
        format!("HTTP/1.1 200 OK\r\n\r\n{}", request.line())
    });
    let proxy = Proxy::of(&origin, wrap);
    let requests = (0..MANY).map(|n| {
        let method = if n % 2 == 0 { "GET" } else { "POST" };
        format!("{method} /{n} HTTP/1.1")
    });
    let sent: Vec<_> = requests
        .map(|line| {
            let mut wire = proxy.connect();
            wire.write(format!("{line}\r\nhost: a.example\r\n\r\n"));
            (line, wire)
        })
        .collect();
    for (line, mut wire) in sent {
        assert_eq!(wire.message(false).body, line);
    }
    assert_eq!(origin.asked(), MANY);
}

fn what_is_stored_comes_as_it_was(wrap: &str) {
    let origin = Origin::plays(
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nx-odd: \u{e9}\u{ff}\r\nx-many: 1\r\nx-many: 2\r\n\
        connection: x-mine\r\nx-mine: 1\r\nkeep-alive: 5\r\netag: \"a\"\r\n\r\nabc",
    );
    let proxy = Proxy::of(&origin, wrap);
    let first = proxy.asks("GET", "/");
    assert!(first.cache().contains("stored"), "{first:?}");
    for method in ["GET", "HEAD"] {
        let again = proxy.asks(method, "/");
        assert!(again.cache().contains("; hit"), "{again:?}");
        let but = [
            "age",
            "cache-status",
            "content-length",
            "date",
            "transfer-encoding",
        ];
        assert_eq!(again.fields(&but), first.fields(&but));
        assert_eq!(again.header("x-odd"), ["\u{e9}\u{ff}"]);
        assert_eq!(again.header("content-length"), ["3"]);
        assert_eq!(again.body, if method == "GET" { "abc" } else { "" });
    }
    assert_eq!(origin.asked(), 1);
}

fn a_failing_origin_is_asked_once(wrap: &str) {
    for reply in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: a\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "SSH-2.0\r\n\r\n",
    ] {
        let origin = Origin::plays(reply);
        let proxy = Proxy::of(&origin, wrap);
        for (n, method) in ["GET", "POST", "PUT"].into_iter().enumerate() {
            let answer = proxy.asks(method, "/");
            assert_eq!(
                (answer.status(), answer.body.as_str()),
                ("502", ""),
                "{reply}"
            );
            assert_eq!(origin.asked(), n + 1, "{method} {reply}");
        }
    }
    // One that refuses connections.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nowhere = Origin {
        address: address.to_string(),
        seen: Arc::default(),
    };
    let proxy = Proxy::of(&nowhere, wrap);
    assert_eq!(proxy.asks("GET", "/").status(), "502");
    assert_eq!(proxy.asks("POST", "/").status(), "502");
}

fn lost_bodies_are_seen_to_be(wrap: &str) {
    for reply in [
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let origin = Origin::plays(reply);
        let proxy = Proxy::of(&origin, wrap);
        for (n, method) in ["GET", "POST", "GET"].into_iter().enumerate() {
            let answer = proxy.asks(method, "/");
            assert!(!answer.whole, "{answer:?}");
            assert_eq!(origin.asked(), n + 1);
        }
    }
}

fn silence_ends(wrap: &str) {
    let origin = Origin::acts(|mut wire| {
        let request = wire.message(false);
        if request.line().contains("/silent") {
            // Until the proxy gives up.
            while wire.more() {}
        }
        wire.write("HTTP/1.1 200 OK\r\n\r\n");
    });
    let url = format!("http://{}", origin.address);
    let settings = [
        ("LISTEN", "127.0.0.1:0"),
        ("ORIGIN", &url),
        ("WRAP", wrap),
        ("TIMEOUT", "1"),
    ];
    let proxy = Proxy(Example::start("proxy", &settings));
    let mut silent = ["GET", "POST"].map(|method| {
        let mut wire = proxy.connect();
        wire.write(format!(
            "{method} /silent HTTP/1.1\r\nhost: a.example\r\n\r\n"
        ));
        wire
    });
    assert_eq!(proxy.asks("GET", "/").status(), "200");
    for wire in &mut silent {
        assert_eq!(wire.message(false).status(), "504");
    }
}

fn it_lets_go_of_what_its_client_left(wrap: &str) {
    let (told, ended) = channel();
    let told = Mutex::new(told);
    let origin = Origin::acts(move |mut wire| {
        wire.message(false);
        told.lock().unwrap().send(()).unwrap();
        while wire.more() {}
        told.lock().unwrap().send(()).unwrap();
    });
    let proxy = Proxy::of(&origin, wrap);
    let mut wire = proxy.connect();
    wire.write("POST / HTTP/1.1\r\nhost: a.example\r\n\r\n");
    ended.recv_timeout(PATIENCE).unwrap();
    drop(wire);
    // Long before the origin's time is up.
    ended.recv_timeout(PATIENCE).unwrap();
}

fn it_lets_requests_end_when_it_stops(wrap: &str) {
    for signal in ["-TERM", "-INT"] {
        let (told, asked) = channel();
        let (go, gone) = channel::<()>();
        let both = Mutex::new((told, gone));
        let origin = Origin::acts(move |mut wire| {
            wire.message(false);
            let both = both.lock().unwrap();
            both.0.send(()).unwrap();
            both.1.recv_timeout(PATIENCE).unwrap();
            wire.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
        });
        let proxy = Proxy::of(&origin, wrap);
        let mut idle = proxy.connect();
        let mut wire = proxy.connect();
        wire.write("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n");
        asked.recv_timeout(PATIENCE).unwrap();
        proxy.0.signal(signal);
        // It no longer listens, and closes what is idle.
        assert_eq!(idle.take(1), "");
        assert!(TcpStream::connect(&proxy.0.address).is_err());
        go.send(()).unwrap();
        assert_eq!(wire.message(false).body, "abc");
        let (status, said) = proxy.0.end("-0");
        assert_eq!(
            (status.code(), said),
            (Some(0), vec!["proxy: stopped".to_owned()]),
            "{signal}"
        );
    }
}

#[test]
fn what_it_cannot_use_it_names() {
    let right = [("LISTEN", "127.0.0.1:0"), ("ORIGIN", "http://127.0.0.1:1")];
    for (variable, value) in [
        ("LISTEN", "nowhere"),
        ("ORIGIN", "nowhere"),
        ("ORIGIN", "https://a.example"),
        ("ORIGIN", "http://a.example/below"),
        ("ORIGIN", "http://a.example/?b"),
        ("TIMEOUT", "soon"),
        ("WRAP", "paper"),
    ] {
        let (status, said) = Example::refused("proxy", &[right[0], right[1], (variable, value)]);
        assert_eq!(status.code(), Some(1), "{variable}");
        let named = said.starts_with(&format!("proxy: {variable} {value}"));
        assert!(named && said.lines().count() == 1, "{said}");
    }
    for (n, variable) in ["LISTEN", "ORIGIN"].into_iter().enumerate() {
        let (status, said) = Example::refused("proxy", &[right[1 - n]]);
        assert_eq!(status.code(), Some(1), "{variable}");
        assert_eq!(
            said,
            format!("proxy: {variable}: environment variable not found\n")
        );
    }
}
