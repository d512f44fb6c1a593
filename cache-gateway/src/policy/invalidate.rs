//! `InvalidateCache`: drops an entry, its children, or all of a cache.

use super::{Common, PolicyError, PolicyName, common_methods};
use crate::key::Fragments;
use crate::{CacheContext, CacheKey, EntryKey, KeyError, Place, Scope, Variable, Variables};

/// Drops what other policies stored: the entry of its key, or with
/// [`purge_child_entries`](Self::purge_child_entries) every entry whose fragments begin with its own.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::{CacheKey, InvalidateCache};
///
/// let policy = InvalidateCache::new("Flush-User", CacheKey::new().reference("request.header.userid"))
///     .purge_child_entries();
/// assert!(policy.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct InvalidateCache {
    pub(crate) common: Common,
    pub(crate) purge: Purge,
}

/// What an [`InvalidateCache`] drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purge {
    /// The entry of its key; where a [`ResponseCache`](crate::ResponseCache) divided it by what clients accept,
    /// all that it was divided into.
    #[default]
    Entry,
    /// Every entry whose fragments begin with those of its key, whatever their prefix or scope. A header or
    /// parameter that is sent several times begins with each lesser number of its values.
    ChildEntries,
    /// Every entry of the cache.
    All,
}

impl InvalidateCache {
    /// Drops the entry of this key.
    ///
    /// # Panics
    ///
    /// With a text that is no [`PolicyName`].
    #[must_use]
    #[track_caller]
    pub fn new(name: impl Into<PolicyName>, key: CacheKey) -> Self {
        Self {
            common: Common::new(name.into(), key),
            purge: Purge::Entry,
        }
    }

    /// Drops every entry of the cache whose fragments begin with those of the key, whatever their prefix
    /// or scope: `<PurgeChildEntries>true</PurgeChildEntries>`.
    #[must_use]
    pub const fn purge_child_entries(mut self) -> Self {
        self.purge = Purge::ChildEntries;
        self
    }

    /// Drops every entry of the cache. XML has no word for it.
    #[must_use]
    pub const fn purge_all(mut self) -> Self {
        self.purge = Purge::All;
        self
    }

    /// What it drops.
    #[must_use]
    pub const fn purge(&self) -> Purge {
        self.purge
    }

    /// Whether what it says can be carried out.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]
    pub fn check(&self) -> Result<(), PolicyError> {
        self.common.check()?;
        if self.purge == Purge::ChildEntries && !self.common.key.has_fragments() {
            return Err(PolicyError::PurgeWithoutFragment);
        }
        match self.purge {
            Purge::All => Ok(()),
            Purge::Entry | Purge::ChildEntries => self.common.check_key_names_entry(),
        }
    }

    /// The key of the entry that it means with this request.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: there is none.
    pub fn entry_key<'a>(
        &'a self,
        place: &'a Place,
        variables: &'a dyn Variables,
    ) -> Result<EntryKey<'a>, KeyError> {
        self.common.entry_key(place, variables)
    }

    /// The fragments of its key: what child entries are known by, though all else of the key may be missing.
    pub(crate) fn fragments<'a>(
        &'a self,
        variables: &'a dyn Variables,
    ) -> Result<Fragments<'a>, KeyError> {
        self.common.key.resolve_fragments(variables)
    }

    /// Whether it can be carried out with the head of a request alone.
    pub(crate) fn check_with_head(&self) -> Result<(), PolicyError> {
        self.check()?;
        self.common.check_key_of_request()?;
        let form = self.variables().find(|variable| variable.is_of_form());
        form.map_or(Ok(()), |variable| {
            let variable = variable.clone();
            Err(PolicyError::NoForm { variable })
        })
    }

    /// The variables that it reads.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.common.variables()
    }
}

common_methods!(InvalidateCache);
