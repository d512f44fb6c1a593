//! `PopulateCache`: stores the value of a variable.

use super::{Common, PolicyError, PolicyName, common_methods};
use crate::{
    CacheContext, CacheKey, EntryKey, ExpirySettings, KeyError, Place, Scope, Variable, Variables,
};

/// Stores the value of a variable, for [`LookupCache`](crate::LookupCache) to find.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::{CacheKey, ExpirySettings, PopulateCache};
///
/// let key = CacheKey::new().prefix("UserToken").reference("request.queryparam.client_id");
/// let policy = PopulateCache::new("Keep-Token", "flow.token", key, ExpirySettings::timeout(300));
/// assert!(policy.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PopulateCache {
    pub(crate) common: Common,
    pub(crate) source: Variable,
    pub(crate) expiry: ExpirySettings,
}

impl PopulateCache {
    /// Stores the value of the variable `source` under `key` for as long as `expiry` says.
    ///
    /// # Panics
    ///
    /// With texts that are no [`PolicyName`] or no variable's name.
    #[must_use]
    #[track_caller]
    pub fn new(
        name: impl Into<PolicyName>,
        source: impl Into<Variable>,
        key: CacheKey,
        expiry: ExpirySettings,
    ) -> Self {
        Self {
            common: Common::new(name.into(), key),
            source: source.into(),
            expiry,
        }
    }

    /// The variable whose value it stores: `<Source>`.
    #[must_use]
    pub const fn source(&self) -> &Variable {
        &self.source
    }

    /// How long the entry lives.
    #[must_use]
    pub const fn expiry(&self) -> &ExpirySettings {
        &self.expiry
    }

    /// Whether what it says can be carried out.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]
    pub fn check(&self) -> Result<(), PolicyError> {
        self.common.check()?;
        self.common.check_key_names_entry()
    }

    /// The key of the entry that it stores with this request.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: there is none, and nothing is stored.
    pub fn entry_key<'a>(
        &'a self,
        place: &'a Place,
        variables: &'a dyn Variables,
    ) -> Result<EntryKey<'a>, KeyError> {
        self.common.entry_key(place, variables)
    }

    /// The variables that it reads.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        let own = std::iter::once(&self.source).chain(self.expiry.variable());
        self.common.variables().chain(own)
    }
}

common_methods!(PopulateCache);
