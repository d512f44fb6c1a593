//! What a response is of, as tags: its URI, which unsafe requests invalidate (RFC 9111, section 4.4),
//! and its groups (RFC 9875).

use cache_core::NotStorable;
use cache_core::spi::TagName;
use fluent_uri::{Uri as Absolute, UriRef};
use http::header::{CONTENT_LOCATION, HOST, HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use sfv::{BareItem, List, ListEntry, Parser};
use xxhash_rust::xxh3::xxh3_128;

use crate::key::client_uri;

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// The longest one that is a tag as it is: while loads run, thousands of tags are remembered that
/// nothing carries, and unsafe requests name what they like.
const LONGEST: usize = 512;

/// The authority and the path and query that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Where the client said it.
    scheme: Option<String>,
    authority: String,
    path_and_query: String,
}

impl Resource {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let uri = client_uri(request.uri(), request.extensions());
        Self::new(uri, request.headers().get(HOST))
    }

    fn new(uri: &Uri, host: Option<&HeaderValue>) -> Self {
        let authority = match uri.authority() {
            Some(authority) => authority.as_str(),
            None => host.and_then(|host| host.to_str().ok()).unwrap_or_default(),
        };
        Self {
            scheme: uri.scheme_str().map(str::to_owned),
            authority: plain_authority(authority),
            path_and_query: path_and_query(uri.path(), uri.query()),
        }
    }

    /// As people read it.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.authority, self.path_and_query)
    }

    /// The tag of all that is stored for it, whatever it varies by.
    pub(crate) fn tag(&self) -> TagName {
        if self.authority.len() + self.path_and_query.len() <= LONGEST {
            return TagName::resource(&self.authority, &self.path_and_query);
        }
        // Two that share it by chance are invalidated together.
        let hash = xxh3_128(self.shown().as_bytes());
        TagName::resource("", &format!("{hash:032x}"))
    }

    /// Another one of the same origin, as a header names it relative to this one; `None` where it is
    /// no URI or of another origin.
    fn beside(&self, reference: &HeaderValue) -> Option<Self> {
        let reference = UriRef::parse(reference.to_str().ok()?).ok()?;
        let scheme = self.scheme.as_deref();
        let base = format!(
            "{}://{}{}",
            scheme.unwrap_or("http"),
            self.authority,
            self.path_and_query
        );
        let base = Absolute::parse(base.as_str()).ok()?;
        let found = reference.resolve_against(&base).ok()?;
        // A client need not say which scheme it used.
        let scheme_is_ours = match (reference.scheme(), scheme) {
            (None, _) => true,
            (Some(named), Some(ours)) => named.as_str().eq_ignore_ascii_case(ours),
            (Some(named), None) => matches!(
                named.as_str().to_ascii_lowercase().as_str(),
                "http" | "https"
            ),
        };
        let authority = plain_authority(found.authority()?.as_str());
        if !scheme_is_ours || authority != self.authority {
            return None;
        }
        Some(Self {
            scheme: self.scheme.clone(),
            authority,
            path_and_query: path_and_query(
                found.path().as_str(),
                found.query().map(|query| query.as_str()),
            ),
        })
    }

    /// Its origin, as far as its client said it.
    fn origin(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.authority)
    }

    /// The groups that a response says it is in: each of this origin, and a tag by its own name.
    ///
    /// # Errors
    ///
    /// [`NotStorable::TagLength`] where a name cannot be a tag: without it the response would outlive
    /// its group's invalidation.
    pub(crate) fn groups(&self, headers: &HeaderMap) -> Result<Vec<TagName>, NotStorable> {
        let mut tags = Vec::new();
        for group in names(headers, &CACHE_GROUPS) {
            tags.push(TagName::user(&group)?);
            let scheme = self.scheme.as_deref().unwrap_or_default();
            tags.push(TagName::group(&self.origin(scheme), &group));
        }
        Ok(tags)
    }
}

/// An empty path is that of the root.
fn path_and_query(path: &str, query: Option<&str>) -> String {
    let mut whole = if path.is_empty() { "/" } else { path }.to_owned();
    if let Some(query) = query {
        whole.push('?');
        whole.push_str(query);
    }
    whole
}

/// Lower-case, and without the port that its scheme has anyway.
fn plain_authority(authority: &str) -> String {
    let mut plain = authority.to_ascii_lowercase();
    for port in [":80", ":443"] {
        if plain.ends_with(port) {
            plain.truncate(plain.len() - port.len());
        }
    }
    plain
}

