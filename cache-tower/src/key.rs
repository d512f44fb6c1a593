//! The key of a request: what the client asked for, each part after its length, so that no two
//! requests share one by accident or by design.

use http::header::{COOKIE, HOST};
use http::{Extensions, HeaderMap, Uri};
use smallvec::SmallVec;

use crate::policy::Cookies;
use crate::refusal::Refusal;

/// The bytes of a key, on the stack for ordinary lengths.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyBuf(SmallVec<[u8; 192]>);

impl KeyBuf {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes bytes after their length, which takes one byte up to 254.
    #[inline]
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        match u8::try_from(bytes.len()) {
            Ok(length) if length < u8::MAX => self.0.push(length),
            _ => {
                self.0.push(u8::MAX);
                self.0
                    .extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            }
        }
        self.0.extend_from_slice(bytes);
    }

    #[inline]
    pub(crate) fn flag(&mut self, flag: u8) {
        self.0.push(flag);
    }

    /// Marks what follows as the second level.
    pub(crate) fn begin_variant(&mut self) {
        self.0.push(b'V');
    }
}

/// The URI that the client sent: routers show the layers inside them a shortened one.
pub(crate) fn client_uri<'r>(uri: &'r Uri, extensions: &'r Extensions) -> &'r Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    let _ = extensions;
    uri
}

/// Which requests may meet: none of two layers' names, of two depths of nesting, with and without
/// `Authorization`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Realm<'a> {
    pub(crate) layer: &'a str,
    pub(crate) depth: u8,
    pub(crate) authorized: bool,
    pub(crate) cookies: Option<&'a Cookies>,
}

/// Writes the key of a GET for `uri`; a HEAD is looked up under it too.
pub(crate) fn request_key(
    uri: &Uri,
    headers: &HeaderMap,
    realm: Realm<'_>,
) -> Result<KeyBuf, Refusal> {
    let mut key = KeyBuf::default();
    key.flag(realm.depth);
    key.flag(u8::from(realm.authorized));
    key.part(realm.layer.as_bytes());
    key.part(b"GET");
    key.part(uri.scheme_str().unwrap_or_default().as_bytes());
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    // Which of several the handler believes cannot be known.
    if hosts.next().is_some() {
        return Err(Refusal::Host);
    }
    match uri.authority() {
        Some(authority) => write_host(&mut key, authority.as_str().as_bytes()),
        None => write_host(
            &mut key,
            host.map(http::HeaderValue::as_bytes).unwrap_or_default(),
        ),
    }
    key.part(uri.path().as_bytes());
    match uri.query() {
        None => key.flag(0),
        Some(query) => {
            key.flag(1);
            key.part(query.as_bytes());
        }
    }
    if let Some(Cookies::Vary(names)) = realm.cookies {
        for name in names {
            write_cookie(&mut key, name, headers);
        }
    }
    Ok(key)
}

/// Hosts are equal whatever their case.
#[inline]
fn write_host(key: &mut KeyBuf, host: &[u8]) {
    key.part(host);
    let start = key.0.len() - host.len();
    key.0[start..].make_ascii_lowercase();
}

/// Writes every value that the request gives the cookie `name`, in their order.
fn write_cookie(key: &mut KeyBuf, name: &str, headers: &HeaderMap) {
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b';'))
        .map(<[u8]>::trim_ascii);
    for pair in pairs {
        let (key_part, value) = match pair.iter().position(|&b| b == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[pair.len()..]),
        };
        if key_part == name.as_bytes() {
            key.flag(1);
            key.part(value);
        }
    }
    key.flag(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const REALM: Realm<'_> = Realm {
        layer: "",
        depth: 0,
        authorized: false,
        cookies: None,
    };

    fn key(uri: &str, headers: &[(&'static str, &str)], realm: Realm<'_>) -> Vec<u8> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        request_key(&uri.parse().unwrap(), &map, realm)
            .unwrap()
            .as_slice()
            .to_vec()
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
                    layer: "x",
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
    fn parts_cannot_be_moved_into_one_another() {
        assert_ne!(
            key("/ab", &[("host", "c")], REALM),
            key("/b", &[("host", "ca")], REALM)
        );
        let long = format!("/{}", "x".repeat(255));
        assert_ne!(key(&long, &[], REALM), key(&long[..255], &[], REALM));
    }

    #[test]
    fn hosts_ignore_case_and_must_be_one() {
        assert_eq!(
            key("/", &[("host", "Example.COM")], REALM),
            key("/", &[("host", "example.com")], REALM)
        );
        let mut headers = HeaderMap::new();
        headers.append(HOST, "a".parse().unwrap());
        headers.append(HOST, "b".parse().unwrap());
        assert_eq!(
            request_key(&"/".parse().unwrap(), &headers, REALM).err(),
            Some(Refusal::Host)
        );
    }

    #[test]
    fn named_cookies_select() {
        let cookies = Cookies::vary(["lang", "theme"]);
        let realm = Realm {
            cookies: Some(&cookies),
            ..REALM
        };
        let of = |line: &str| key("/", &[("cookie", line)], realm);
        assert_eq!(of("lang=de; session=1"), of("session=2;lang=de"));
        assert_ne!(of("lang=de"), of("lang=en"));
        assert_ne!(of("lang=de"), of("theme=de"));
        assert_ne!(of("lang"), of("session=1"));
        assert_ne!(of("lang=a; lang=b"), of("lang=b; lang=a"));
        assert_eq!(of("session=1"), key("/", &[], realm));
    }
}
