//! Keys of gateway policies: a prefix or a scope, then fragments. Printed they are joined by `__`, as
//! gateways show them; compared they are their parts, so that no two ways of writing one text meet.

use std::borrow::Cow;
use std::fmt;

use cache_core::{KeyPath, KeyWriter, MAX_KEY_PARTS};
use smallvec::SmallVec;
use thiserror::Error;

use crate::scope::Names;
use crate::variables::Part;
use crate::{CacheContext, Place, Scope, ValueError, Variable, Variables};

/// The most bytes in a key as it is printed: the limit of both gateways.
pub const MAX_PRINTED_KEY_BYTES: usize = 2048;

/// What printed keys have between their parts.
const SEPARATOR: &str = "__";

/// The key of a policy's entries: `<CacheKey>`.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::{CacheKey, Place, Scope};
/// use std::collections::HashMap;
///
/// let key = CacheKey::new()
///     .prefix("UserToken")
///     .literal("apiAccessToken")
///     .reference("request.queryparam.client_id");
/// let place = Place::new("acme", "test", "tokens");
/// let request = HashMap::from([("request.queryparam.client_id", "c-17")]);
/// let entry = key.resolve(Scope::Exclusive, None, &place, &request)?;
/// assert_eq!(entry.to_string(), "UserToken__apiAccessToken__c-17");
/// # Ok::<(), revalidate::gateway::KeyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheKey {
    prefix: Option<Box<str>>,
    fragments: Vec<Fragment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fragment {
    Literal(Box<str>),
    Ref(Variable),
}

impl CacheKey {
    /// A key of no parts yet. With it alone only an [`InvalidateCache`](crate::InvalidateCache) is deployed that
    /// drops all of the cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what the key begins with in place of the scope: `<Prefix>`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Box<str>>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Adds a fragment that is always the same: `<KeyFragment>text</KeyFragment>`.
    #[must_use]
    pub fn literal(mut self, fragment: impl Into<Box<str>>) -> Self {
        self.fragments.push(Fragment::Literal(fragment.into()));
        self
    }

    /// Adds the value of a variable: `<KeyFragment ref="variable"/>`. A request that has no such value
    /// is not cached ([`KeyError::Unresolved`]).
    ///
    /// # Panics
    ///
    /// With a text that is no variable's name.
    #[must_use]
    #[track_caller]
    pub fn reference(mut self, variable: impl Into<Variable>) -> Self {
        self.fragments.push(Fragment::Ref(variable.into()));
        self
    }

    /// Whether it has a prefix, so that its policy's scope and context do not count.
    #[must_use]
    pub const fn has_prefix(&self) -> bool {
        self.prefix.is_some()
    }

    /// Whether it has fragments.
    #[must_use]
    pub const fn has_fragments(&self) -> bool {
        !self.fragments.is_empty()
    }

    /// Whether it has neither a prefix nor fragments: one entry for all in its scope.
    pub(crate) const fn is_empty(&self) -> bool {
        !self.has_prefix() && !self.has_fragments()
    }

    /// Whether it refers to where a request goes: its URI, or its path.
    pub(crate) fn tells_paths_apart(&self) -> bool {
        self.variables().any(|variable| {
            matches!(
                variable,
                Variable::RequestUri | Variable::RequestPath | Variable::PathSuffix
            )
        })
    }

    /// The variables that its fragments refer to.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.fragments.iter().filter_map(|fragment| match fragment {
            Fragment::Ref(variable) => Some(variable),
            Fragment::Literal(_) => None,
        })
    }

    /// The key of one request's entry.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: the request has no key, and is not cached.
    pub fn resolve<'a>(
        &'a self,
        scope: Scope,
        context: Option<&'a CacheContext>,
        place: &'a Place,
        variables: &'a dyn Variables,
    ) -> Result<EntryKey<'a>, KeyError> {
        let head = match &self.prefix {
            Some(prefix) => Head::Prefix(prefix),
            None => Head::Scope(Names::of(scope, context, place, variables)?),
        };
        let key = EntryKey {
            head,
            fragments: self.resolve_fragments(variables)?,
            accepts: SmallVec::new(),
        };
        key.within_limits()
    }

    /// Its fragments alone, for what goes by them whatever else the key is made of.
    pub(crate) fn resolve_fragments<'a>(
        &'a self,
        variables: &'a dyn Variables,
    ) -> Result<Fragments<'a>, KeyError> {
        let resolved = self.fragments.iter().map(|fragment| match fragment {
            Fragment::Literal(text) => Ok(Text::one(Cow::Borrowed(text))),
            Fragment::Ref(variable) => {
                Text::of(variable, variables)?.ok_or_else(|| KeyError::Unresolved {
                    variable: variable.clone(),
                })
            }
        });
        let fragments = Fragments(resolved.collect::<Result<_, _>>()?);
        // No entry has longer ones.
        check_length(fragments.texts())?;
        check_parts(fragments.count() + 1)?;
        Ok(fragments)
    }
}

