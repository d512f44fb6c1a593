//! What can go wrong, and what to do about it. None of it comes from a store that fails: that is a
//! miss, never an error.

use std::time::Duration;

use thiserror::Error;

/// Why an invalidation, a removal or a clearing was refused. All of these but
/// [`NotEverywhere`](Self::NotEverywhere), which has to be asked for, are misuse, and nothing is applied; of
/// several tags, those that are right are invalidated all the same.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidateError {
    /// A tag is empty or longer than 256 characters, so no entry can have it.
    #[error(
        "the tag {tag:?}{} has {length} characters; a tag has 1 to 256, so no entry can carry this one",
        if tag.chars().count() < *length { ".." } else { "" }
    )]
    InvalidTag {
        /// Its first characters.
        tag: String,
        /// Its length in characters.
        length: usize,
    },
    /// A path does not begin with `/`, or has more than 32 levels.
    #[error("the path {path:?} must begin with `/` and have at most 32 levels")]
    InvalidPath {
        /// The path's first 256 characters.
        path: String,
    },
    /// Called inside a cached function: its value would be stored although it changes something.
    #[error(
        "called inside the cached function `{function}`: invalidate from the code that changes the data, not from the code that reads it"
    )]
    InsideCachedFunction {
        /// The function, or the scope of the manual key.
        function: String,
    },
    /// The cache is [guarded](crate::CacheBuilder::guard_invalidation), and the caller of the web method
    /// that this was called in is no administrator.
    #[error(
        "the caller of this web method may not invalidate: the cache is guarded (`guard_invalidation`), so call it as an administrator, or inside `elevate(async {{ .. }})`"
    )]
    PermissionDenied,
    /// It is applied in this process and queued, but was not acknowledged within the limit, and
    /// [`everywhere`](crate::Invalidating::everywhere) was asked for. It is delivered as soon as the remote
    /// can be reached.
    #[error(
        "the remote has not acknowledged the invalidation within the cache's `delivery_limit`: it is applied in this process, and is sent until it is acknowledged"
    )]
    NotEverywhere,
    /// A cache was built, but none is current here.
    #[error(
        "a `Cache` was built but none is current here: call `.install()` on it once, run this inside `cache.enter(..)` or below a `CacheLayer` that has it by `.cache(..)`, or call the method of the cache itself"
    )]
    NoCurrentCache,
}

/// The caller's time limit for a load passed, and there was no stale value to serve. A load that is a
/// task of its own goes on, and its value is stored when it ends; one that runs in its caller
/// (`foreground`, past a wait limit, without a cache) ends here, and stores nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("loading `{name}` took longer than its time limit of {limit:?}")]
#[non_exhaustive]
pub struct LoadTimeout {
    /// The function or scope.
    pub name: String,
    /// The limit.
    pub limit: Duration,
}

/// The cache was shut down while it had not told the other nodes of all that was invalidated.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "{queued} invalidated tags and keys were not acknowledged by the remote: other nodes keep what they drop until its lifetime ends"
)]
#[non_exhaustive]
pub struct ShutdownError {
    /// How many.
    pub queued: usize,
}

/// Another cache is installed already; a process has one.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "a cache is installed already; install one per process, and run others with `cache.enter(future)`"
)]
pub struct InstallError;

/// A text is no duration, nor, where one would do, a profile.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is no {}", self.wanted())]
pub struct LifeError {
    text: String,
    problem: String,
    profiles: bool,
}

impl LifeError {
    pub(crate) fn new(text: &str, problem: &dyn std::fmt::Display) -> Self {
        Self {
            text: text.chars().take(64).collect(),
            problem: problem.to_string(),
            profiles: false,
        }
    }

    /// The same of where a profile would do as well.
    pub(crate) const fn nor_a_profile(mut self) -> Self {
        self.profiles = true;
        self
    }

    fn wanted(&self) -> String {
        let problem = &self.problem;
        if self.profiles {
            format!(
                "lifetime ({problem}): write whole seconds, a duration such as \"1h30m\", or one of the profiles \
                 seconds, minutes, hours, days, weeks, max"
            )
        } else {
            format!(
                "duration ({problem}): write whole seconds, or a duration such as \"1h30m\" or \"500ms\""
            )
        }
    }
}
