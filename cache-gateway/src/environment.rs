//! Where policies are deployed: an environment with its caches, and the applications in it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cache_core::spi::warn_set_up;
use cache_core::{Cache, Invalidating};
use http::HeaderName;
use thiserror::Error;

use crate::{ExpirySettings, Place, PolicyError, PolicyName, Side, Variable};

/// The largest value or response that is stored, unless a [`CacheResource`] says otherwise: the 512 KB
/// that the gateways document.
pub const MAX_VALUE_BYTES: usize = 512 << 10;

/// An environment of an organisation: the caches that its policies may name, over one [`Cache`].
///
/// There is always the shared cache, which policies mean that name none. Each cache is a scope with a tag
/// of its own, so that clearing one is a single mark however much is in it.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::Cache;
/// use revalidate::gateway::{CacheKey, CacheResource, Environment, LookupCache};
///
/// let environment = Environment::builder("acme", "test")
///     .cache(Cache::new())
///     .resource(CacheResource::new("tokens").max_value_bytes(64 << 10))
///     .build()?;
/// let proxy = environment.proxy("weather").revision("16");
/// let find = LookupCache::new("Find-Token", "flow.token", CacheKey::new().literal("token"));
/// let layer = proxy.layer(find.clone().cache_resource("tokens"))?;
///
/// let error = proxy.layer(find.cache_resource("token")).unwrap_err();
/// assert_eq!(error.name(), "InvalidCacheResourceReference");
/// # let _ = layer;
/// # Ok::<(), revalidate::gateway::DeployError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Environment(Arc<Caches>);

#[derive(Debug)]
struct Caches {
    organisation: String,
    name: String,
    cache: Cache,
    shared: Resource,
    named: BTreeMap<Box<str>, Resource>,
}

/// A cache of an environment, as its policies see it.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// What flow variables call it.
    pub(crate) name: Box<str>,
    pub(crate) cache: Cache,
    pub(crate) max_value_bytes: usize,
}

/// A named cache that an [`Environment`] is to have.
#[derive(Clone, Debug)]
pub struct CacheResource {
    name: Box<str>,
    max_value_bytes: usize,
}

impl CacheResource {
    /// The cache of this name, of 1 to 255 characters.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self {
            name: name.into(),
            max_value_bytes: MAX_VALUE_BYTES,
        }
    }

    /// Sets the largest value or response that is stored in it; 512 KiB by default.
    #[must_use]
    pub const fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }
}

/// Sets up an [`Environment`].
#[derive(Clone, Debug)]
#[must_use = "an environment is made by `build`"]
pub struct EnvironmentBuilder {
    organisation: String,
    name: String,
    cache: Option<Cache>,
    resources: Vec<CacheResource>,
}

impl EnvironmentBuilder {
    /// Sets the cache that all of it is kept in. By default the one that is current when it is built.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Adds a named cache.
    pub fn resource(mut self, resource: CacheResource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Makes the environment.
    ///
    /// # Errors
    ///
    /// [`DeployError::CacheNotFound`] where there is no cache to keep it in;
    /// [`DeployError::CacheResourceName`] and [`DeployError::CacheResourceTwice`].
    pub fn build(self) -> Result<Environment, DeployError> {
        let cache = self.cache.or_else(Cache::current);
        let cache = cache.ok_or_else(|| DeployError::CacheNotFound {
            resource: None,
            environment: self.name.clone(),
        })?;
        let whole = cache
            .scope("gateway")
            .scope(&self.organisation)
            .scope(&self.name);
        let mut named = BTreeMap::new();
        for CacheResource {
            name,
            max_value_bytes,
        } in self.resources
        {
            if !(1..=255).contains(&name.chars().count()) {
                return Err(DeployError::CacheResourceName { name });
            }
            let resource = Resource {
                cache: whole.scope("named").scope(&name),
                name: name.clone(),
                max_value_bytes,
            };
            if named.insert(name.clone(), resource).is_some() {
                return Err(DeployError::CacheResourceTwice { name });
            }
        }
        let shared = Resource {
            name: "shared".into(),
            cache: whole.scope("shared"),
            max_value_bytes: MAX_VALUE_BYTES,
        };
        Ok(Environment(Arc::new(Caches {
            organisation: self.organisation,
            name: self.name,
            cache,
            shared,
            named,
        })))
    }
}

impl Environment {
    /// Sets up an environment of this name in an organisation.
    pub fn builder(organisation: impl Into<String>, name: impl Into<String>) -> EnvironmentBuilder {
        EnvironmentBuilder {
            organisation: organisation.into(),
            name: name.into(),
            cache: None,
            resources: Vec::new(),
        }
    }

