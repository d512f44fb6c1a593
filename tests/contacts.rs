//! The contacts example as somebody runs it: the binary on a port of its own, over HTTP.
#![cfg(all(feature = "axum", unix))]

mod example_support;
#[path = "../cache-redis/tests/support/mod.rs"]
mod servers;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use example_support::{Example, PATIENCE};
use ureq::Agent;
use ureq::http::Response;

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A running contact book.
struct Book {
    process: Example,
    url: String,
    agent: Agent,
}

/// What came back.
struct Answer {
    status: u16,
    cache_status: String,
    location: String,
    body: String,
}

impl Book {
    fn start(database: &Path) -> Self {
        Self::start_with(database, &[])
    }

    fn start_with(database: &Path, more: &[(&str, &str)]) -> Self {
        let database = database.to_str().unwrap();
        let settings = [("LISTEN", "127.0.0.1:0"), ("DATABASE", database)];
        let process = Example::start("contacts", &[&settings, more].concat());
        let url = format!("http://{}", process.address);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Self {
            process,
            url,
            agent,
        }
    }

    fn send(&self, method: &str, path: &str, (name, value): (&str, &str), body: &str) -> Answer {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(name, value)
            .body(body.to_owned())
            .unwrap();
        Answer::of(self.agent.run(request).unwrap())
    }

    fn get(&self, path: &str) -> Answer {
        Answer::of(
            self.agent
                .get(format!("{}{path}", self.url))
                .call()
                .unwrap(),
        )
    }
}

impl Answer {
    fn of(mut response: Response<ureq::Body>) -> Self {
        let header = |name: &str| {
            let values = response.headers().get_all(name).iter();
            values
                .map(|v| v.to_str().unwrap())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (cache_status, location) = (header("cache-status"), header("location"));
        assert!(
            !cache_status.is_empty(),
            "every response says what the cache did"
        );
        Self {
            status: response.status().as_u16(),
            cache_status,
            location,
            body: response.body_mut().read_to_string().unwrap(),
        }
    }

    /// What the layer did with the response: the innermost, where there are two.
    #[track_caller]
    fn was(&self, expected: &str) {
        let mut members = self.cache_status.split(", ");
        let layer = members
            .find(|member| member.starts_with("revalidate; "))
            .unwrap();
        assert!(layer.contains(expected), "{layer} is not {expected}");
    }

    /// The calls behind a page, as the page shows them: name, status and reason.
    fn calls(&self) -> Vec<[&str; 3]> {
        let rows = self.body.split("<tr class=\"").skip(1);
        rows.map(|row| {
            let mut cells = row.split("<td>").skip(1);
            std::array::from_fn(|_| cells.next().unwrap())
        })
        .collect()
    }
}

/// A path for a new database.
fn database() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "contacts-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder.join("contacts.sqlite")
}

#[test]
fn a_rename_drops_exactly_what_shows_the_contact() {
    let book = Book::start(&database());
    let json = [
        "/api/contacts",
        "/api/contacts/1",
        "/api/contacts/2",
        "/api/contacts/3",
        "/style.css",
    ];
    for path in json {
        book.get(path).was("fwd=miss; stored");
        book.get(path).was("hit; ttl=");
    }
    for page in ["/", "/contacts/1", "/contacts/3"] {
        assert!(
            book.get(page)
                .calls()
                .iter()
                .any(|call| call[0] != "contact"),
            "{page}"
        );
        assert!(
            book.get(page).calls().iter().all(|call| call[1] == "hit"),
            "{page}"
        );
    }

    let renamed = book.send(
        "PUT",
        "/api/contacts/2",
        JSON,
        r#"{"name":"C. Babbage","email":"charles@engines.example"}"#,
    );
    assert_eq!(renamed.status, 200);
    assert_eq!(
        renamed.body,
        r#"{"id":2,"name":"C. Babbage","email":"charles@engines.example"}"#
    );

    for path in ["/api/contacts", "/api/contacts/2"] {
        let anew = book.get(path);
        anew.was("detail=tag");
        assert!(
            anew.body.contains("C. Babbage") && !anew.body.contains("Charles"),
            "{}",
            anew.body
        );
        book.get(path).was("hit");
    }
    for path in ["/api/contacts/1", "/api/contacts/3", "/style.css"] {
        book.get(path).was("hit");
    }
    // 1 works with 2 and shows it; 3 works elsewhere.
    let colleague = book.get("/contacts/1");
    assert!(colleague.body.contains("C. Babbage"));
    assert_eq!(
        colleague.calls(),
        [
            ["contact", "hit", "fresh"],
            ["people", "miss", "tag"],
            ["profile", "miss", "tag"]
        ]
    );
    assert_eq!(
        book.get("/contacts/3").calls(),
        [["profile", "hit", "fresh"]]
    );
    assert_eq!(book.get("/").calls()[1], ["companies", "hit", "fresh"]);
}

