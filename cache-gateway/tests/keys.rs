//! Keys: how they are printed, when they are the same, and when a request has none.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use cache_gateway::{
    CacheContext, CacheKey, EntryKey, ExpirySettings, InvalidateCache, KeyError,
    MAX_PRINTED_KEY_BYTES, Part, Place, PolicyError, ResponseCache, Scope, Side, Value, Variable,
    Variables,
};
use proptest::prelude::*;

type Flow = HashMap<&'static str, &'static str>;

fn place() -> Place {
    Place::new("apifactory", "test", "weatherapi")
        .revision("16")
        .proxy("front")
        .target("back")
}

#[track_caller]
fn printed(scope: Scope, context: Option<&CacheContext>, place: &Place) -> String {
    let key = CacheKey::new().literal("k");
    let flow = Flow::from([("app", "other")]);
    key.resolve(scope, context, place, &flow)
        .unwrap()
        .to_string()
}

/// Whether the engine stores them under one key.
fn same(one: &EntryKey<'_>, other: &EntryKey<'_>) -> bool {
    let cache = cache_core::Cache::builder().build();
    assert!(cache.put(one, 1_u8, 60, "t").is_stored());
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async { cache.get::<u8>(other).await.is_some() })
}

#[test]
fn scopes_are_printed_as_gateways_do() {
    let target = place().side(Side::Target);
    for (scope, place, expected) in [
        (Scope::Global, &place(), "apifactory__test__k"),
        (
            Scope::Application,
            &place(),
            "apifactory__test__weatherapi__k",
        ),
        (
            Scope::Proxy,
            &target,
            "apifactory__test__weatherapi__16__front__k",
        ),
        (
            Scope::Target,
            &place(),
            "apifactory__test__weatherapi__16__back__k",
        ),
        (
            Scope::Exclusive,
            &place(),
            "apifactory__test__weatherapi__16__front__k",
        ),
        (
            Scope::Exclusive,
            &target,
            "apifactory__test__weatherapi__16__back__k",
        ),
    ] {
        assert_eq!(printed(scope, None, place), expected);
    }
}

#[test]
fn a_context_means_another_applications_entries() {
    let context = CacheContext::new()
        .application(Value::of("app"))
        .proxy("p")
        .target(Value::of("nothing").or("t".to_owned()));
    let at = |scope, side| printed(scope, Some(&context), &place().side(side));
    assert_eq!(at(Scope::Global, Side::Proxy), "apifactory__test__k");
    assert_eq!(
        at(Scope::Application, Side::Proxy),
        "apifactory__test__other__k"
    );
    assert_eq!(
        at(Scope::Exclusive, Side::Proxy),
        "apifactory__test__other__16__p__k"
    );
    assert_eq!(
        at(Scope::Exclusive, Side::Target),
        "apifactory__test__other__16__t__k"
    );
    let revised = context.revision("3");
    let text = printed(Scope::Proxy, Some(&revised), &place());
    assert_eq!(text, "apifactory__test__other__3__p__k");
}

#[test]
fn a_context_has_what_its_scope_is_made_of() {
    let application = CacheContext::new().application("a");
    let check = |scope, context: &CacheContext, key: CacheKey| {
        let policy = InvalidateCache::new("I", key)
            .scope(scope)
            .context(context.clone());
        policy.check().err()
    };
    let missing = |scope, missing| Some(PolicyError::ContextIncomplete { scope, missing });
    let key = || CacheKey::new().literal("k");
    let proxy = application.clone().proxy("p");
    assert_eq!(check(Scope::Global, &CacheContext::new(), key()), None);
    assert_eq!(check(Scope::Application, &application, key()), None);
    assert_eq!(check(Scope::Proxy, &proxy, key()), None);
    assert_eq!(
        check(Scope::Exclusive, &proxy.clone().target("t"), key()),
        None
    );
    for (scope, context, what) in [
        (
            Scope::Application,
            &CacheContext::new().proxy("p"),
            "APIProxyName",
        ),
        (Scope::Proxy, &application, "ProxyName"),
        (Scope::Target, &proxy, "TargetName"),
        (Scope::Exclusive, &proxy, "TargetName"),
    ] {
        assert_eq!(check(scope, context, key()), missing(scope, what));
        // A prefix stands in place of both.
        assert_eq!(check(scope, context, key().prefix("p")), None);
    }
}

