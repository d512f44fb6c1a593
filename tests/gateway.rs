//! The gateway example as somebody runs it: the binary on a port of its own, over HTTP.
#![cfg(all(feature = "axum", unix))]

mod example_support;

use example_support::{Example, PATIENCE};
use ureq::Agent;

struct Gateway {
    process: Example,
    agent: Agent,
}

impl Gateway {
    fn start(settings: &[(&str, &str)]) -> Self {
        let settings = [settings, &[("LISTEN", "127.0.0.1:0")]].concat();
        let process = Example::start("gateway", &settings);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Self { process, agent }
    }

    fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let uri = format!("http://{}{target}", self.process.address);
        let mut request = ureq::http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = self.agent.run(request.body(()).unwrap()).unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), body)
    }

    fn weather(&self, city: &str, client: &str, headers: &[(&str, &str)]) -> String {
        let target = format!("/weather?city={city}&client_id={client}");
        let (status, body) = self.send("GET", &target, headers);
        assert_eq!(status, 200, "{body}");
        body
    }
}

#[test]
fn the_tour() {
    let gateway = Gateway::start(&[("OPERATOR_KEY", "secret")]);
    let (status, home) = gateway.send("GET", "/", &[]);
    assert_eq!(status, 200);
    assert!(home.contains("/weather?city=Oslo&client_id=ann"), "{home}");
    let report = |n: u32, city: &str, token: &str| {
        format!("report {n}: sunny in {city}, asked with {token}\n")
    };
    assert_eq!(
        gateway.weather("Oslo", "ann", &[]),
        report(1, "Oslo", "ann-1")
    );
    assert_eq!(
        gateway.weather("Oslo", "bob", &[]),
        report(1, "Oslo", "ann-1")
    );
    // The token is found, the response is new.
    assert_eq!(
        gateway.weather("Rome", "ann", &[]),
        report(2, "Rome", "ann-1")
    );
    let bypass = [("bypass-cache", "true")];
    assert_eq!(
        gateway.weather("Rome", "bob", &bypass),
        report(3, "Rome", "bob-2")
    );
    assert_eq!(
        gateway.weather("Rome", "ann", &[]),
        report(3, "Rome", "bob-2")
    );
    // What was made with the token goes with it.
    assert_eq!(gateway.send("DELETE", "/token?client_id=ann", &[]).0, 204);
    assert_eq!(
        gateway.weather("Oslo", "ann", &[]),
        report(4, "Oslo", "ann-3")
    );
    assert_eq!(
        gateway.weather("Rome", "ann", &[]),
        report(3, "Rome", "bob-2")
    );

    let flush = [("x-flush", "Rome"), ("x-operator-key", "secret")];
    let target = "/weather?city=Rome&client_id=bob";
    assert_eq!(gateway.send("GET", target, &flush[..1]).0, 403);
    let wrong = [flush[0], ("x-operator-key", "wrong")];
    assert_eq!(gateway.send("GET", target, &wrong).0, 403);
    assert_eq!(
        gateway.weather("Rome", "bob", &[]),
        report(3, "Rome", "bob-2")
    );
    assert_eq!(
        gateway.weather("Rome", "bob", &flush),
        report(5, "Rome", "bob-2")
    );
    assert_eq!(
        gateway.weather("Oslo", "bob", &[]),
        report(4, "Oslo", "ann-3")
    );

    let (status, said) = gateway.process.end("-TERM");
    assert!(status.success());
    assert_eq!(said, ["gateway: stopped"]);
}

#[test]
fn without_a_key_nobody_flushes() {
    let gateway = Gateway::start(&[]);
    let flush = [("x-flush", "Oslo"), ("x-operator-key", "")];
    let (status, body) = gateway.send("GET", "/weather?city=Oslo&client_id=ann", &flush);
    assert_eq!(status, 403);
    assert!(body.contains("NotAuthorised"), "{body}");
}

#[test]
fn an_address_that_is_taken_is_said() {
    let gateway = Gateway::start(&[]);
    let (status, said) = Example::refused("gateway", &[("LISTEN", &gateway.process.address)]);
    assert!(!status.success());
    assert!(
        said.starts_with(&format!("gateway: LISTEN {}: ", gateway.process.address)),
        "{said}"
    );
}
