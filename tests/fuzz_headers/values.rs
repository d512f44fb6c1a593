//! Messages of random header values: realistic ones, realistic ones with a few bytes changed, any bytes.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::select;

/// Realistic values of the fields of a response.
const RESPONSES: &[(&str, &[&str])] = &[
    (
        "cache-control",
        &[
            "max-age=60",
            "public, max-age=60",
            "s-maxage=60, stale-while-revalidate=30",
            "no-store",
            "private, max-age=60",
            "max-age=60, private=\"x-a, set-cookie\"",
            "no-cache=\"x-a\", max-age=\"60\"",
            "max-age=60, foo=\"no-store, \\\" private\"",
            "no-store, must-understand, max-age=60",
            "max-age=60; no-store",
        ],
    ),
    (
        "cdn-cache-control",
        &[
            "max-age=60",
            "no-store",
            "max-age=60, private",
            "max-age=60;a=\"b\", foo=(a b), bar=:YQ==:",
        ],
    ),
    (
        "expires",
        &[
            "Thu, 01 Jan 2026 01:00:00 GMT",
            "Thursday, 01-Jan-26 01:00:00 GMT",
            "Thu Jan  1 01:00:00 2026",
            "Wed, 31 Dec 2025 00:00:00 GMT",
            "0",
        ],
    ),
    ("date", &["Thu, 01 Jan 2026 00:00:00 GMT"]),
    ("age", &["0", "30", "60", "4294967296"]),
    ("last-modified", &["Wed, 31 Dec 2025 00:00:00 GMT"]),
    ("vary", &["x-s", "X-S, cookie", "*", "accept-encoding"]),
    ("etag", &["\"a\"", "W/\"a\"", "\"a,b\"", "\"\u{e9}\""]),
    ("content-range", &["bytes 0-4/5", "bytes */5"]),
    ("content-length", &["5"]),
    ("connection", &["close", "keep-alive, x-a", "x-b"]),
    ("set-cookie", &["a=b; Path=/; HttpOnly", "c=d"]),
    ("location", &["/other", "http://a.example/", "//b.example/"]),
    ("content-location", &["/", "other?x=1", "http://a.example/"]),
    ("cache-groups", &["\"a\"", "\"a\", \"b\";c", "\"\\\"\\\\\""]),
    ("cache-group-invalidation", &["\"a\"", "\"a\", \"b\""]),
    ("cache-status", &["up; hit; ttl=3", "\"a b\"; fwd=miss"]),
    ("pragma", &["no-cache"]),
    ("content-type", &["text/plain", "text/event-stream"]),
    ("x-a", &["1", "2, 3", "\u{e9}"]),
    ("x-b", &["1", "4"]),
];

/// Realistic values of the fields of a request.
const REQUESTS: &[(&str, &[&str])] = &[
    (
        "cache-control",
        &["no-cache", "max-stale=30", "only-if-cached"],
    ),
    ("if-none-match", &["\"a\"", "W/\"a\", \"b,c\"", "*"]),
    ("if-modified-since", &["Thu, 01 Jan 2026 00:00:00 GMT"]),
    (
        "range",
        &["bytes=0-1", "bytes=-2", "bytes=0-0,2-", "bytes=9-"],
    ),
    ("if-range", &["\"a\"", "Wed, 31 Dec 2025 00:00:00 GMT"]),
    ("cookie", &["a=b; c=d", "a=\"b\""]),
    ("x-s", &["1", "1", "2"]),
    ("accept-encoding", &["gzip", "gzip;q=1.0, br", "br , gzip"]),
    ("authorization", &["Basic YTpi"]),
    ("connection", &["close", "x-s"]),
    ("pragma", &["no-cache"]),
    ("x-forwarded-host", &["a.example"]),
    ("host", &["a.example", "A.example:80"]),
];

