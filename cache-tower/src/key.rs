//! The key of a request: what the client asked for, each part after its length, so that no two
//! requests share one by accident or by design.

mod buf;

use http::header::{COOKIE, FORWARDED, HeaderName};
use http::uri::Authority;
use http::{Extensions, HeaderMap, HeaderValue, Uri};

pub(crate) use self::buf::KeyBuf;
use crate::layer::Name;
use crate::policy::Cookies;

/// The URI that the client sent: routers show the layers inside them a shortened one.
pub(crate) fn client_uri<'r>(uri: &'r Uri, extensions: &'r Extensions) -> &'r Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    let _ = extensions;
    uri
}

/// Whether the URI names another host than the header: which one the handler believes cannot be known.
#[inline]
pub(crate) fn is_ambiguous(uri: &Uri, host: Option<&HeaderValue>) -> bool {
    match (uri.authority(), host) {
        (Some(authority), Some(host)) => !authority
            .as_str()
            .as_bytes()
            .eq_ignore_ascii_case(host.as_bytes()),
        _ => false,
    }
}

/// Which requests may meet: none of two layers' names, of two depths of nesting, with and without
/// `Authorization`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Realm<'a> {
    pub(crate) layer: &'a Name,
    pub(crate) depth: u8,
    pub(crate) authorized: bool,
    pub(crate) cookies: Option<&'a Cookies>,
}

/// Writes the key of a GET for `uri`; a HEAD is looked up under it too. `host`: the header's value.
#[inline]
pub(crate) fn write_key(
    key: &mut KeyBuf,
    uri: &Uri,
    host: Option<&HeaderValue>,
    headers: &HeaderMap,
    realm: Realm<'_>,
) {
    key.push(&[b'G', realm.depth, u8::from(realm.authorized)]);
    match realm.layer {
        Name::Made { place, number } => {
            key.flag(0);
            key.push(&place.to_le_bytes());
            key.push(&number.to_le_bytes());
        }
        Name::Given(name) => {
            key.flag(1);
            key.part(name.as_bytes());
        }
    }
    key.part(uri.scheme_str().unwrap_or_default().as_bytes());
    match uri.authority() {
        Some(authority) => write_host(key, authority.as_str().as_bytes()),
        None => write_host(key, host.map(HeaderValue::as_bytes).unwrap_or_default()),
    }
    write_path(key, uri);
    if let Some(Cookies::Vary(names)) = realm.cookies {
        for name in names {
            write_cookie(key, name, headers);
        }
    }
}

/// Writes the key that a directed layer is told.
pub(crate) fn write_directed(key: &mut KeyBuf, told: &[u8], depth: u8, authorized: bool) {
    key.push(&[b'D', depth, u8::from(authorized)]);
    key.part(told);
}

/// Where what is in front says what the client asked it for: handlers may believe it, so it is part
/// of the key. (`X-Forwarded-For` is not: it says who asked.)
const ASKED_IN_FRONT: [HeaderName; 10] = [
    FORWARDED,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-host"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// What some handlers take for the method.
const METHODS_INSTEAD: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// What a header that is not of the ordinary ones may be to handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Odd {
    /// It says what was asked for; see [`write_asked_in_front`].
    Asked,
    /// It stands for the method.
    Method,
    Other,
}

/// What a header may be to handlers.
#[inline]
pub(crate) fn odd(name: &HeaderName) -> Odd {
    let text = name.as_str().as_bytes();
    if text[0] == b'x' || *name == FORWARDED {
        odd_slowly(name)
    } else {
        Odd::Other
    }
}

#[cold]
fn odd_slowly(name: &HeaderName) -> Odd {
    if ASKED_IN_FRONT.contains(name) {
        Odd::Asked
    } else if METHODS_INSTEAD.contains(name) {
        Odd::Method
    } else {
        Odd::Other
    }
}

