//! Groups of responses: RFC 9875, sections 2 (`Cache-Groups`) and 3 (`Cache-Group-Invalidation`); a
//! group is a tag of this cache as well.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=600";

/// Stores a response with these fields.
async fn stored(rig: &Rig, uri: &str, own: &str) {
    rig.origin(200, &format!("{FRESH}|{own}"), "old");
    assert_eq!(rig.get(uri, "").await.text(), "old", "{uri}");
    rig.get(uri, "").await.assert_hit();
}

/// Whether what is stored for a URI is no longer used without asking the origin, which here has
/// nothing more to say.
async fn is_dropped(rig: &Rig, uri: &str) -> bool {
    let asked = rig.asked();
    let reply = rig.get(uri, "").await;
    match (rig.asked() - asked, reply.text()) {
        (1.., "not scripted") => true,
        (0, "old") => false,
        _ => panic!("neither old nor new: {reply:?}"),
    }
}

/// Sections 2 and 3: responses with one of the groups, wherever in the list it stands.
#[tokio::test]
async fn an_unsafe_request_drops_the_groups_that_its_answer_names() {
    let mut failures = Failures::default();
    for (groups, named) in [
        ("cache-groups: \"g\"", "cache-group-invalidation: \"g\""),
        (
            "cache-groups: \"g\", \"h\"",
            "cache-group-invalidation: \"g\"",
        ),
        (
            "cache-groups: \"h\",\"g\"",
            "cache-group-invalidation: \"g\"",
        ),
        (
            "cache-groups: \"g\"",
            "cache-group-invalidation: \"h\", \"g\"",
        ),
        (
            "cache-groups: \"g\"",
            "cache-group-invalidation: \"g\" \t,\t \"h\"",
        ),
        // Several lines are one list.
        (
            "cache-groups: \"h\"|cache-groups: \"g\"",
            "cache-group-invalidation: \"g\"",
        ),
        (
            "cache-groups: \"g\"",
            "cache-group-invalidation: \"h\"|cache-group-invalidation: \"g\"",
        ),
        // Parameters are ignored.
        ("cache-groups: \"g\";x=1", "cache-group-invalidation: \"g\""),
        (
            "cache-groups: \"g\"",
            "cache-group-invalidation: \"g\"; x; y=\"h\"",
        ),
        // Strings hold what they hold.
        (
            "cache-groups: \"a, b\"",
            "cache-group-invalidation: \"a, b\"",
        ),
        (
            "cache-groups: \"a\\\"b\\\\c\"",
            "cache-group-invalidation: \"a\\\"b\\\\c\"",
        ),
        ("cache-groups: \" g \"", "cache-group-invalidation: \" g \""),
    ] {
        for (kind, rig) in both() {
            stored(&rig, "/a", groups).await;
            stored(&rig, "/b", "cache-groups: \"other\"").await;
            stored(&rig, "/c", "").await;
            rig.origin(204, named, "");
            rig.send("POST", "/p", "").await;
            failures.check(is_dropped(&rig, "/a").await, || {
                format!("{kind}: {groups}, {named}: nothing is dropped")
            });
            for uri in ["/b", "/c"] {
                failures.check(!is_dropped(&rig, uri).await, || {
                    format!("{kind}: {groups}, {named}: {uri} is dropped")
                });
            }
        }
    }
}