#[test]
fn a_prefix_wins_over_the_scope() {
    let key = CacheKey::new().prefix("P").literal("k");
    let none = Flow::new();
    for scope in [Scope::Global, Scope::Exclusive] {
        let (here, there) = (place(), Place::new("o", "e", "a"));
        let one = key.resolve(scope, None, &here, &none).unwrap();
        let other = key.resolve(Scope::Proxy, None, &there, &none).unwrap();
        assert_eq!(one.to_string(), "P__k");
        assert!(same(&one, &other));
    }
}

#[test]
fn what_is_printed_alike_is_not_the_same() {
    let none = Flow::new();
    let here = place().proxy("default").target("default");
    let key = |fragments: &[&str]| {
        fragments
            .iter()
            .fold(CacheKey::new(), |key, fragment| key.literal(*fragment))
    };
    let (whole, parts, headed) = (key(&["a__b"]), key(&["a", "b"]), key(&["b"]).prefix("a"));
    let prefix = key(&[]).prefix("apifactory__test__a__b");
    let of = |key, scope| CacheKey::resolve(key, scope, None, &here, &none).unwrap();
    let global = |key| of(key, Scope::Global);
    assert_eq!(global(&whole).to_string(), global(&parts).to_string());
    assert_eq!(global(&whole).to_string(), global(&prefix).to_string());
    let keys = [
        global(&whole),
        global(&parts),
        global(&prefix),
        global(&headed),
    ];
    for (place, one) in keys.iter().enumerate() {
        for (other_place, other) in keys.iter().enumerate() {
            assert_eq!(same(one, other), place == other_place, "{one:?} {other:?}");
        }
    }
    // An endpoint of the proxy's is none of the target's, whatever it is called.
    let (proxy, target) = (of(&whole, Scope::Proxy), of(&whole, Scope::Target));
    assert_eq!(proxy.to_string(), target.to_string());
    assert!(!same(&proxy, &target));
    assert!(same(&proxy, &of(&whole, Scope::Exclusive)));
}

#[test]
fn what_no_gateway_here_ever_sets_is_no_variable() {
    for (name, word) in [
        ("request.url", "proxy.pathsuffix"),
        ("proxy.basepath", "pathsuffix"),
        ("proxy.url", "pathsuffix"),
        ("apiproxy.name", "<Scope>"),
        ("organization.name", "<Scope>"),
        ("environment.name", "<Scope>"),
        ("target.url", "flow.target"),
        ("message.uri", "request.uri"),
        ("system.time", "flow."),
        ("error.message", "fault.name"),
        ("fault.nam", "fault.name"),
        ("lookupcache.Find.cachehitt", ".cachehit"),
        ("lookupcache.cachehit", "lookupcache.POLICY.cachehit"),
        ("populatecache.Keep.cachehit", ".failed"),
        ("invalidatecache.Drop.fail", ".failed"),
        ("responsecache.Weather.hit", ".cachehit"),
    ] {
        let error = name.parse::<Variable>().unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(word), "{error}");
    }
    for name in [
        "flow.token",
        "fault.name",
        "targets.url",
        "lookupcache.Find.Token.cachehit",
        "responsecache.Weather.invalidentry",
    ] {
        let variable = Variable::from(name);
        assert!(matches!(variable, Variable::Application(_)), "{name}");
    }
}

