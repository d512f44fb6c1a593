//! Paths as tags: a stored response carries its own path, everything above it, and the route that
//! matched, so that `revalidate_path` is an invalidation of one tag.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::InvalidateError;
use crate::reason::NotStorable;
use crate::tag::{MAX_PATH_LEVELS, TagName};

/// The most bytes in a path: each of its levels is a tag.
const MAX_PATH_BYTES: usize = 2048;

// Kinds of implicit tags.
const PAGE: char = 'p';
const LAYOUT: char = 'l';
const ROUTE: char = 'r';
const ROUTE_LAYOUT: char = 'R';
/// Paths of entries stored outside a router, where no route is matched.
const UNROUTED: char = 'u';

/// What `revalidate_path` takes: a page, or a layout (a path and everything beneath it), each by its
/// concrete path or by the pattern of its route.
///
/// Text is a page: `"/blog/hello"`, `"/blog/{slug}"`. How characters are percent-encoded does not
/// matter, but that an encoded slash separates nothing. See Next.js's `revalidatePath`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTarget {
    path: String,
    layout: bool,
}

impl PathTarget {
    /// Exactly this path or route.
    pub fn page(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            layout: false,
        }
    }

    /// This path or route and everything beneath it.
    pub fn layout(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            layout: true,
        }
    }

    /// The tags that this target invalidates.
    pub(crate) fn tags(&self) -> Result<Vec<TagName>, InvalidateError> {
        let wrong = || InvalidateError::InvalidPath {
            path: self.path.chars().take(256).collect(),
        };
        if !self.path.starts_with('/') || levels(&self.path).nth(MAX_PATH_LEVELS).is_some() {
            return Err(wrong());
        }
        let path = trimmed(&self.path);
        let whole = decoded(path);
        let mut tags = Vec::new();
        // An encoded brace is no placeholder's.
        match path.find('{') {
            None if self.layout => tags.push(TagName::of(LAYOUT, &whole)),
            None => tags.push(TagName::of(PAGE, &whole)),
            Some(first) => {
                let kind = if self.layout { ROUTE_LAYOUT } else { ROUTE };
                tags.push(TagName::of(kind, &whole));
                // No route is known there: everything under the literal prefix, never too little.
                let prefix = &path[..first];
                let prefix = trimmed(prefix.rfind('/').map_or("/", |end| &prefix[..=end]));
                tags.push(TagName::of(UNROUTED, &decoded(prefix)));
            }
        }
        Ok(tags)
    }
}

impl From<&str> for PathTarget {
    fn from(path: &str) -> Self {
        Self::page(path)
    }
}

impl From<String> for PathTarget {
    fn from(path: String) -> Self {
        Self::page(path)
    }
}

/// What people are told of a kind of these.
pub(crate) fn kind_shown(kind: char) -> &'static str {
    match kind {
        LAYOUT => "layout",
        ROUTE => "route",
        ROUTE_LAYOUT => "route layout",
        UNROUTED => "unrouted",
        _ => "path",
    }
}

/// Whether a name, with its kind, is a path's.
pub(crate) fn is_path(raw: &str) -> bool {
    raw.starts_with([PAGE, LAYOUT, ROUTE, ROUTE_LAYOUT, UNROUTED])
}

/// What people know a response by, of the names of its tags: its route, or its path where it has none.
pub(crate) fn best_known<'a>(tags: impl Iterator<Item = &'a str> + Clone) -> Option<Cow<'a, str>> {
    let of = |kind| tags.clone().find(|raw| raw.starts_with(kind));
    of(ROUTE).or_else(|| of(PAGE)).map(crate::tag::shown)
}

/// The implicit tags of a response at `path`, matched by `route` if a router matched one.
///
/// # Errors
///
/// [`NotStorable::PathLevels`] where either has more than 32 levels, or the path more than 2 KiB.
pub fn path_tags(path: &str, route: Option<&str>) -> Result<Vec<TagName>, NotStorable> {
    let path = trimmed(path);
    if path.len() > MAX_PATH_BYTES
        || levels(path).nth(MAX_PATH_LEVELS).is_some()
        || route.is_some_and(|route| levels(route).nth(MAX_PATH_LEVELS).is_some())
    {
        return Err(NotStorable::PathLevels);
    }
    let path = &*decoded(trimmed(path));
    let route = route.map(|route| decoded(trimmed(route)));
    let mut tags = vec![TagName::of(PAGE, path)];
    tags.extend(levels(path).map(|level| TagName::of(LAYOUT, level)));
    match route.as_deref() {
        Some(route) => {
            tags.push(TagName::of(ROUTE, route));
            // Levels without a placeholder are the path's own, and carried as such.
            let patterns = levels(route).filter(|level| level.contains('{'));
            tags.extend(patterns.map(|level| TagName::of(ROUTE_LAYOUT, level)));
        }
        None => tags.extend(levels(path).map(|level| TagName::of(UNROUTED, level))),
    }
    Ok(tags)
}