/// Section 2.1: groups are compared character by character. RFC 9651, section 4.2: a field that is no
/// list of strings is ignored whole.
#[tokio::test]
async fn other_and_malformed_groups_drop_nothing() {
    let mut failures = Failures::default();
    let valid = "\"g\"";
    for (groups, named) in [
        (valid, "\"G\""),
        ("\"G\"", valid),
        (valid, "\"g \""),
        (valid, "\"gg\""),
        (valid, "\"\""),
        ("\"a, b\"", "\"a\", \"b\""),
        ("\"a\", \"b\"", "\"a, b\""),
        // On the answer to the unsafe request.
        (valid, ""),
        (valid, "g"),
        (valid, "g, \"h\""),
        (valid, "\"g\", h"),
        (valid, "\"g\", 1"),
        (valid, "\"g\", (\"h\")"),
        (valid, "(\"g\")"),
        (valid, "\"g\","),
        (valid, "\"g\",, \"h\""),
        (valid, "\"g\" \"h\""),
        (valid, "\"g"),
        (valid, "'g'"),
        (valid, "\"g\"; X"),
        (valid, "\"g\", \"\\x\""),
        (valid, "\"g\", \"\u{e9}\""),
        (valid, ":Zw==:"),
        (valid, "?1"),
        (valid, "*"),
        // On the stored response.
        ("g", valid),
        ("\"g\", h", valid),
        ("\"g\",", valid),
        ("\"g", valid),
        ("(\"g\")", valid),
    ] {
        for (kind, rig) in both() {
            stored(&rig, "/a", &format!("cache-groups: {groups}")).await;
            rig.origin(204, &format!("cache-group-invalidation: {named}"), "");
            rig.send("POST", "/p", "").await;
            failures.check(!is_dropped(&rig, "/a").await, || {
                format!("{kind}: {groups} is dropped by {named}")
            });
        }
    }
}

/// Section 2: at least 32 groups of at least 32 characters.
#[tokio::test]
async fn many_long_groups_are_heeded() {
    for (kind, rig) in both() {
        let names: Vec<String> = (0..32).map(|n| format!("\"{n:032}\"")).collect();
        stored(&rig, "/a", &format!("cache-groups: {}", names.join(", "))).await;
        rig.origin(204, &format!("cache-group-invalidation: {}", names[31]), "");
        rig.send("POST", "/p", "").await;
        assert!(
            is_dropped(&rig, "/a").await,
            "{kind}: the last of those stored"
        );
        // What was not storable is tried again in a while.
        rig.advance(60);
        stored(&rig, "/a", &format!("cache-groups: {}", names[31])).await;
        let all = format!("cache-group-invalidation: {}", names.join(", "));
        rig.origin(204, &all, "");
        rig.send("POST", "/p", "").await;
        assert!(
            is_dropped(&rig, "/a").await,
            "{kind}: the last of those named"
        );
    }
}

/// Section 2.1: a group is of one origin: scheme, host and port.
#[tokio::test]
async fn groups_of_other_origins_are_kept() {
    let mut failures = Failures::default();
    for (kind, rig) in both() {
        let others = [
            "http://b.example/a",
            "https://a.example/a",
            "http://a.example:8080/a",
        ];
        for uri in others.iter().chain(&["http://a.example/a"]) {
            stored(&rig, uri, "cache-groups: \"g\"").await;
        }
        rig.origin(204, "cache-group-invalidation: \"g\"", "");
        rig.send("POST", "http://a.example/p", "").await;
        for uri in others {
            failures.check(!is_dropped(&rig, uri).await, || {
                format!("{kind}: {uri} is dropped")
            });
        }
        failures.check(is_dropped(&rig, "http://a.example/a").await, || {
            format!("{kind}: the origin's own is still there")
        });
        // The same by `Host`.
        for host in ["a.example", "b.example"] {
            rig.origin(200, &format!("{FRESH}|cache-groups: \"g\""), "old");
            rig.get("/h", &format!("host: {host}")).await;
        }
        rig.origin(204, "cache-group-invalidation: \"g\"", "");
        rig.send("POST", "/p", "host: a.example").await;
        failures.check(rig.get("/h", "host: b.example").await.is_hit(), || {
            format!("{kind}: another host's is dropped")
        });
        failures.check(!rig.get("/h", "host: a.example").await.is_hit(), || {
            format!("{kind}: the host's own is still there")
        });
    }
}

/// Section 3: MUST be ignored on answers to safe methods; an error changed nothing.
#[tokio::test]
async fn only_unsafe_methods_that_succeed_drop_groups() {
    let mut failures = Failures::default();
    for (method, status, dropped) in [
        ("POST", 200, true),
        ("PUT", 201, true),
        ("DELETE", 204, true),
        ("PATCH", 202, true),
        ("FROB", 200, true),
        ("GET", 200, false),
        ("HEAD", 200, false),
        ("OPTIONS", 200, false),
        ("TRACE", 200, false),
        ("POST", 400, false),
        ("POST", 403, false),
        ("PUT", 412, false),
        ("DELETE", 500, false),
        ("POST", 503, false),
    ] {
        for (kind, rig) in both() {
            stored(&rig, "/a", "cache-groups: \"g\"").await;
            rig.origin(status, "cache-group-invalidation: \"g\"", "");
            rig.send(method, "/p", "").await;
            failures.check(is_dropped(&rig, "/a").await == dropped, || {
                format!("{kind}: {method} answered {status}")
            });
        }
    }
}

