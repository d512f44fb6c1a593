//! The Wix example as somebody runs it: the samples of Wix's page, over HTTP.
#![cfg(all(feature = "axum", unix))]

mod example_support;

use example_support::{Example, PATIENCE};
use ureq::Agent;

const MEMBER: &str = "member-member-member";
const ADMIN: &str = "admin-admin-admin-admin";

/// A running site.
struct Site {
    process: Example,
    agent: Agent,
}

impl Site {
    fn start() -> Self {
        let settings = [
            ("LISTEN", "127.0.0.1:0"),
            ("MEMBER_TOKEN", MEMBER),
            ("ADMIN_TOKEN", ADMIN),
        ];
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Self {
            process: Example::start("wix", &settings),
            agent,
        }
    }

    /// Status, `Cache-Status` and body.
    fn get(&self, path: &str) -> (u16, String, String) {
        let url = format!("http://{}{path}", self.process.address);
        let mut response = self.agent.get(&url).call().unwrap();
        let lines = response.headers().get_all("cache-status").into_iter();
        let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
        let cache_status = lines.join(", ");
        let body = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), cache_status, body)
    }

    /// Calls a method as whoever has the token.
    fn call(&self, token: &str, name: &str, arguments: &str) -> (u16, String) {
        let url = format!("http://{}/methods/{name}", self.process.address);
        let call = self.agent.post(&url).content_type("application/json");
        let call = call.header("authorization", format!("Bearer {token}"));
        let mut response = call.send(arguments).unwrap();
        let body = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), body)
    }
}

#[test]
fn a_product_is_kept_until_an_administrator_drops_it() {
    let site = Site::start();
    let multiply = "/methods/cachedMultiply?args=[6,7]";
    let (status, cache_status, body) = site.get(multiply);
    assert_eq!((status, body.as_str()), (200, "42"));
    assert!(cache_status.contains("stored"), "{cache_status}");
    assert!(site.get(multiply).1.contains("revalidate; hit"));
    for nobody in ["", MEMBER] {
        let (status, _) = site.call(nobody, "invalidateMultiply", "[]");
        assert!([401, 403].contains(&status), "{status}");
        assert!(site.get(multiply).1.contains("revalidate; hit"));
    }
    assert_eq!(
        site.call(ADMIN, "invalidateMultiply", "[]"),
        (200, "null".into())
    );
    assert!(site.get(multiply).1.contains("detail=tag"));
}

#[test]
fn a_failure_of_the_contacts_is_not_kept() {
    let site = Site::start();
    assert_eq!(site.call(ADMIN, "setCrmDown", "[true]").0, 200);
    let (status, _, body) = site.get("/methods/myQueryContacts");
    assert_eq!(status, 503);
    assert!(body.contains("crm_down"), "{body}");
    assert_eq!(site.call(ADMIN, "setCrmDown", "[false]").0, 200);
    let (status, _, body) = site.get("/methods/myQueryContacts");
    assert_eq!(status, 200);
    assert!(body.contains("Ada Lovelace"), "{body}");
    // A member's change drops what it changed; which tags, no member decides.
    assert_eq!(site.call(MEMBER, "addContact", r#"["Alan Turing"]"#).0, 200);
    assert!(site.get("/methods/myQueryContacts").2.contains("Turing"));
    let tags = r#"[[{"tag": "crm"}]]"#;
    assert_eq!(site.call(MEMBER, "invalidateCache", tags).0, 403);
    assert_eq!(
        site.call(ADMIN, "invalidateCache", tags),
        (200, "null".into())
    );
}

#[test]
fn only_pages_that_say_so_are_kept() {
    let site = Site::start();
    for (path, status, kept) in [
        ("/blog/hello", 200, true),
        ("/blog/news", 200, true),
        ("/blog/today", 200, false),
        ("/blog/1", 302, false),
        ("/blog/draft", 403, false),
        ("/blog/none", 404, false),
    ] {
        assert_eq!(site.get(path).0, status, "{path}");
        let again = site.get(path).1;
        assert_eq!(again.contains("; hit"), kept, "{path}: {again}");
    }
    let (_, said) = site.process.end("-TERM");
    assert_eq!(said, ["wix: stopped"]);
}
