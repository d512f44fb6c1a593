//! What it shows to programs: every field, and no other.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Keeping, Server, until};
use crate::{Watching, node, revalidate, said};

/// The one object that a call shows, and what it says beside it.
fn shown(server: &Server, arguments: &[&str]) -> (Value, String) {
    let output = revalidate(server, &[&["--json"], arguments].concat());
    let (ok, out, err) = said(&output);
    assert!(ok && out.ends_with('\n'), "{arguments:?}: {out}{err}");
    (parsed(out.trim_end()), err)
}

fn parsed(line: &str) -> Value {
    assert!(!line.contains('\n'), "{line}");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// A record's, as it is shown.
fn time(id: &str) -> String {
    let millis = id.split_once('-').unwrap().0.parse().unwrap();
    let time = UNIX_EPOCH + Duration::from_millis(millis);
    humantime::format_rfc3339_millis(time).to_string()
}

fn identity(server: &Server) -> String {
    let status = shown(server, &["status"]).0;
    status["identity"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_was_invalidated_and_where_in_the_log_it_stands() {
    let server = Server::new();
    let _node = node(&server).await;
    let mut watching = Watching::new(&server, &["--json"]);
    let identity = identity(&server);
    let tag = |name| json!({ "kind": "tag", "name": name });
    for (arguments, action, (hard, soft, keys)) in [
        (
            &["tag", "contacts", "contact:7"][..],
            json!({ "action": "tag", "tags": ["contacts", "contact:7"], "soft": false }),
            (json!([tag("contact:7"), tag("contacts")]), json!([]), 0),
        ),
        (
            // A tag that is called as everything is.
            &["tag", "--soft", "everything"],
            json!({ "action": "tag", "tags": ["everything"], "soft": true }),
            (json!([]), json!([tag("everything")]), 0),
        ),
        (
            &["path", "/blog/first"],
            json!({ "action": "path", "path": "/blog/first", "layout": false }),
            (
                json!([]),
                json!([{ "kind": "path", "name": "/blog/first" }]),
                0,
            ),
        ),
        (
            &["path", "--layout", "/blog/{slug}"],
            json!({ "action": "path", "path": "/blog/{slug}", "layout": true }),
            (
                json!([]),
                json!([
                    { "kind": "route layout", "name": "/blog/{slug}" },
                    { "kind": "unrouted", "name": "/blog" },
                ]),
                0,
            ),
        ),
        (
            &["key", "greeting", "--scope", "texts", "--version", "1"],
            json!({ "action": "key", "key": "greeting", "scope": ["texts"], "version": "1" }),
            (json!([]), json!([]), 1),
        ),
        (
            &["clear"],
            json!({ "action": "clear" }),
            (json!([{ "kind": "everything", "name": "" }]), json!([]), 0),
        ),
    ] {
        let (done, err) = shown(&server, arguments);
        assert_eq!(err, "", "{arguments:?}");
        let seen = parsed(&watching.shows());
        let (id, origin) = (seen["id"].as_str().unwrap(), &seen["origin"]);
        let digits = origin.as_str().unwrap().trim_start_matches('0');
        assert!(u128::from_str_radix(digits, 16).is_ok(), "{origin}");
        let expected = json!({
            "id": id, "time": time(id), "identity": identity,
            "event": "invalidated", "origin": origin, "hard": hard, "soft": soft, "keys": keys,
        });
        assert_eq!(seen, expected, "{arguments:?}");
        let mut expected = json!({
            "namespace": "revalidate", "acknowledged": true,
            "identity": identity, "record": { "id": id, "time": time(id) },
        });
        let action = action.as_object().unwrap().clone();
        expected.as_object_mut().unwrap().extend(action);
        assert_eq!(done, expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn the_status_of_the_server_and_its_settings() {
    let server = Server::new();
    let _node = node(&server).await;
    let (dropped, _) = shown(&server, &["clear"]);
    let (mut status, err) = shown(&server, &["status"]);
    assert_eq!(err, "");
    let version = status["version"].as_str().unwrap();
    let told = server.command(&["INFO", "server"]);
    assert!(told.contains(&format!("_version:{version}\r\n")), "{told}");
    let advice = status["advice"].as_array_mut().unwrap();
    let first = advice[0].as_str().unwrap();
    assert!(first.starts_with("`maxmemory` is 0"), "{first}");
    let expected = json!({
        "server": format!("127.0.0.1:{}", server.port),
        "version": status["version"],
        "identity": dropped["identity"],
        "namespace": "revalidate",
        "last_record": dropped["record"],
        "advice": status["advice"],
    });
    assert_eq!(status, expected);
    server.command(&["CONFIG", "SET", "maxmemory", "100mb"]);
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let (status, _) = shown(&server, &["--namespace", "unheard-of", "status"]);
    assert_eq!(status["last_record"], Value::Null);
    assert_eq!(status["advice"], json!([]));
}

#[tokio::test]
async fn nothing_to_drop_is_not_acknowledged() {
    let server = Server::new();
    let _node = node(&server).await;
    let (done, err) = shown(&server, &["--namespace", "typo", "tag", "contacts"]);
    let expected = json!({
        "action": "tag", "tags": ["contacts"], "soft": false,
        "namespace": "typo", "acknowledged": false,
        "identity": identity(&server), "record": null,
    });
    assert_eq!(done, expected);
    assert!(err.contains("no node of the namespace `typo`"), "{err}");
}

#[tokio::test]
async fn errors_are_text_and_nothing_is_shown() {
    let mut server = Server::new();
    let _node = node(&server).await;
    // It says who it is, and takes no writes.
    server.fill_disk(true);
    let calls: [&[&str]; 4] = [&["clear"], &["tag", "contacts"], &["status"], &["watch"]];
    let fails = |server: &Server, arguments: &[&str], told: &str| {
        let arguments = [&["--json", "--timeout", "1"], arguments].concat();
        let (ok, out, err) = said(&revalidate(server, &arguments));
        assert!(!ok && out.is_empty(), "{arguments:?}: {out}");
        assert!(
            err.starts_with("revalidate: ") && err.contains(told),
            "{err}"
        );
    };
    fails(&server, calls[0], "has not acknowledged");
    server.kill();
    for arguments in calls {
        fails(&server, arguments, "cannot be reached");
    }
}

#[tokio::test]
async fn what_nobody_understands_drops_everything() {
    let server = Server::new();
    let _node = node(&server).await;
    let mut watching = Watching::new(&server, &["--json"]);
    let identity = identity(&server);
    let mut expected = json!({ "identity": identity, "event": "not_understood" });
    let log = format!("rv:{{revalidate}}:log:{identity}");
    server.command(&["FLUSHALL"]);
    until("the node has begun another", async || {
        server.command(&["EXISTS", &log]) == ":1\r\n"
    })
    .await;
    let first = parsed(&watching.shows());
    expected["id"] = first["id"].clone();
    expected["time"] = time(first["id"].as_str().unwrap()).into();
    assert_eq!(first, expected);

    // No year of four digits has it.
    let id = "18446744073709551615-0";
    server.command(&["XADD", &log, id, "v", "2"]);
    expected["id"] = id.into();
    expected["time"] = "9999-12-31T23:59:59.999Z".into();
    assert_eq!(parsed(&watching.shows()), expected);
}

#[tokio::test]
async fn it_reads_on_where_it_was_and_tells_what_is_lost() {
    let mut server = Server::new();
    let node = node(&server).await;
    let mut watching = Watching::new(&server, &["--json"]);
    let first = identity(&server);
    let tags = |watching: &mut Watching| parsed(&watching.shows())["hard"].take();
    // Its connections: it is back in half a second.
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    shown(&server, &["tag", "meanwhile"]);
    assert_eq!(watching.begins_anew(), first);
    shown(&server, &["tag", "later"]);
    for name in ["meanwhile", "later"] {
        let expected = json!([{ "kind": "tag", "name": name }]);
        assert_eq!(tags(&mut watching), expected);
    }

    // It would invalidate everything on the new one.
    drop(node);
    server.kill();
    server.start_again(Keeping::Nothing);
    let second = watching.begins_anew();
    assert_ne!(first, second);
    shown(&server, &["tag", "since"]);
    let lost = parsed(&watching.shows());
    let id = lost["id"].as_str().unwrap();
    let expected = json!({
        "id": id, "time": time(id), "identity": second, "event": "lost",
    });
    assert_eq!(lost, expected);
    let expected = json!([{ "kind": "tag", "name": "since" }]);
    assert_eq!(tags(&mut watching), expected);
}