/// Writes what was asked for in front.
#[cold]
pub(crate) fn write_asked_in_front(key: &mut KeyBuf, headers: &HeaderMap) {
    for name in &ASKED_IN_FRONT {
        for value in headers.get_all(name) {
            key.flag(b'F');
            key.part(name.as_str().as_bytes());
            key.part(value.as_bytes());
        }
    }
}

/// Writes the URI that what is around made of the client's.
pub(crate) fn write_rewritten(key: &mut KeyBuf, uri: &Uri) {
    key.flag(b'U');
    key.part(uri.scheme_str().unwrap_or_default().as_bytes());
    key.part(uri.authority().map_or("", Authority::as_str).as_bytes());
    write_path(key, uri);
}

#[inline]
fn write_path(key: &mut KeyBuf, uri: &Uri) {
    key.part(uri.path().as_bytes());
    match uri.query() {
        None => key.flag(0),
        Some(query) => {
            key.flag(1);
            key.part(query.as_bytes());
        }
    }
}

/// Hosts are equal whatever their case.
#[inline]
fn write_host(key: &mut KeyBuf, host: &[u8]) {
    key.part(host);
    key.last_mut(host.len()).make_ascii_lowercase();
}

/// Writes every value that the request gives the cookie `name`, in their order. Its lines are
/// [plain](are_plain); whether one is the first is written too, since some handlers read no other.
fn write_cookie(key: &mut KeyBuf, name: &str, headers: &HeaderMap) {
    for (at, line) in headers.get_all(COOKIE).iter().enumerate() {
        for pair in line.as_bytes().split(|&b| b == b';') {
            let pair = pair.strip_prefix(b" ").unwrap_or(pair);
            let value = pair
                .strip_prefix(name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="));
            if let Some(value) = value {
                key.flag(if at == 0 { 1 } else { 2 });
                key.part(value);
            }
        }
    }
    key.flag(0);
}

/// Whether every reader finds the same cookies in a request: each line is `name=value; name=value`
/// (RFC 6265, section 4.2.1), no value is quoted, and no name is encoded or an attribute.
pub(crate) fn are_plain(headers: &HeaderMap) -> bool {
    let is_name = |name: &[u8]| {
        let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(b);
        !name.is_empty() && !name.starts_with(b"$") && name.iter().all(token)
    };
    let is_value = |value: &[u8]| {
        let octet = |b: &u8| b.is_ascii_graphic() && !b"\",;\\".contains(b);
        value.iter().all(octet)
    };
    let is_pair = |pair: &[u8]| match pair.iter().position(|&b| b == b'=') {
        Some(at) => is_name(&pair[..at]) && is_value(&pair[at + 1..]),
        None => false,
    };
    headers.get_all(COOKIE).iter().all(|line| {
        let mut pairs = line.as_bytes().split(|&b| b == b';');
        pairs.next().is_some_and(is_pair)
            && pairs.all(|pair| pair.strip_prefix(b" ").is_some_and(is_pair))
    })
}

/// The pattern of the route that axum matched.
pub(crate) fn matched_route<B>(request: &http::Request<B>) -> Option<&str> {
    #[cfg(feature = "axum")]
    return request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map(axum::extract::MatchedPath::as_str);
    #[cfg(not(feature = "axum"))]
    {
        let _ = request;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REALM: Realm<'_> = Realm {
        layer: &Name::Made {
            place: 0,
            number: 0,
        },
        depth: 0,
        authorized: false,
        cookies: None,
    };

    fn key(uri: &str, headers: &[(&'static str, &str)], realm: Realm<'_>) -> Vec<u8> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let mut key = KeyBuf::new();
        write_key(
            &mut key,
            &uri.parse().unwrap(),
            map.get("host"),
            &map,
            realm,
        );
        key.as_slice().to_vec()
    }

    #[test]
    fn keys_differ_by_every_part() {
        type Request<'a> = (&'a str, &'a [(&'static str, &'a str)], Realm<'a>);
        let requests: [Request<'_>; 13] = [
            ("/a", &[], REALM),
            ("/a/", &[], REALM),
            ("/A", &[], REALM),
            ("/a?", &[], REALM),
            ("/a?b", &[], REALM),
            ("/a?b=c", &[], REALM),
            ("/a%2Fb", &[], REALM),
            ("/a", &[("host", "one")], REALM),
            ("http://one/a", &[], REALM),
            ("https://one/a", &[], REALM),
            (
                "/a",
                &[],
                Realm {
                    layer: &Name::Made {
                        place: 0,
                        number: 1,
                    },
                    ..REALM
                },
            ),
            ("/a", &[], Realm { depth: 1, ..REALM }),
            (
                "/a",
                &[],
                Realm {
                    authorized: true,
                    ..REALM
                },
            ),
        ];
        let mut seen = std::collections::HashSet::new();
        for (uri, headers, realm) in requests {
            assert!(seen.insert(key(uri, headers, realm)), "{uri} {headers:?}");
        }
    }

    #[test]
    fn given_names_never_equal_those_of_unnamed_layers() {
        let of = |layer: &Name| key("/", &[], Realm { layer, ..REALM });
        let unnamed = of(&Name::Made {
            place: 0,
            number: 0,
        });
        for name in ["", "#0", "0", "\0", "\0\0\0\0\0\0\0\0"] {
            assert_ne!(of(&Name::Given(name.into())), unnamed, "{name:?}");
        }
    }

    #[test]
    fn parts_cannot_be_moved_into_one_another() {
        assert_ne!(
            key("/ab", &[("host", "c")], REALM),
            key("/b", &[("host", "ca")], REALM)
        );
        let long = format!("/{}", "x".repeat(255));
        assert_ne!(key(&long, &[], REALM), key(&long[..255], &[], REALM));
    }

    #[test]
    fn hosts_ignore_case() {
        let of = |host| key("/", &[("host", host)], REALM);
        assert_eq!(of("Example.COM"), of("example.com"));
    }

    #[test]
    fn named_cookies_select() {
        let cookies = Cookies::vary(["lang", "theme"]);
        let realm = Realm {
            cookies: Some(&cookies),
            ..REALM
        };
        let of = |line: &str| key("/", &[("cookie", line)], realm);
        assert_eq!(of("lang=de; session=1"), of("session=2; lang=de"));
        assert_ne!(of("lang=de"), of("lang=en"));
        assert_ne!(of("lang=de"), of("theme=de"));
        assert_ne!(of("lang="), of("session=1"));
        assert_ne!(of("lang=de"), of("language=de"));
        assert_ne!(of("lang=a; lang=b"), of("lang=b; lang=a"));
        assert_eq!(of("session=1"), key("/", &[], realm));
        let lines = |lines| key("/", lines, realm);
        assert_ne!(
            lines(&[("cookie", "lang=de"), ("cookie", "session=1")]),
            lines(&[("cookie", "session=1"), ("cookie", "lang=de")]),
        );
    }

    #[test]
    fn plain_cookies_are_known() {
        let of = |line: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_static("a=b"));
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
            are_plain(&headers)
        };
        assert!(are_plain(&HeaderMap::new()));
        for line in ["a=b", "a=", "a=b; c=d", "a=b=c; __Host-x=1", "a=%22b%22"] {
            assert!(of(line.as_bytes()), "{line}");
        }
        for line in [
            "",
            "a",
            "=b",
            "a =b",
            "a= b",
            " a=b",
            "a=b ",
            "a=b;",
            "a=b;c=d",
            "a=b;  c=d",
            "a=b;\tc=d",
            "a=b,c",
            "a=\"b\"",
            "a=\"b",
            "a=b\\c",
            "$Version=1; a=b",
            "a%62=c",
            "[a]=b",
            "a=b; c",
            "a=b; ; c=d",
        ] {
            assert!(!of(line.as_bytes()), "{line}");
        }
        assert!(!of(b"a=\xc3\xa4"));
        assert!(!of(b"\xe4=b"));
    }
}