#[test]
fn a_change_of_company_drops_both_lists() {
    let book = Book::start(&database());
    for domain in ["engines.example", "orbits.example"] {
        assert_eq!(book.get(&format!("/api/companies/{domain}")).status, 200);
    }
    let body = r#"{"name":"Ada Lovelace","email":"ada@orbits.example"}"#;
    assert_eq!(book.send("PUT", "/api/contacts/1", JSON, body).status, 200);
    assert!(
        !book
            .get("/api/companies/engines.example")
            .body
            .contains("Ada")
    );
    assert!(
        book.get("/api/companies/orbits.example")
            .body
            .contains("Ada")
    );
    assert_eq!(book.get("/api/companies/nowhere.example").status, 404);
    let handler = book.get("/api/companies/orbits.example").cache_status;
    assert!(handler.starts_with("company; hit, "), "{handler}");
}

#[test]
fn the_forms_show_at_once_what_they_changed() {
    let book = Book::start(&database());
    assert_eq!(
        book.get("/").calls()[1],
        ["companies", "miss", "never-stored"]
    );

    let added = book.send(
        "POST",
        "/",
        FORM,
        "name=%3Cb%3EEve%3C%2Fb%3E&email=eve@orbits.example",
    );
    assert_eq!(
        (added.status, added.location.as_str()),
        (303, "/contacts/6")
    );
    let page = book.get("/contacts/6").body;
    assert!(page.contains("<h1>&lt;b&gt;Eve&lt;/b&gt;</h1>"), "{page}");
    let home = book.get("/");
    assert!(home.body.contains("&lt;b&gt;Eve"));
    assert_eq!(
        home.calls(),
        [
            ["everybody", "miss", "tag"],
            ["companies", "stale", "refreshing"]
        ]
    );
    eventually(|| book.get("/").body.contains("orbits.example 2"));

    let changed = book.send(
        "POST",
        "/contacts/6",
        FORM,
        "name=Eve&email=eve@orbits.example",
    );
    assert_eq!(
        (changed.status, changed.location.as_str()),
        (303, "/contacts/6")
    );
    assert!(book.get("/contacts/6").body.contains("<h1>Eve</h1>"));

    let removed = book.send("POST", "/contacts/6/remove", FORM, "");
    assert_eq!((removed.status, removed.location.as_str()), (303, "/"));
    assert_eq!(book.get("/contacts/6").status, 404);
    assert!(!book.get("/").body.contains("Eve"));

    // What is wrong is shown with what was typed.
    let again = book.send("POST", "/", FORM, "name=&email=%22%3E%3Cscript%3E");
    assert_eq!(again.status, 422);
    assert!(again.body.contains("<em>is required</em>"));
    assert!(
        again.body.contains("value=\"&quot;&gt;&lt;script&gt;\""),
        "{}",
        again.body
    );
    let taken = book.send(
        "POST",
        "/contacts/1",
        FORM,
        "name=Ada&email=GRACE@compilers.example",
    );
    assert_eq!(taken.status, 409);
    assert!(taken.body.contains("<em>is taken</em>"));
}

#[test]
fn the_export_is_shown_stale_while_it_is_made_anew() {
    let book = Book::start(&database());
    let first = book.get("/contacts.csv");
    assert!(
        first
            .body
            .contains("2,\"Charles Babbage\",\"charles@engines.example\"\r\n")
    );
    book.get("/contacts.csv").was("hit");
    let body = r#"{"name":"=1+1","email":"charles@engines.example"}"#;
    assert_eq!(book.send("PUT", "/api/contacts/2", JSON, body).status, 200);
    let stale = book.get("/contacts.csv");
    stale.was("hit");
    assert_eq!(stale.body, first.body);
    eventually(|| book.get("/contacts.csv").body.contains("2,\"'=1+1\""));
}

#[test]
fn json_changes_and_their_statuses() {
    let book = Book::start(&database());
    let added = book.send(
        "POST",
        "/api/contacts",
        JSON,
        r#"{"name":" Eve ","email":"eve@Orbits.Example"}"#,
    );
    assert_eq!(
        (added.status, added.location.as_str()),
        (201, "/api/contacts/6")
    );
    assert_eq!(
        added.body,
        r#"{"id":6,"name":"Eve","email":"eve@orbits.example"}"#
    );
    assert_eq!(book.get("/api/contacts/6").body, added.body);
    assert_eq!(book.send("DELETE", "/api/contacts/6", JSON, "").status, 204);
    assert_eq!(book.get("/api/contacts/6").status, 404);
    assert_eq!(book.send("DELETE", "/api/contacts/6", JSON, "").status, 404);
    // An id is never used twice.
    let next = book.send(
        "POST",
        "/api/contacts",
        JSON,
        r#"{"name":"Eve","email":"eve@orbits.example"}"#,
    );
    assert_eq!(next.location, "/api/contacts/7");
}

