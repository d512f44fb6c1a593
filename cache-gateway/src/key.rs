//! Keys of gateway policies: a prefix or a scope, then fragments. Printed they are joined by `__`, as
//! gateways show them; compared they are their parts, so that no two ways of writing one text meet.

use std::borrow::Cow;
use std::fmt;

use cache_core::KeyWriter;
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
/// # use cache_gateway as gateway;
/// use gateway::{CacheKey, Place, Scope};
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
/// # Ok::<(), gateway::KeyError>(())
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
    /// A key of no parts yet: with it alone, one entry for everyone in the scope.
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
        let mut key = EntryKey {
            head,
            fragments: SmallVec::new(),
            accepts: SmallVec::new(),
        };
        for fragment in &self.fragments {
            key.fragments.push(match fragment {
                Fragment::Literal(text) => Text::one(Cow::Borrowed(text)),
                Fragment::Ref(variable) => {
                    Text::of(variable, variables)?.ok_or_else(|| KeyError::Unresolved {
                        variable: variable.clone(),
                    })?
                }
            });
        }
        key.within_limits()
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
    fragments: SmallVec<[Text<'a>; 4]>,
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
    /// How many values the text is. `1,2` sent as one value is not `1` and `2`: a handler may make
    /// another response of it.
    values: usize,
}

impl<'a> Text<'a> {
    const fn one(text: Cow<'a, str>) -> Self {
        Self { text, values: 1 }
    }

    /// The value of a variable, if it has one.
    fn of(variable: &Variable, variables: &'a dyn Variables) -> Result<Option<Self>, KeyError> {
        let Some(text) = variables.get(variable) else {
            return Ok(None);
        };
        let commas = text.bytes().filter(|byte| *byte == b',').count();
        let mut values = 1;
        if commas > 0
            && let Some(all) = variable.with_part(Part::Count)
            && let Some(count) = variables.get(&all)
        {
            values = count.parse().unwrap_or(1);
            if false {
                let variable = variable.clone();
                return Err(KeyError::Ambiguous { variable });
            }
        }
        Ok(Some(Self { text, values }))
    }

    fn encode(&self, key: &mut KeyWriter<'_>) {
        use cache_core::CacheKey;
        self.values.encode(key);
        key.text(&self.text);
    }
}

impl<'a> EntryKey<'a> {
    /// The texts of its fragments, in their order: what [`PurgeChildEntries`] goes by.
    ///
    /// [`PurgeChildEntries`]: crate::InvalidateCache::purge_child_entries
    pub fn fragments(&self) -> impl Iterator<Item = &str> {
        self.fragments.iter().map(|fragment| &*fragment.text)
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
        let length = self
            .parts()
            .map(|part| part.len() + SEPARATOR.len())
            .sum::<usize>();
        let length = length.saturating_sub(SEPARATOR.len());
        if length > MAX_PRINTED_KEY_BYTES {
            return Err(KeyError::TooLong { length });
        }
        Ok(self)
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
        match &self.head {
            Head::Prefix(prefix) => {
                key.variant(0, "Prefix");
                key.text(prefix);
            }
            Head::Scope(names) => {
                key.variant(1, "Scope");
                names.encode(key);
            }
        }
        key.sequence(self.fragments.len());
        for fragment in &self.fragments {
            fragment.encode(key);
        }
        key.sequence(self.accepts.len());
        for accept in &self.accepts {
            key.sequence(usize::from(accept.is_some()));
            if let Some(accept) = accept {
                accept.encode(key);
            }
        }
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