    /// An application in it, of revision `1`, with both endpoints `default`.
    pub fn proxy(&self, application: impl Into<String>) -> Proxy {
        let Caches {
            organisation, name, ..
        } = &*self.0;
        Proxy {
            environment: self.clone(),
            place: Place::new(organisation, name, application),
            trusted: None,
        }
    }

    /// Drops all that is in a named cache.
    ///
    /// # Errors
    ///
    /// [`DeployError::CacheNotFound`]
    pub fn clear(&self, resource: &str) -> Result<Invalidating, DeployError> {
        match self.0.named.get(resource) {
            Some(resource) => Ok(resource.cache.clear()),
            None => Err(DeployError::CacheNotFound {
                resource: Some(resource.into()),
                environment: self.0.name.clone(),
            }),
        }
    }

    /// Drops all that is in the shared cache. (Gateways have no such call.)
    pub fn clear_shared(&self) -> Invalidating {
        self.0.shared.cache.clear()
    }

    /// The cache that all of it is kept in.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.0.cache
    }
}

/// An application in an [`Environment`]: policies become layers by being deployed in it.
#[derive(Clone, Debug)]
#[must_use = "a proxy does nothing but make layers"]
pub struct Proxy {
    environment: Environment,
    place: Place,
    trusted: Option<HeaderName>,
}

impl Proxy {
    /// Sets the deployed revision: what another one stored under the scopes `Proxy`, `Target` and
    /// `Exclusive` is not found.
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.place = self.place.revision(revision);
        self
    }

    /// Sets the name of the proxy endpoint.
    pub fn proxy_endpoint(mut self, name: impl Into<String>) -> Self {
        self.place = self.place.proxy(name);
        self
    }

    /// Sets the name of the target endpoint.
    pub fn target_endpoint(mut self, name: impl Into<String>) -> Self {
        self.place = self.place.target(name);
        self
    }

    /// Sets on which side its policies run: it decides which endpoint the scope `Exclusive` means.
    pub fn side(mut self, side: Side) -> Self {
        self.place = self.place.side(side);
        self
    }

    /// Sets the header whose last address is `client.ip`: one that what is in front of this process
    /// always writes. By default it is the peer's, as axum's `ConnectInfo` says it, and no header counts:
    /// any client can write one.
    ///
    /// # Panics
    ///
    /// With a name that no header can have.
    #[track_caller]
    pub fn trusted_client_ip_header(mut self, name: &str) -> Self {
        match HeaderName::try_from(name) {
            Ok(name) => self.trusted = Some(name),
            Err(_) => panic!("{name:?} is no name of a header field"),
        }
        self
    }

    /// The layer that a policy is.
    ///
    /// # Errors
    ///
    /// [`DeployError`]
    pub fn layer<P: Deploy>(&self, policy: P) -> Result<P::Layer, DeployError> {
        policy.deploy(self)
    }

    /// Finds the cache that a policy means, and looks whether it can be carried out.
    pub(crate) fn deployed<'p>(
        &self,
        policy: &PolicyName,
        resource: Option<&str>,
        checked: Result<(), PolicyError>,
        mut variables: impl Iterator<Item = &'p Variable>,
    ) -> Result<Site, DeployError> {
        checked.map_err(|error| DeployError::Policy {
            policy: policy.clone(),
            error,
        })?;
        if variables.any(|variable| *variable == Variable::ResponseContent) {
            return Err(DeployError::ResponseContent {
                policy: policy.clone(),
            });
        }
        let caches = &*self.environment.0;
        let resource = match resource {
            None => &caches.shared,
            Some(name) => caches.named.get(name).ok_or_else(|| {
                DeployError::InvalidCacheResourceReference {
                    policy: policy.clone(),
                    resource: name.into(),
                    environment: caches.name.clone(),
                    known: caches.named.keys().cloned().collect(),
                }
            })?,
        };
        Ok(Site {
            cache: caches.cache.clone(),
            resource: resource.clone(),
            place: self.place.clone(),
            trusted: self.trusted.clone(),
        })
    }
}

