//! What is said in an exchange: messages dense in what caches read differently.

use proptest::prelude::*;
use proptest::sample::select;

/// A layer and what it meets.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Whether the layer obeys what requests demand.
    pub(crate) obeys: bool,
    /// Each some seconds after the one before.
    pub(crate) exchanges: Vec<(u64, Exchange)>,
}

/// A request, and what the origin answers if it is asked: header text of the rig's.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) head: bool,
    pub(crate) request: String,
    pub(crate) status: u16,
    pub(crate) response: String,
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let elapsed = select(&[0, 1, 29, 30, 31, 59, 60, 61, 90, 100, 3599, 3600, 7200][..]);
    let later = prop::collection::vec((elapsed, exchange(true)), 1..=2);
    (any::<bool>(), exchange(false), later).prop_map(|(obeys, first, later)| Case {
        obeys,
        exchanges: [(0, first)].into_iter().chain(later).collect(),
    })
}

fn exchange(later: bool) -> impl Strategy<Value = Exchange> {
    let head = if later { 0.1 } else { 0.0 };
    let status = if later {
        select(&[304, 304, 304, 304, 200, 200, 404, 500, 503, 502][..]).boxed()
    } else {
        prop_oneof![4 => Just(200), 1 => select(STATUSES)].boxed()
    };
    let request = request(later);
    (prop::bool::weighted(head), request, status, response()).prop_map(
        |(head, request, status, response)| Exchange {
            head,
            request,
            status,
            response,
        },
    )
}

const STATUSES: &[u16] = &[
    201, 203, 204, 206, 300, 301, 302, 303, 307, 308, 400, 404, 405, 410, 414, 418, 429, 500, 501,
    502, 503, 299, 599,
];

fn response() -> impl Strategy<Value = String> {
    let control = prop::collection::vec(directives(RESPONSE_DIRECTIVES, NUMBERS), 0..=2);
    let lines = (
        lines("cache-control", control, 0.8),
        maybe(0.2, EXPIRES),
        maybe(0.4, DATES),
        maybe(0.2, AGES),
        maybe(0.4, MODIFIED),
        maybe(0.5, TAGS),
        maybe(0.2, VARIES),
        maybe(0.1, &["set-cookie: a=b"]),
        maybe(0.05, &["pragma: no-cache"]),
        maybe(0.3, &["content-type: text/a", "content-type: text/b"]),
        maybe(
            0.1,
            &["connection: x-hop|x-hop: 1", "content-encoding: gzip"],
        ),
    );
    lines.prop_map(|(a, b, c, d, e, f, g, h, i, j, k)| joined([a, b, c, d, e, f, g, h, i, j, k]))
}

fn request(later: bool) -> impl Strategy<Value = String> {
    let control = prop::collection::vec(directives(REQUEST_DIRECTIVES, NUMBERS), 1..=1);
    let often = |chance: f64| if later { chance } else { chance / 4.0 };
    let lines = (
        lines("cache-control", control, often(0.4)),
        maybe(often(0.05), &["pragma: no-cache"]),
        maybe(0.1, &["authorization: Basic YTpi"]),
        maybe(0.2, SELECTING),
        maybe(often(0.05), CONDITIONS),
    );
    lines.prop_map(|(a, b, c, d, e)| joined([a, b, c, d, e]))
}

/// `max-age` and its like, with a number in one of these forms.
const NUMBERS: &[&str] = &[
    "=60",
    "=60",
    "=60",
    "=30",
    "=3600",
    "=0",
    "=\"60\"",
    "=060",
    "",
    "=",
    "=-1",
    "=+60",
    "=1.5",
    "=60s",
    "='60'",
    " = 60",
    "= 60",
    "=4294967296",
    "=99999999999999999999",
    "=\"60",
    "=60 x",
];

const RESPONSE_DIRECTIVES: &[&str] = &[
    "max-age#",
    "max-age#",
    "max-age#",
    "Max-Age#",
    "s-maxage#",
    "s-maxage#",
    "public",
    "public",
    "PUBLIC",
    "public=x",
    "must-revalidate",
    "must-revalidate",
    "proxy-revalidate",
    "no-cache",
    "No-Cache",
    "no-cache=\"x-a\"",
    "no-store",
    "NO-STORE",
    "no-store=1",
    "private",
    "private=\"x-a\"",
    "private=\"\"",
    "must-understand",
    "immutable",
    "no-transform",
    "stale-while-revalidate#",
    "stale-if-error#",
    "foo=bar",
    "foo=\"no-store\"",
    "foo=\"a, max-age=60\"",
    "foo=\"a\\\", max-age=60\"",
];

