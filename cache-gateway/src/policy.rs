//! The policies: what each says, and nothing of how it is carried out.

mod error;
mod invalidate;
mod lookup;
mod name;
mod populate;
mod response;

pub use error::PolicyError;
pub use invalidate::{InvalidateCache, Purge};
pub use lookup::LookupCache;
pub use name::{MAX_NAME_CHARS, PolicyName};
pub use populate::PopulateCache;
pub use response::ResponseCache;

use crate::{CacheContext, CacheKey, EntryKey, KeyError, Place, Scope, Variable, Variables};

/// Any policy, for those who read whatever stands in a folder of XML documents.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Policy {
    /// `<InvalidateCache>`
    InvalidateCache(InvalidateCache),
    /// `<PopulateCache>`
    PopulateCache(PopulateCache),
    /// `<LookupCache>`
    LookupCache(LookupCache),
    /// `<ResponseCache>`
    ResponseCache(ResponseCache),
}

impl Policy {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &PolicyName {
        match self {
            Self::InvalidateCache(policy) => policy.name(),
            Self::PopulateCache(policy) => policy.name(),
            Self::LookupCache(policy) => policy.name(),
            Self::ResponseCache(policy) => policy.name(),
        }
    }
}

/// What every policy has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Common {
    pub(crate) name: PolicyName,
    pub(crate) display_name: Option<Box<str>>,
    pub(crate) enabled: bool,
    pub(crate) continue_on_error: bool,
    pub(crate) cache_resource: Option<Box<str>>,
    pub(crate) key: CacheKey,
    pub(crate) scope: Scope,
    pub(crate) context: Option<CacheContext>,
}

impl Common {
    fn new(name: PolicyName, key: CacheKey) -> Self {
        Self {
            name,
            display_name: None,
            enabled: true,
            continue_on_error: false,
            cache_resource: None,
            key,
            scope: Scope::default(),
            context: None,
        }
    }

    fn check(&self) -> Result<(), PolicyError> {
        match &self.context {
            Some(context) if !self.key.has_prefix() => context.check(self.scope),
            _ => Ok(()),
        }
    }

    /// Whether its key names an entry.
    fn check_key_names_entry(&self) -> Result<(), PolicyError> {
        match self.key.is_empty() {
            true => Err(PolicyError::EmptyKey),
            false => Ok(()),
        }
    }

    /// Whether its key is known before there is a response.
    fn check_key_of_request(&self) -> Result<(), PolicyError> {
        no_response_yet("CacheKey", self.variables())
    }

    fn variables(&self) -> impl Iterator<Item = &Variable> {
        let context = self.context.iter().flat_map(CacheContext::variables);
        self.key.variables().chain(context)
    }

    fn entry_key<'a>(
        &'a self,
        place: &'a Place,
        variables: &'a dyn Variables,
    ) -> Result<EntryKey<'a>, KeyError> {
        self.key
            .resolve(self.scope, self.context.as_ref(), place, variables)
    }
}

fn no_response_yet<'a>(
    element: &'static str,
    mut variables: impl Iterator<Item = &'a Variable>,
) -> Result<(), PolicyError> {
    match variables.find(|variable| variable.is_of_response()) {
        Some(variable) => Err(PolicyError::NoResponseYet {
            element,
            variable: variable.clone(),
        }),
        None => Ok(()),
    }
}

/// The builders and readers that every policy has.
macro_rules! common_methods {
    ($policy:ty) => {
        impl $policy {
            /// Gives it another name.
            ///
            /// # Panics
            ///
            /// With a text that is no [`PolicyName`].
            #[must_use]
            #[track_caller]
            pub fn named(mut self, name: impl Into<PolicyName>) -> Self {
                self.common.name = name.into();
                self
            }

            /// Sets what people call it: `<DisplayName>`. By default its name.
            #[must_use]
            pub fn display_name(mut self, name: impl Into<Box<str>>) -> Self {
                self.common.display_name = Some(name.into());
                self
            }

            /// Sets whether it is carried out at all; by default it is. One that is not lets everything
            /// pass as if it were not there.
            #[must_use]
            pub const fn enabled(mut self, enabled: bool) -> Self {
                self.common.enabled = enabled;
                self
            }

            /// Sets whether a request goes on after the policy failed; by default it ends with a fault.
            #[must_use]
            pub const fn continue_on_error(mut self, go_on: bool) -> Self {
                self.common.continue_on_error = go_on;
                self
            }

            /// Sets the named cache that it means: `<CacheResource>`. By default the shared one.
            #[must_use]
            pub fn cache_resource(mut self, name: impl Into<Box<str>>) -> Self {
                self.common.cache_resource = Some(name.into());
                self
            }

            /// Sets who shares its entries, where the key has no prefix. By default `Exclusive`.
            #[must_use]
            pub const fn scope(mut self, scope: Scope) -> Self {
                self.common.scope = scope;
                self
            }

            /// Sets whose entries are meant, where the key has no prefix. By default its own
            /// application's.
            #[must_use]
            pub fn context(mut self, context: CacheContext) -> Self {
                self.common.context = Some(context);
                self
            }

            /// Its name.
            #[must_use]
            pub const fn name(&self) -> &PolicyName {
                &self.common.name
            }

            /// What people call it.
            #[must_use]
            pub fn shown_name(&self) -> &str {
                let name = self.common.display_name.as_deref();
                name.unwrap_or(self.common.name.as_str())
            }

            /// Whether it is carried out at all.
            #[must_use]
            pub const fn is_enabled(&self) -> bool {
                self.common.enabled
            }

            /// Whether a request goes on after it failed.
            #[must_use]
            pub const fn continues_on_error(&self) -> bool {
                self.common.continue_on_error
            }

            /// The named cache that it means; `None` is the shared one.
            #[must_use]
            pub fn resource(&self) -> Option<&str> {
                self.common.cache_resource.as_deref()
            }
        }
    };
}
use common_methods;