/// Section 2.2.1: what is dropped with a group does not drop its own other groups.
#[tokio::test]
async fn dropping_groups_does_not_cascade() {
    for (kind, rig) in both() {
        stored(&rig, "/a", "cache-groups: \"g\", \"h\"").await;
        stored(&rig, "/b", "cache-groups: \"h\"").await;
        rig.origin(204, "cache-group-invalidation: \"g\"", "");
        rig.send("POST", "/p", "").await;
        assert!(is_dropped(&rig, "/a").await, "{kind}");
        assert!(!is_dropped(&rig, "/b").await, "{kind}");
    }
}

/// Section 2.1 with RFC 9111, section 4.1: each variant is in the groups that it names itself.
#[tokio::test]
async fn variants_have_groups_of_their_own() {
    for (kind, rig) in both() {
        for language in ["de", "en"] {
            let own = format!("{FRESH}|vary: accept-language|cache-groups: \"{language}\"");
            rig.origin(200, &own, language);
            rig.get("/a", &format!("accept-language: {language}")).await;
        }
        rig.origin(204, "cache-group-invalidation: \"de\"", "");
        rig.send("POST", "/p", "").await;
        let en = rig.get("/a", "accept-language: en").await;
        assert_eq!(en.assert_hit().text(), "en", "{kind}");
        rig.origin(200, FRESH, "new");
        let de = rig.get("/a", "accept-language: de").await;
        assert_eq!(de.text(), "new", "{kind}");
    }
}

/// A load that an invalidation of its group overtook is not kept, as with any tag.
#[tokio::test]
async fn a_load_that_its_group_overtook_is_not_kept() {
    for (kind, rig) in both() {
        rig.origin(200, &format!("{FRESH}|cache-groups: \"g\""), "old")
            .held();
        let early = rig.begin("GET", "/a", "").await;
        rig.origin(204, "cache-group-invalidation: \"g\"", "");
        rig.send("POST", "/p", "").await;
        rig.release();
        assert_eq!(early.await.unwrap().text(), "old", "{kind}");
        assert!(is_dropped(&rig, "/a").await, "{kind}");
    }
}

/// A group is a tag: the verbs of this cache drop it by its name, of every origin.
#[tokio::test]
async fn groups_are_tags() {
    for name in ["g", "a, b", "a\"b\\c"] {
        for soft in [false, true] {
            for (kind, rig) in both() {
                let written = name.replace('\\', "\\\\").replace('"', "\\\"");
                stored(&rig, "/a", &format!("cache-groups: \"x\", \"{written}\"")).await;
                stored(&rig, "/b", "cache-groups: \"other\"").await;
                let applied = match soft {
                    true => rig.cache.revalidate_tag([name]).await,
                    false => rig.cache.invalidate_cache([name]).await,
                };
                applied.unwrap();
                assert!(is_dropped(&rig, "/a").await, "{kind}: {name}");
                assert!(!is_dropped(&rig, "/b").await, "{kind}: {name}");
            }
        }
    }
}

/// Section 3.1 of RFC 9111: clients and caches further out see both fields as they were sent.
#[tokio::test]
async fn group_fields_are_passed_on() {
    for (kind, rig) in both() {
        let own = "cache-groups: \"g\";x=1|cache-groups: not a list";
        stored(&rig, "/a", own).await;
        let reuse = rig.get("/a", "").await;
        assert_eq!(
            reuse.lines("cache-groups"),
            ["\"g\";x=1", "not a list"],
            "{kind}"
        );
        rig.origin(204, "cache-group-invalidation: \"g\"", "");
        let reply = rig.send("POST", "/p", "").await;
        assert_eq!(
            reply.header("cache-group-invalidation"),
            Some("\"g\""),
            "{kind}"
        );
    }
}