const REQUEST_DIRECTIVES: &[&str] = &[
    "max-age#",
    "max-age#",
    "min-fresh#",
    "max-stale",
    "max-stale#",
    "no-cache",
    "No-Cache",
    "no-store",
    "only-if-cached",
    "foo",
];

/// One line of one to three directives; `#` stands for a number.
fn directives(
    of: &'static [&'static str],
    numbers: &'static [&'static str],
) -> impl Strategy<Value = String> {
    // The plain forms first, so that most are meant well.
    let number = prop_oneof![3 => select(&numbers[..6]), 1 => select(numbers)];
    let directive = (select(of), number).prop_map(|(name, number)| name.replace('#', number));
    let separator = prop_oneof![6 => Just(", "), 1 => select(&[",", " ,\t", ", ,"][..])];
    (prop::collection::vec(directive, 1..=3), separator).prop_map(|(all, with)| all.join(with))
}

const EXPIRES: &[&str] = &[
    "expires: {now+60}",
    "expires: {now+60}",
    "expires: {now+3600}",
    "expires: {now}",
    "expires: {now-60}",
    "expires: 0",
    "expires: tomorrow",
    "expires: Friday, 02-Jan-26 00:00:00 GMT",
    "expires: Fri Jan  2 00:00:00 2026",
    "expires: Fri, 02 Jan 2026 00:00:00 +0000",
    "expires: fri, 02 jan 2026 00:00:00 gmt",
    "expires: {now+60}|expires: {now+60}",
    "expires: {now+60}|expires: {now+30}",
];

const DATES: &[&str] = &[
    "date: {now}",
    "date: {now}",
    "date: {now}",
    "date: {now-30}",
    "date: {now+30}",
    "date: {now-7200}",
    "date: yesterday",
    "date: Thu Jan  1 00:00:00 2026",
];

const AGES: &[&str] = &[
    "age: 0",
    "age: 30",
    "age: 30",
    "age: 90",
    "age: -1",
    "age: x",
    "age: 30.5",
    "age: 30, 40",
];

const MODIFIED: &[&str] = &[
    "last-modified: {now-1000}",
    "last-modified: {now-1000}",
    "last-modified: {now-100000}",
    "last-modified: {now-100000000}",
    "last-modified: {now+1000}",
    "last-modified: Thursday, 01-Jan-26 00:00:00 GMT",
    "last-modified: never",
];

const TAGS: &[&str] = &["etag: \"a\"", "etag: \"a\"", "etag: W/\"a\"", "etag: \"b\""];

const CONDITIONS: &[&str] = &[
    "if-none-match: \"z\"",
    "if-modified-since: {now-500}",
    "if-none-match: \"z\"|if-modified-since: {now-500}",
];

const VARIES: &[&str] = &[
    "vary: x-s",
    "vary: x-s",
    "vary: X-S, x-t",
    "vary: x-t|vary: x-s",
    "vary: accept-encoding",
    "vary: *",
    "vary: x-s, *",
    "vary: x s",
    "vary: ,",
];

const SELECTING: &[&str] = &[
    "x-s: 1",
    "x-s: 1",
    "x-s: 2",
    "x-s: 1|x-s: 2",
    "x-t: 1",
    "accept-encoding: gzip, br",
    "accept-encoding: br,gzip",
];

fn maybe(chance: f64, of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::option::weighted(chance, select(of)).prop_map(|line| line.unwrap_or_default().to_owned())
}

/// Lines of one field.
fn lines(
    name: &'static str,
    values: impl Strategy<Value = Vec<String>>,
    chance: f64,
) -> impl Strategy<Value = String> {
    prop::option::weighted(chance, values).prop_map(move |values| {
        let values = values.unwrap_or_default().into_iter();
        joined(values.map(|value| format!("{name}: {value}")))
    })
}

fn joined(lines: impl IntoIterator<Item = String>) -> String {
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    lines.join("|")
}
