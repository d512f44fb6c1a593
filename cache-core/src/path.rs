//! Paths as tags: a stored response carries its own path, everything above it, and the route that
//! matched, so that `revalidate_path` is an invalidation of one tag.

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
/// Text is a page: `"/blog/hello"`, `"/blog/{slug}"`. See Next.js's `revalidatePath`.
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
        let path = trimmed(&self.path);
        if !self.path.starts_with('/') || levels(path).count() > MAX_PATH_LEVELS {
            return Err(wrong());
        }
        let mut tags = Vec::new();
        match path.find('{') {
            None if self.layout => tags.push(TagName::of(LAYOUT, path)),
            None => tags.push(TagName::of(PAGE, path)),
            Some(first) => {
                let kind = if self.layout { ROUTE_LAYOUT } else { ROUTE };
                tags.push(TagName::of(kind, path));
                // No route is known there: everything under the literal prefix, never too little.
                let prefix = &path[..first];
                let prefix = trimmed(prefix.rfind('/').map_or("/", |end| &prefix[..=end]));
                tags.push(TagName::of(UNROUTED, prefix));
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

/// Whether a name, with its kind, is a path's.
pub(crate) fn is_path(raw: &str) -> bool {
    raw.starts_with([PAGE, LAYOUT, ROUTE, ROUTE_LAYOUT, UNROUTED])
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
    let mut tags = vec![TagName::of(PAGE, path)];
    tags.extend(levels(path).map(|level| TagName::of(LAYOUT, level)));
    match route.map(trimmed) {
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

/// `/`, `/blog`, `/blog/hello`: the path and everything above it.
fn levels(path: &str) -> impl Iterator<Item = &str> {
    let path = trimmed(path);
    let inner = path.match_indices('/').skip(1).map(|(at, _)| &path[..at]);
    let whole = (path != "/").then_some(path);
    std::iter::once("/").chain(inner).chain(whole)
}
