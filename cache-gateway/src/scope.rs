//! What a key begins with where it has no prefix: the scope, printed from where the policy runs or from
//! the context that it names.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use cache_core::KeyWriter;
use smallvec::{SmallVec, smallvec};
use thiserror::Error;

use crate::{PolicyError, Value, ValueError, Variable, Variables};

/// Who shares the entries of a policy: what a key begins with that has no
/// [prefix](crate::CacheKey::prefix).
///
/// | scope | printed |
/// |---|---|
/// | `Global` | `organisation__environment` |
/// | `Application` | `organisation__environment__application` |
/// | `Proxy` | `organisation__environment__application__revision__proxyEndpoint` |
/// | `Target` | `organisation__environment__application__revision__targetEndpoint` |
/// | `Exclusive`, the default | as `Proxy` on the proxy's [side](Side), as `Target` on the target's |
///
/// The last three hold the deployed revision, so what another revision stored is not found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All applications of the environment.
    Global,
    /// The application, in all of its revisions.
    Application,
    /// The proxy endpoint, in this revision.
    Proxy,
    /// The target endpoint, in this revision.
    Target,
    /// The endpoint on whose side the policy runs, in this revision.
    #[default]
    Exclusive,
}

impl Scope {
    pub(crate) const ALL: [Self; 5] = [
        Self::Exclusive,
        Self::Global,
        Self::Application,
        Self::Proxy,
        Self::Target,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Global => "Global",
            Self::Application => "Application",
            Self::Proxy => "Proxy",
            Self::Target => "Target",
            Self::Exclusive => "Exclusive",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is no scope.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no scope: write Exclusive, Global, Application, Proxy or Target")]
pub struct ScopeError(String);

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| ScopeError(text.chars().take(64).collect()))
    }
}

/// On which side of an application a policy runs; it decides which endpoint [`Scope::Exclusive`] means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Side {
    /// Between the client and the application: the proxy endpoint.
    #[default]
    Proxy,
    /// Between the application and what it calls: the target endpoint.
    Target,
}

/// Where a policy runs: what scopes are printed from.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::{CacheKey, Place, Scope};
/// use std::collections::HashMap;
///
/// let place = Place::new("apifactory", "test", "weatherapi").revision("16");
/// let key = CacheKey::new().literal("apiAccessToken");
/// let none: HashMap<&str, &str> = HashMap::new();
/// let entry = key.resolve(Scope::Exclusive, None, &place, &none).unwrap();
/// assert_eq!(entry.to_string(), "apifactory__test__weatherapi__16__default__apiAccessToken");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    organisation: String,
    environment: String,
    application: String,
    revision: String,
    proxy: String,
    target: String,
    side: Side,
}

impl Place {
    /// The application of this name in an environment of an organisation; revision `1`, both endpoints
    /// `default`, on the proxy's side.
    #[must_use]
    pub fn new(
        organisation: impl Into<String>,
        environment: impl Into<String>,
        application: impl Into<String>,
    ) -> Self {
        Self {
            organisation: organisation.into(),
            environment: environment.into(),
            application: application.into(),
            revision: "1".into(),
            proxy: "default".into(),
            target: "default".into(),
            side: Side::Proxy,
        }
    }

    /// Sets the deployed revision of the application.
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = revision.into();
        self
    }

    /// Sets the name of the proxy endpoint.
    #[must_use]
    pub fn proxy(mut self, endpoint: impl Into<String>) -> Self {
        self.proxy = endpoint.into();
        self
    }

    /// Sets the name of the target endpoint.
    #[must_use]
    pub fn target(mut self, endpoint: impl Into<String>) -> Self {
        self.target = endpoint.into();
        self
    }

    /// Sets the side on which the policy runs.
    #[must_use]
    pub const fn side(mut self, side: Side) -> Self {
        self.side = side;
        self
    }
}