#[test]
fn a_request_without_a_value_has_no_key() {
    let key = CacheKey::new().reference("request.header.userid");
    let here = place();
    let none = Flow::new();
    let variable = Variable::from("request.header.UserId");
    assert_eq!(
        key.resolve(Scope::Global, None, &here, &none),
        Err(KeyError::Unresolved { variable })
    );
    let empty = Flow::from([("request.header.userid", "")]);
    let entry = key.resolve(Scope::Global, None, &here, &empty).unwrap();
    assert_eq!(entry.to_string(), "apifactory__test__");
    let context = CacheContext::new().application(Value::of("app"));
    let literal = CacheKey::new().literal("k");
    let unresolved = literal.resolve(Scope::Application, Some(&context), &here, &none);
    assert!(matches!(unresolved, Err(KeyError::Unresolved { .. })));
}

#[test]
fn a_printed_key_has_at_most_two_kilobytes() {
    let here = place();
    let none = Flow::new();
    let long = |length| CacheKey::new().prefix("p").literal("x".repeat(length));
    let most = MAX_PRINTED_KEY_BYTES - "p__".len();
    assert!(
        long(most)
            .resolve(Scope::Global, None, &here, &none)
            .is_ok()
    );
    let length = MAX_PRINTED_KEY_BYTES + 1;
    assert_eq!(
        long(most + 1).resolve(Scope::Global, None, &here, &none),
        Err(KeyError::TooLong { length })
    );
}

/// A request's values as they were sent.
struct Sent(Vec<(&'static str, &'static str)>);

impl Variables for Sent {
    fn get(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        let (Variable::QueryParam(name, part) | Variable::FormParam(name, part)) = variable else {
            return None;
        };
        part.of(self
            .0
            .iter()
            .filter(|(sent, _)| **sent == **name)
            .map(|(_, value)| *value))
    }
}