/// The members of a structured list of strings; none where it is not one.
fn names(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let text = lines.join(&b", "[..]);
    let Ok(list) = Parser::new(&text).parse::<List>() else {
        return Vec::new();
    };
    let member = |member: &ListEntry| match member {
        ListEntry::Item(item) => match &item.bare_item {
            BareItem::String(text) => Some(text.as_str().to_owned()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    };
    let all: Option<Vec<_>> = list.iter().map(member).collect();
    all.unwrap_or_default()
}

/// A request that may change what is stored: its method is not known to be safe.
#[derive(Debug)]
pub(crate) struct Unsafe(Resource);

impl Unsafe {
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
        // What is not known may do anything (RFC 9110, section 9.2.1).
        (!request.method().is_safe()).then(|| Self(Resource::of(request)))
    }

    /// What its answer invalidates: nothing where it failed.
    pub(crate) fn invalidated_by(&self, status: StatusCode, headers: &HeaderMap) -> Vec<TagName> {
        if !status.is_success() && !status.is_redirection() {
            return Vec::new();
        }
        let Self(resource) = self;
        let mut tags = vec![resource.tag()];
        for name in [LOCATION, CONTENT_LOCATION] {
            let beside = headers.get(name).and_then(|value| resource.beside(value));
            tags.extend(beside.map(|other| other.tag()));
        }
        // What was asked for without a scheme may be of any.
        let schemes: &[&str] = match resource.scheme.as_deref() {
            Some(scheme) => &[scheme, ""],
            None => &["http", "https", ""],
        };
        for group in names(headers, &CACHE_GROUP_INVALIDATION) {
            let of = |scheme: &&str| TagName::group(&resource.origin(scheme), &group);
            tags.extend(schemes.iter().map(of));
        }
        tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(uri: &str, host: &str) -> Resource {
        Resource::new(
            &uri.parse().unwrap(),
            Some(&HeaderValue::from_str(host).unwrap()),
        )
    }

    #[test]
    fn references_are_resolved_within_the_origin() {
        let base = resource("/a/b?x=1", "Example.com");
        for (reference, expected) in [
            ("/c", Some("/c")),
            ("c", Some("/a/c")),
            ("../c?y", Some("/c?y")),
            ("?y=2", Some("/a/b?y=2")),
            ("#part", Some("/a/b?x=1")),
            ("", Some("/a/b?x=1")),
            ("http://example.com/c", Some("/c")),
            ("http://EXAMPLE.com:80/c", Some("/c")),
            ("https://example.com/c", Some("/c")),
            ("//example.com/c", Some("/c")),
            ("http://example.com", Some("/")),
            ("http://example.com:8080/c", None),
            ("http://example.org/c", None),
            ("//example.org/c", None),
            ("ftp://example.com/c", None),
            ("mailto:a@example.com", None),
            ("http://exa mple.com/", None),
        ] {
            let found = base.beside(&HeaderValue::from_str(reference).unwrap());
            let found = found.map(|resource| resource.path_and_query);
            assert_eq!(found.as_deref(), expected, "{reference}");
        }
        let secure = resource("https://example.com/a", "example.com");
        let plain = HeaderValue::from_static("http://example.com/c");
        assert_eq!(secure.beside(&plain), None);
    }

    #[test]
    fn long_ones_have_short_tags_of_their_own() {
        let of = |length: usize| resource(&format!("/{}", "x".repeat(length)), "h").tag();
        let text = |tag: &TagName| tag.shown().len();
        assert!(text(&of(510)) > 512);
        let long = [511, 512, 60_000].map(of);
        for (i, tag) in long.iter().enumerate() {
            assert!(text(tag) < 64);
            assert!(!long[..i].contains(tag));
        }
    }

    #[test]
    fn groups_are_lists_of_strings() {
        let of = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CACHE_GROUPS, line.parse().unwrap());
            }
            names(&headers, &CACHE_GROUPS)
        };
        assert_eq!(of(&["\"a\", \"b c\";x=1", "\"d\""]), ["a", "b c", "d"]);
        for wrong in ["a", "\"a\", b", "(\"a\")", "\"a", "1", ""] {
            assert!(of(&[wrong]).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn only_success_invalidates() {
        let post = Request::post("/a").header("host", "h").body(()).unwrap();
        let unsafe_request = Unsafe::of(&post).unwrap();
        for (status, expected) in [(200, 1), (204, 1), (303, 1), (404, 0), (500, 0), (100, 0)] {
            let status = StatusCode::from_u16(status).unwrap();
            let tags = unsafe_request.invalidated_by(status, &HeaderMap::new());
            assert_eq!(tags.len(), expected, "{status}");
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            let request = Request::builder()
                .method(method)
                .uri("/a")
                .body(())
                .unwrap();
            assert!(Unsafe::of(&request).is_none(), "{method}");
        }
    }
}