/// The key of one entry.
///
/// Its `Display` is the printed key, by which gateways and their variables call it. It is stored under
/// its parts (it is a [`cache_core::CacheKey`]): the fragments `a__b` are another key than `a` and `b`, a
/// prefix another than a scope that is printed alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryKey<'a> {
    head: Head<'a>,
    fragments: Fragments<'a>,
    accepts: SmallVec<[Option<Text<'a>>; 4]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Head<'a> {
    Prefix(&'a str),
    Scope(Names<'a>),
}

/// A part of a key that may have been several values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Text<'a> {
    text: Cow<'a, str>,
    /// How many values the text is, with a comma between. `1,2` sent as one value is not `1` and `2`: a handler
    /// may make another response of it.
    values: usize,
}

/// The fragments of a key, with their values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fragments<'a>(SmallVec<[Text<'a>; 4]>);

impl<'a> Text<'a> {
    const fn one(text: Cow<'a, str>) -> Self {
        Self { text, values: 1 }
    }

    /// The value of a variable, if it has one.
    fn of(variable: &Variable, variables: &'a dyn Variables) -> Result<Option<Self>, KeyError> {
        let count = || variables.get(&variable.with_part(Part::Count)?);
        let Some(text) = variables.get(variable) else {
            // It was sent all the same, and what of it differs cannot be seen.
            return count().map_or(Ok(None), |_| {
                let variable = variable.clone();
                Err(KeyError::NotText { variable })
            });
        };
        let commas = text.bytes().filter(|byte| *byte == b',').count();
        let mut values = 1;
        if commas > 0
            && let Some(count) = count().and_then(|count| count.parse::<usize>().ok())
            && count > 1
        {
            values = count;
            if commas + 1 != count {
                let variable = variable.clone();
                return Err(KeyError::Ambiguous { variable });
            }
        }
        Ok(Some(Self { text, values }))
    }

    /// Its values, each a part of a path.
    fn parts(&self, path: KeyPath) -> KeyPath {
        match self.values {
            1 => path.part(&*self.text),
            _ => self.text.split(',').fold(path, KeyPath::part),
        }
    }

    /// The parts that its text might be as well: proxies join the values of a header, with commas.
    fn parts_otherwise(&self, path: KeyPath) -> Option<KeyPath> {
        if self.values > 1 {
            return Some(path.part(&*self.text));
        }
        let several = self.text.contains(',');
        several.then(|| {
            self.text
                .split(',')
                .map(str::trim)
                .fold(path, KeyPath::part)
        })
    }
}

impl Fragments<'_> {
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|fragment| &*fragment.text)
    }

    /// How many values they are.
    fn count(&self) -> usize {
        self.0.iter().map(|fragment| fragment.values).sum()
    }

    /// Each value a part, so that what is dropped by the first of several finds the entry.
    fn path(&self) -> KeyPath {
        let texts = self.0.iter();
        texts.fold(KeyPath::new(), |path, fragment| fragment.parts(path))
    }

    /// The paths of all that begins with them, whatever their prefix or scope. Where a fragment could have
    /// been sent otherwise, what was stored of that goes too, with all that is beneath it.
    pub(crate) fn beneath(&self) -> Vec<KeyPath> {
        let (mut paths, mut path) = (Vec::new(), KeyPath::new());
        for fragment in &self.0 {
            let otherwise = fragment.parts_otherwise(path.clone());
            paths.extend(otherwise.filter(|path| path.len() < MAX_KEY_PARTS));
            path = fragment.parts(path);
        }
        paths.push(path);
        paths
    }
}

impl cache_core::CacheKey for Text<'_> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        self.values.encode(key);
        key.text(&self.text);
    }
}

/// What of a key are not its fragments: it follows them in its path, so that the fragments alone are the
/// beginning of all keys that have them. No text is written alike.
struct Rest<'k, 'a>(&'k EntryKey<'a>);

impl cache_core::CacheKey for Rest<'_, '_> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        match &self.0.head {
            Head::Prefix(prefix) => {
                key.variant(0, "Prefix");
                key.text(prefix);
            }
            Head::Scope(names) => {
                key.variant(1, "Scope");
                names.encode(key);
            }
        }
        // Which of the values are one fragment's.
        let values = self.0.fragments.0.iter().map(|fragment| fragment.values);
        values.collect::<SmallVec<[usize; 4]>>().encode(key);
    }
}