#[test]
fn bad_input_is_told_what_is_wrong() {
    let book = Book::start(&database());
    let long = format!(r#"{{"name":"{}","email":"a@b.example"}}"#, "x".repeat(101));
    let large = " ".repeat(20_000);
    let cases = [
        ("GET", "/api/contacts/abc", JSON, "", 400, "abc"),
        ("POST", "/api/contacts", JSON, "{", 400, "EOF"),
        (
            "GET",
            "/api/contacts/99",
            JSON,
            "",
            404,
            "there is no such contact",
        ),
        (
            "GET",
            "/api/nothing",
            JSON,
            "",
            404,
            "there is nothing at this path",
        ),
        (
            "PUT",
            "/api/contacts/99",
            JSON,
            r#"{"name":"A","email":"a@b.example"}"#,
            404,
            "there is no such contact",
        ),
        (
            "PATCH",
            "/api/contacts/1",
            JSON,
            "{}",
            405,
            "method not allowed",
        ),
        (
            "POST",
            "/api/contacts",
            JSON,
            r#"{"name":"A","email":"ADA@engines.example"}"#,
            409,
            r#""fields":{"email":"is taken"}"#,
        ),
        ("POST", "/api/contacts", JSON, &large, 413, "length limit"),
        ("POST", "/api/contacts", FORM, "name=A", 415, "Content-Type"),
        (
            "POST",
            "/api/contacts",
            JSON,
            "{}",
            422,
            r#""fields":{"name":"is required","email":"is required"}"#,
        ),
        (
            "POST",
            "/api/contacts",
            JSON,
            r#"{"name":5}"#,
            422,
            "expected a string",
        ),
        (
            "PUT",
            "/api/contacts/1",
            JSON,
            r#"{"name":"A","email":"a@b"}"#,
            422,
            "is not an address",
        ),
        (
            "POST",
            "/api/contacts",
            JSON,
            &long,
            422,
            "has more than 100 characters",
        ),
    ];
    for (method, path, content, body, status, words) in cases {
        let answer = book.send(method, path, content, body);
        assert_eq!(answer.status, status, "{method} {path} {body:.60}");
        assert!(
            answer.body.starts_with("{\"error\":\"") && answer.body.contains(words),
            "{}",
            answer.body
        );
    }
    for (method, path, status) in [
        ("GET", "/contacts/abc", 404),
        ("GET", "/nothing", 404),
        ("DELETE", "/", 405),
    ] {
        let answer = book.send(method, path, FORM, "");
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.body.starts_with("<!doctype html>"));
    }
    // Nothing of it was written, and what is right still is.
    assert_eq!(book.get("/api/contacts").body.matches("\"id\"").count(), 5);
}

#[test]
fn it_stops_when_told_and_keeps_the_book() {
    let database = database();
    for signal in ["-TERM", "-INT"] {
        let book = Book::start(&database);
        let body = format!(r#"{{"name":"{signal}","email":"a{signal}@b.example"}}"#);
        assert_eq!(book.send("POST", "/api/contacts", JSON, &body).status, 201);
        let (status, said) = book.process.end(signal);
        assert_eq!(status.code(), Some(0), "{signal}");
        assert_eq!(said, ["contacts: stopped"], "{signal}");
    }
    assert_eq!(
        Book::start(&database)
            .get("/api/contacts")
            .body
            .matches("\"id\"")
            .count(),
        7
    );
}

#[test]
fn what_it_cannot_use_it_names() {
    for (variable, value) in [
        ("LISTEN", "nowhere"),
        ("DATABASE", "/nonexistent/contacts.sqlite"),
    ] {
        let database = database();
        let settings = [
            ("LISTEN", "127.0.0.1:0"),
            ("DATABASE", database.to_str().unwrap()),
            (variable, value),
        ];
        let (status, said) = Example::refused("contacts", &settings);
        assert_eq!(status.code(), Some(1), "{variable}");
        assert!(
            said.starts_with(&format!("contacts: {variable} {value}: "))
                && said.lines().count() == 1,
            "{said}"
        );
    }
}

/// Waits for what happens in the background.
#[track_caller]
fn eventually(mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "it never happened");
        std::thread::yield_now();
    }
}

#[test]
fn two_books_on_one_redis_share_what_they_read_and_see_each_others_changes() {
    // Otherwise each says what goes against the promises before it says that it is ready.
    let settings = ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"];
    let server = servers::Server::with(&settings);
    let url = server.url();
    let database = database();
    let settings = [("REDIS_URL", &*url)];
    let one = Book::start_with(&database, &settings);
    let other = Book::start_with(&database, &settings);
    assert!(one.get("/api/contacts/2").body.contains("Charles Babbage"));
    assert!(
        other
            .get("/api/contacts/2")
            .body
            .contains("Charles Babbage")
    );
    one.send(
        "PUT",
        "/api/contacts/2",
        JSON,
        r#"{"name":"C. Babbage","email":"charles@engines.example"}"#,
    );
    let until = Instant::now() + PATIENCE;
    while !other.get("/api/contacts/2").body.contains("C. Babbage") {
        assert!(Instant::now() < until, "the other never hears of it");
    }
    assert!(one.get("/api/contacts/2").body.contains("C. Babbage"));
    let keys = server.command(&["KEYS", "rv:*"]);
    assert!(keys.contains(":tag:#contact:2"), "{keys}");
    let (status, said) = one.process.end("-TERM");
    assert!(status.success(), "{said:?}");
}