/// Whose entries a policy means where these are not its own application's: `<CacheContext>`.
///
/// It counts where the key has no prefix. Which of its parts must be there depends on the scope:
/// `Application` needs the application; `Proxy` the proxy endpoint too, `Target` the target endpoint
/// too, and `Exclusive` both of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheContext {
    application: Option<Value<String>>,
    revision: Option<Value<String>>,
    proxy: Option<Value<String>>,
    target: Option<Value<String>>,
}

impl CacheContext {
    /// One that names nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the application that stored the entries: `<APIProxyName>`.
    #[must_use]
    pub fn application(mut self, name: impl Into<Value<String>>) -> Self {
        self.application = Some(name.into());
        self
    }

    /// Sets the revision of that application. Gateways have no element for it; without it, it is that of
    /// the application that the policy runs in.
    #[must_use]
    pub fn revision(mut self, revision: impl Into<Value<String>>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// Sets the proxy endpoint for which they were stored: `<ProxyName>`.
    #[must_use]
    pub fn proxy(mut self, endpoint: impl Into<Value<String>>) -> Self {
        self.proxy = Some(endpoint.into());
        self
    }

    /// Sets the target endpoint for which they were stored: `<TargetName>`.
    #[must_use]
    pub fn target(mut self, endpoint: impl Into<Value<String>>) -> Self {
        self.target = Some(endpoint.into());
        self
    }

    /// Whether it has what `scope` is printed from.
    pub(crate) fn check(&self, scope: Scope) -> Result<(), PolicyError> {
        let (proxy, target) = match scope {
            Scope::Global => return Ok(()),
            Scope::Application => (false, false),
            Scope::Proxy => (true, false),
            Scope::Target => (false, true),
            Scope::Exclusive => (true, true),
        };
        let parts = [
            ("APIProxyName", true, &self.application),
            ("ProxyName", proxy, &self.proxy),
            ("TargetName", target, &self.target),
        ];
        match parts
            .iter()
            .find(|(_, needed, part)| *needed && part.is_none())
        {
            Some(&(missing, ..)) => Err(PolicyError::ContextIncomplete { scope, missing }),
            None => Ok(()),
        }
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        [&self.application, &self.revision, &self.proxy, &self.target]
            .into_iter()
            .flatten()
            .filter_map(Value::variable)
    }
}

/// A scope with its names: what a key begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Names<'a> {
    /// In the order in which they are printed.
    names: SmallVec<[Cow<'a, str>; 5]>,
    /// Of which side the last one is an endpoint. A proxy's and a target's endpoint of one name are
    /// printed alike, and are not the same.
    endpoint: Option<Side>,
}

impl<'a> Names<'a> {
    pub(crate) fn of(
        scope: Scope,
        context: Option<&'a CacheContext>,
        place: &'a Place,
        variables: &'a dyn Variables,
    ) -> Result<Self, ValueError> {
        let named = |part: fn(&CacheContext) -> &Option<Value<String>>, own: &'a str| match context
            .and_then(|context| part(context).as_ref())
        {
            Some(value) => value.text(variables),
            None => Ok(Cow::Borrowed(own)),
        };
        let mut names = smallvec![
            Cow::Borrowed(&*place.organisation),
            Cow::Borrowed(&*place.environment),
        ];
        if scope != Scope::Global {
            names.push(named(|context| &context.application, &place.application)?);
        }
        let endpoint = match scope {
            Scope::Global | Scope::Application => None,
            Scope::Proxy => Some(Side::Proxy),
            Scope::Target => Some(Side::Target),
            Scope::Exclusive => Some(place.side),
        };
        if let Some(side) = endpoint {
            names.push(named(|context| &context.revision, &place.revision)?);
            names.push(match side {
                Side::Proxy => named(|context| &context.proxy, &place.proxy)?,
                Side::Target => named(|context| &context.target, &place.target)?,
            });
        }
        Ok(Self { names, endpoint })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    pub(crate) fn encode(&self, key: &mut KeyWriter<'_>) {
        use cache_core::CacheKey;
        self.endpoint.map(|side| side == Side::Target).encode(key);
        self.names.as_slice().encode(key);
    }
}