impl<'a> EntryKey<'a> {
    /// The texts of its fragments, in their order: what [`PurgeChildEntries`] goes by.
    ///
    /// [`PurgeChildEntries`]: crate::InvalidateCache::purge_child_entries
    pub fn fragments(&self) -> impl Iterator<Item = &str> {
        self.fragments.texts()
    }

    /// The path that it is stored under. What it is divided by comes last: without, it is the beginning of all
    /// entries into which it is divided.
    pub(crate) fn path(&self) -> KeyPath {
        let path = self.fragments.path().part(Rest(self));
        match self.accepts.as_slice() {
            [] => path,
            accepts => path.part(accepts),
        }
    }

    /// The same key, divided by what each of these variables is; one without a value is a value too.
    pub(crate) fn divided_by(
        mut self,
        by: &[Variable],
        variables: &'a dyn Variables,
    ) -> Result<Self, KeyError> {
        for variable in by {
            self.accepts.push(Text::of(variable, variables)?);
        }
        self.within_limits()
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        let (prefix, names) = match &self.head {
            Head::Prefix(prefix) => (Some(*prefix), None),
            Head::Scope(names) => (None, Some(names.iter())),
        };
        let accepts = self.accepts.iter().flatten().map(|accept| &*accept.text);
        prefix
            .into_iter()
            .chain(names.into_iter().flatten())
            .chain(self.fragments())
            .chain(accepts)
    }

    fn within_limits(self) -> Result<Self, KeyError> {
        check_length(self.parts())?;
        check_parts(self.fragments.count() + 1 + usize::from(!self.accepts.is_empty()))?;
        Ok(self)
    }
}

/// Whether a key of these parts is not too long when it is printed.
fn check_length<'p>(parts: impl Iterator<Item = &'p str>) -> Result<(), KeyError> {
    let length = parts
        .map(|part| part.len() + SEPARATOR.len())
        .sum::<usize>();
    match length.saturating_sub(SEPARATOR.len()) {
        ..=MAX_PRINTED_KEY_BYTES => Ok(()),
        length => Err(KeyError::TooLong { length }),
    }
}

/// Whether a path may have so many parts.
const fn check_parts(parts: usize) -> Result<(), KeyError> {
    match parts {
        ..=MAX_KEY_PARTS => Ok(()),
        parts => Err(KeyError::TooManyParts { parts }),
    }
}

impl fmt::Display for EntryKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for part in self.parts() {
            write!(f, "{separator}{part}")?;
            separator = SEPARATOR;
        }
        Ok(())
    }
}

impl cache_core::CacheKey for EntryKey<'_> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        self.path().encode(key);
    }
}

/// A request has no key: it is neither answered from the cache nor is anything stored of it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// A variable that the key refers to has no value. Gateways take an empty text for it, and thus one
    /// entry for all who do not say who they are.
    #[error(
        "the key refers to {variable}, which has no value with this request: it is not cached, as its entry would be everyone's who leaves it out"
    )]
    Unresolved {
        /// The variable.
        variable: Variable,
    },
    /// A variable has several values with commas in them, so that their text does not tell where one
    /// ends.
    #[error(
        "the key refers to {variable}, which has several values with commas of their own: refer to one of them, as in `{variable}.1`"
    )]
    Ambiguous {
        /// The variable.
        variable: Variable,
    },
    /// A variable has a value that is no text, or one that stands for bytes which are none: others would look
    /// the same.
    #[error(
        "the key depends on {variable}, which has a value with this request that is no UTF-8 text: it is not cached, as others that differ would look the same"
    )]
    NotText {
        /// The variable.
        variable: Variable,
    },
    /// The key has too many parts: its fragments, each value of one that was sent as several, the prefix or
    /// scope, and what [`UseAcceptHeader`](crate::ResponseCache::use_accept_header) divides by.
    #[error(
        "the key has {parts} parts, each value of a header or parameter that is sent several times being one; the most is {MAX_KEY_PARTS}"
    )]
    TooManyParts {
        /// How many.
        parts: usize,
    },
    /// The key is longer than [`MAX_PRINTED_KEY_BYTES`].
    #[error("the key has {length} bytes; the most is {MAX_PRINTED_KEY_BYTES}")]
    TooLong {
        /// Its length in bytes, as it is printed.
        length: usize,
    },
}

impl From<ValueError> for KeyError {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::Unresolved { variable } | ValueError::Malformed { variable, .. } => {
                Self::Unresolved { variable }
            }
        }
    }
}