pub(crate) type Line = (&'static str, Vec<u8>);

/// Requests of one URI, and what the origin answers.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) layer: usize,
    pub(crate) uri: String,
    pub(crate) status: u16,
    pub(crate) response: Vec<Line>,
    pub(crate) first: Vec<Line>,
    pub(crate) second: Vec<Line>,
    /// The origin's answer to those who ask later.
    pub(crate) update: Vec<Line>,
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    // Much would never be stored.
    let fresh = prop::option::weighted(0.5, Just(("cache-control", b"max-age=60".to_vec())));
    let response = (fresh, lines(RESPONSES)).prop_map(|(fresh, lines)| {
        let mut all: Vec<Line> = fresh.into_iter().collect();
        all.extend(lines);
        all
    });
    let requests = prop_oneof![2 => Just(Vec::new()), 2 => lines(REQUESTS)];
    let status = prop_oneof![6 => Just(200), 1 => select(&[203, 204, 206, 301, 304, 404, 416, 500, 599][..])];
    (
        0..3_usize,
        "/[!-~]{0,8}(\\?[!-~]{0,8})?",
        status,
        response,
        requests.clone(),
        requests,
        lines(RESPONSES),
    )
        .prop_map(
            |(layer, uri, status, response, first, second, update)| Case {
                layer,
                uri,
                status,
                response,
                first,
                second,
                update,
            },
        )
}

fn lines(fields: &'static [(&'static str, &'static [&'static str])]) -> BoxedStrategy<Vec<Line>> {
    let line = select(fields).prop_flat_map(|(name, seeds)| {
        let seed = select(seeds).prop_map(|seed| seed.as_bytes().to_vec());
        let value = prop_oneof![
            4 => seed.clone(),
            4 => (seed, prop::collection::vec(change(), 1..4)).prop_map(|(mut value, changes)| {
                for change in changes {
                    change.apply(&mut value);
                }
                value
            }),
            1 => prop::collection::vec(any::<u8>(), 0..40),
        ];
        value.prop_map(move |value| (name, value))
    });
    prop::collection::vec(line, 0..6).boxed()
}

/// A change of a value, at a place of it.
#[derive(Clone, Debug)]
enum Change {
    Put(usize, u8),
    Insert(usize, &'static str),
    Remove(usize, usize),
    Repeat(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || any::<prop::sample::Index>().prop_map(|at| at.index(64));
    let text = [
        ",",
        " ",
        "\"",
        "\\",
        "=",
        ";",
        "\t",
        "0",
        "-",
        "W/",
        "no-store",
        ", private",
        "\u{ff}",
        "=1",
        "999999999999",
        "*",
        "(",
        "%00",
    ];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Put(at, byte)),
        (at(), select(text.to_vec())).prop_map(|(at, text)| Change::Insert(at, text)),
        (at(), 1..8_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        at().prop_map(Change::Repeat),
    ]
}

impl Change {
    fn apply(self, value: &mut Vec<u8>) {
        let within = |at: usize| at % (value.len() + 1);
        match self {
            Self::Put(at, byte) => {
                if let Some(place) = value.get_mut(at) {
                    *place = byte;
                }
            }
            Self::Insert(at, text) => {
                let at = within(at);
                value.splice(at..at, text.bytes());
            }
            Self::Remove(at, count) => {
                let at = within(at);
                value.drain(at..(at + count).min(value.len()));
            }
            Self::Repeat(at) => value.extend_from_within(within(at)..),
        }
    }
}

/// The lines that HTTP can carry.
pub(crate) fn headers(lines: &[Line]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        // As it comes from the wire: whitespace around it is no part of it.
        if let Ok(value) = HeaderValue::from_bytes(value.trim_ascii()) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// A case as people read it.
pub(crate) fn shown(case: &Case) -> String {
    let lines = |lines: &[Line]| {
        let lines = lines.iter();
        let lines = lines.map(|(name, value)| format!("{name}: {}", value.escape_ascii()));
        lines.collect::<Vec<_>>().join(" | ")
    };
    format!(
        "layer {}, {}, first: {}\n{}: {}\nsecond: {}\nupdate: {}",
        case.layer,
        case.uri,
        lines(&case.first),
        case.status,
        lines(&case.response),
        lines(&case.second),
        lines(&case.update)
    )
}
