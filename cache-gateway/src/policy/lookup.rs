//! `LookupCache`: reads an entry into a variable.

use std::time::Duration;

use super::{Common, PolicyError, PolicyName, common_methods};
use crate::{
    CacheContext, CacheKey, EntryKey, KeyError, Place, Scope, Timeout, Variable, Variables,
};

/// Reads what [`PopulateCache`](crate::PopulateCache) stored into a variable. On a miss the variable
/// stays as it was.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::{CacheKey, LookupCache};
///
/// let key = CacheKey::new().prefix("UserToken").reference("request.queryparam.client_id");
/// let policy = LookupCache::new("Find-Token", "flow.token", key).lookup_timeout(2);
/// assert!(policy.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LookupCache {
    pub(crate) common: Common,
    pub(crate) assign_to: Variable,
    pub(crate) timeout: Duration,
}

impl LookupCache {
    /// How long a look-up takes at most, unless the policy says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(12);

    /// Reads the entry of `key` into the variable `assign_to`, which is one of the application's own.
    ///
    /// # Panics
    ///
    /// With texts that are no [`PolicyName`] or no variable's name.
    #[must_use]
    #[track_caller]
    pub fn new(name: impl Into<PolicyName>, assign_to: impl Into<Variable>, key: CacheKey) -> Self {
        Self {
            common: Common::new(name.into(), key),
            assign_to: assign_to.into(),
            timeout: Self::TIMEOUT,
        }
    }

    /// Sets after how many seconds a look-up that found nothing yet is a miss:
    /// `<CacheLookupTimeoutInSeconds>`. By default 12.
    ///
    /// # Panics
    ///
    /// With 0.
    #[must_use]
    #[track_caller]
    pub fn lookup_timeout(mut self, seconds: impl Into<Timeout>) -> Self {
        self.timeout = seconds.into().into();
        self
    }

    /// The variable that it sets: `<AssignTo>`.
    #[must_use]
    pub const fn assign_to(&self) -> &Variable {
        &self.assign_to
    }

    /// After what time a look-up is a miss.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether what it says can be carried out.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]
    pub fn check(&self) -> Result<(), PolicyError> {
        self.common.check()?;
        self.common.check_key_names_entry()?;
        match self.assign_to.is_own() {
            true => Ok(()),
            false => Err(PolicyError::AssignTo {
                variable: self.assign_to.clone(),
            }),
        }
    }

    /// The key of the entry that it reads with this request.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: there is none, which is a miss.
    pub fn entry_key<'a>(
        &'a self,
        place: &'a Place,
        variables: &'a dyn Variables,
    ) -> Result<EntryKey<'a>, KeyError> {
        self.common.entry_key(place, variables)
    }

    /// The variables that it reads.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.common.variables()
    }
}

common_methods!(LookupCache);