/// Where a policy was deployed.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// What all of the environment is kept in.
    pub(crate) cache: Cache,
    pub(crate) resource: Resource,
    pub(crate) place: Place,
    pub(crate) trusted: Option<HeaderName>,
}

impl Site {
    /// Warns of a date that has come: nothing will be stored.
    pub(crate) fn warn_passed(&self, policy: &PolicyName, expiry: &ExpirySettings) {
        let passed = expiry.passed(self.cache.clock().system_time());
        if let Some(passed) = passed {
            warn_set_up(policy.as_str(), &format_args!("stores nothing: {passed}"));
        }
    }
}

pub(crate) mod sealed {
    use super::{DeployError, Proxy};

    pub trait Sealed {
        type Layer;

        fn deploy(self, proxy: &Proxy) -> Result<Self::Layer, DeployError>;
    }
}

/// A policy that a [`Proxy`] makes a layer of: [`LookupCache`](crate::LookupCache),
/// [`PopulateCache`](crate::PopulateCache), [`InvalidateCache`](crate::InvalidateCache),
/// [`ResponseCache`](crate::ResponseCache).
pub trait Deploy: sealed::Sealed {}
impl<P: sealed::Sealed> Deploy for P {}

/// A policy or an environment cannot be deployed. Found when the application is built, never at a request.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeployError {
    /// A policy names a cache that its environment has not.
    #[error(
        "InvalidCacheResourceReference: {policy} names the cache {resource:?}, which the environment {environment:?} has not{}: add it with `.resource(CacheResource::new({resource:?}))`, or leave <CacheResource> out for the shared one",
        Known(known)
    )]
    InvalidCacheResourceReference {
        /// The policy.
        policy: PolicyName,
        /// The name.
        resource: Box<str>,
        /// The environment.
        environment: String,
        /// The caches that it has.
        known: Vec<Box<str>>,
    },
    /// There is no such cache in this process: none of this name, or none at all.
    #[error(
        "CacheNotFound: {} for the environment {environment:?} in this process",
        resource.as_deref().map_or_else(
            || "no cache is current; build it with `.cache(..)`, or install one first,".to_owned(),
            |name| format!("there is no cache {name:?}"),
        )
    )]
    CacheNotFound {
        /// Its name; `None` where there is none at all.
        resource: Option<Box<str>>,
        /// The environment.
        environment: String,
    },
    /// A named cache has no name, or a long one.
    #[error("CacheResourceName: a cache's name has 1 to 255 characters, and {name:?} has not")]
    CacheResourceName {
        /// The name.
        name: Box<str>,
    },
    /// Two caches of an environment have one name.
    #[error("CacheResourceTwice: the environment has a cache {name:?} already")]
    CacheResourceTwice {
        /// The name.
        name: Box<str>,
    },
    /// A policy reads the response's body, which policies do not see: it is streamed.
    #[error(
        "ResponseContent: {policy} reads response.content, and responses are streamed past policies: have the handler set a variable of the flow, and read that"
    )]
    ResponseContent {
        /// The policy.
        policy: PolicyName,
    },
    /// A `ResponseCache` has a key that refers to nothing of the request, and does not say that this is meant.
    #[error(
        "EveryUriAlike: {policy} has a key that refers to nothing of the request, so that one response would answer every URI: add `<KeyFragment ref=\"request.uri\"/>`, or say `answer_every_uri_alike()`"
    )]
    EveryUriAlike {
        /// The policy.
        policy: PolicyName,
    },
    /// A policy says what cannot be carried out.
    #[error("InvalidPolicy: {policy} cannot be carried out: {error}")]
    Policy {
        /// The policy.
        policy: PolicyName,
        /// What is wrong.
        error: PolicyError,
    },
}

impl DeployError {
    /// The error's name; those that gateways have are called as there.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::InvalidCacheResourceReference { .. } => "InvalidCacheResourceReference",
            Self::CacheNotFound { .. } => "CacheNotFound",
            Self::CacheResourceName { .. } => "CacheResourceName",
            Self::CacheResourceTwice { .. } => "CacheResourceTwice",
            Self::ResponseContent { .. } => "ResponseContent",
            Self::EveryUriAlike { .. } => "EveryUriAlike",
            Self::Policy { .. } => "InvalidPolicy",
        }
    }
}

struct Known<'k>(&'k [Box<str>]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            names => write!(f, " (it has {})", names.join(", ")),
        }
    }
}