/// Without the slash at its end: `/blog/` and `/blog` are one page.
fn trimmed(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    }
}

/// The path as it is meant, however its characters are encoded: `/blog/hell%6F` is `/blog/hello`. An
/// encoded slash stays one, or levels would move; so does what decodes to no printable text.
fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut whole = String::with_capacity(path.len());
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            whole.push('/');
        }
        let mut rest = segment;
        while let Some(slash) = encoded_slash(rest) {
            push_decoded(&mut whole, &rest[..slash]);
            whole.push_str("%2F");
            rest = &rest[slash + 3..];
        }
        push_decoded(&mut whole, rest);
    }
    Cow::Owned(whole)
}

fn encoded_slash(segment: &str) -> Option<usize> {
    segment
        .find("%2F")
        .into_iter()
        .chain(segment.find("%2f"))
        .min()
}

fn push_decoded(whole: &mut String, text: &str) {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains(char::is_control) => whole.push_str(&decoded),
        _ => whole.push_str(text),
    }
}

/// `/`, `/blog`, `/blog/hello`: the path and everything above it.
fn levels(path: &str) -> impl Iterator<Item = &str> {
    let path = trimmed(path);
    let inner = path.match_indices('/').skip(1).map(|(at, _)| &path[..at]);
    let whole = (path != "/").then_some(path);
    std::iter::once("/").chain(inner).chain(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_known_by_its_route_or_else_by_its_path() {
        for (route, known) in [
            (Some("/blog/{slug}"), "route /blog/{slug}"),
            (None, "path /blog/hello"),
        ] {
            let mut tags = vec![TagName::all(), TagName::function("inner")];
            tags.extend(path_tags("/blog/hello", route).unwrap());
            let known_by = best_known(tags.iter().map(|tag| &**tag.raw()));
            assert_eq!(known_by.as_deref(), Some(known));
        }
        assert_eq!(best_known(["*", "#blog"].into_iter()), None);
    }

    #[test]
    fn a_path_is_the_same_however_it_is_encoded() {
        for (target, stored, same) in [
            ("/blog/hello", "/blog/hell%6F", true),
            ("/blog/hell%6f", "/blog/hello/", true),
            ("/%62log", "/blog", true),
            ("/h\u{e9}llo", "/h%C3%A9llo", true),
            ("/h%c3%a9llo", "/h%C3%A9llo", true),
            ("/a b", "/a%20b", true),
            ("/100%", "/100%25", true),
            ("/100%25", "/100%25", true),
            ("/a%2Fb", "/a%2fb", true),
            ("/a%2Fb", "/%61%2Fb", true),
            ("/a/b", "/a%2Fb", false),
            ("/a", "/a%2Fb", false),
            ("/a%7Bb", "/a%7bb", true),
            ("/a%FFb", "/a%FFb", true),
            ("/a%FFb", "/a%FEb", false),
            ("/a%0Ab", "/a%0Ab", true),
            ("/blog/hello", "/blog/Hell%6F", false),
        ] {
            let tags = PathTarget::page(target).tags().unwrap();
            let carried = path_tags(stored, None).unwrap();
            let found = tags.iter().any(|tag| carried.contains(tag));
            assert_eq!(found, same, "{target} {stored}");
        }
        let layout = PathTarget::layout("/bl%6Fg").tags().unwrap();
        let carried = path_tags("/%62log/hello", None).unwrap();
        assert!(layout.iter().all(|tag| carried.contains(tag)));
        let route = PathTarget::page("/caf%C3%A9/{id}").tags().unwrap();
        let carried = path_tags("/caf%c3%a9/1", Some("/caf%C3%A9/{id}")).unwrap();
        assert!(carried.contains(&route[0]));
        assert!(path_tags("/caf%c3%a9/1", None).unwrap().contains(&route[1]));
    }
}