#[test]
fn several_values_are_not_one_that_reads_like_them() {
    let key = CacheKey::new().reference("request.queryparam.w");
    let here = place();
    let of = |sent: &[&'static str]| Sent(sent.iter().map(|value| ("w", *value)).collect());
    let (one, two, odd) = (of(&["1,2"]), of(&["1", "2"]), of(&["1,2", "3"]));
    let resolve = |sent| key.resolve(Scope::Global, None, &here, sent);
    let (single, several) = (resolve(&one).unwrap(), resolve(&two).unwrap());
    assert_eq!(single.to_string(), several.to_string());
    assert!(!same(&single, &several));
    assert!(matches!(resolve(&odd), Err(KeyError::Ambiguous { .. })));
}

#[test]
fn values_are_one_fragments_or_anothers() {
    let key = CacheKey::new();
    let key = key
        .reference("request.queryparam.v")
        .reference("request.queryparam.w");
    let here = place();
    let resolve = |sent| key.resolve(Scope::Global, None, &here, sent).unwrap();
    let (left, right) = (
        Sent(vec![("v", "1"), ("v", "2"), ("w", "3")]),
        Sent(vec![("v", "1"), ("w", "2"), ("w", "3")]),
    );
    assert!(same(&resolve(&left), &resolve(&left)));
    assert!(!same(&resolve(&left), &resolve(&right)));
}

#[test]
fn a_key_has_at_most_sixteen_parts() {
    let key = CacheKey::new().reference("request.queryparam.w");
    let policy = ResponseCache::new("R", key.clone(), ExpirySettings::timeout(60));
    let divided = policy.use_accept_header(true);
    let here = place();
    for (values, fits, fits_divided) in [(14, true, true), (15, true, false), (16, false, false)] {
        let sent = Sent(vec![("w", "1"); values]);
        let plain = key.resolve(Scope::Global, None, &here, &sent);
        let accepting = divided.entry_key(&here, &sent);
        assert_eq!((plain.is_ok(), accepting.is_ok()), (fits, fits_divided));
        if !fits {
            assert_eq!(plain, Err(KeyError::TooManyParts { parts: 17 }));
        }
    }
}

/// What was sent and is no text is no absent value.
#[test]
fn a_value_that_is_no_text_is_no_key() {
    let here = place();
    let flow = Flow::from([("request.header.accept.values.count", "1")]);
    let variable = Variable::from("request.header.accept");
    let key = CacheKey::new().reference("request.header.accept");
    let not_text = KeyError::NotText { variable };
    assert_eq!(
        key.resolve(Scope::Global, None, &here, &flow),
        Err(not_text.clone())
    );
    let policy = ResponseCache::new("R", CacheKey::new(), ExpirySettings::timeout(60));
    let policy = policy.use_accept_header(true);
    assert_eq!(policy.entry_key(&here, &flow), Err(not_text));
}

#[test]
fn parts_of_several_values() {
    for (name, part) in [
        ("request.header.x", Part::All),
        ("request.header.x.values", Part::All),
        ("request.header.x.values.string", Part::All),
        ("request.header.x.values.count", Part::Count),
        ("request.header.x.2", Part::Nth(2)),
    ] {
        let Variable::RequestHeader(header, found) = Variable::from(name) else {
            panic!("{name}");
        };
        assert_eq!((header.as_str(), found), ("x", part), "{name}");
    }
    for whole in [
        "request.queryparam.x.0",
        "request.queryparam.x.",
        "request.queryparam.x.+1",
    ] {
        assert_eq!(Variable::from(whole).to_string(), whole);
        assert!(matches!(
            Variable::from(whole),
            Variable::QueryParam(_, Part::All)
        ));
    }
    for wrong in [
        "",
        "a b",
        "request.",
        "request.header.",
        "request.header.a@b",
        "request.queryparam..1",
        "response.status",
        "client.port",
    ] {
        assert!(wrong.parse::<Variable>().is_err(), "{wrong}");
    }
    assert!(matches!(
        Variable::from("requests.header"),
        Variable::Application(_)
    ));
}

#[test]
fn who_accepts_other_things_has_other_entries() {
    let key = CacheKey::new().literal("k").prefix("p");
    let policy = ResponseCache::new("R", key, ExpirySettings::timeout(60)).use_accept_header(true);
    let here = place();
    let flows = [
        Flow::new(),
        Flow::from([("request.header.accept", "text/html")]),
        Flow::from([("request.header.accept-language", "text/html")]),
        Flow::from([("request.header.accept", "")]),
        Flow::from([
            ("request.header.accept-encoding", "br"),
            ("request.header.accept-charset", "utf-8"),
        ]),
    ];
    let keys: Vec<_> = flows
        .iter()
        .map(|flow| policy.entry_key(&here, flow).unwrap())
        .collect();
    assert_eq!(keys[4].to_string(), "p__k__br__utf-8");
    for (place, one) in keys.iter().enumerate() {
        for (other_place, other) in keys.iter().enumerate() {
            assert_eq!(same(one, other), place == other_place, "{one} {other}");
        }
    }
}

proptest! {
    /// The engine's key is the prefix and the fragments, and nothing less.
    #[test]
    fn only_the_same_parts_are_the_same_key(
        one in (prop::option::of("[a_]{0,3}"), prop::collection::vec("[a_]{0,3}", 0..4)),
        other in (prop::option::of("[a_]{0,3}"), prop::collection::vec("[a_]{0,3}", 0..4)),
    ) {
        let key = |parts: &(Option<String>, Vec<String>)| {
            let (prefix, fragments) = parts.clone();
            let key = fragments.into_iter().fold(CacheKey::new(), |key, part| key.literal(part));
            match prefix {
                Some(prefix) => key.prefix(prefix),
                None => key,
            }
        };
        let (here, none) = (Place::new("a", "a", "a"), BTreeMap::<String, String>::new());
        let (first, second) = (key(&one), key(&other));
        let first = first.resolve(Scope::Application, None, &here, &none).unwrap();
        let second = second.resolve(Scope::Application, None, &here, &none).unwrap();
        prop_assert!(same(&first, &first));
        prop_assert_eq!(same(&first, &second), one == other);
    }
}
