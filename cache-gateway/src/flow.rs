//! The flow of one request: what policies and the application told one another.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cache_core::spi::Begun;
use cache_core::{Cache, KeyPath, Life, Stored};
use http::Request;
use thiserror::Error;

use crate::{PolicyName, Variable};

/// The flow variables of one request: what its policies found and did, and what the application set.
///
/// The outermost policy puts one into the request's extensions, and all those within share it: an axum
/// handler has it as `Extension<Flow>`. Copies are one flow.
///
/// | variable | what it is |
/// |---|---|
/// | `lookupcache.{policy}.cachehit` | `true` or `false` |
/// | `lookupcache.{policy}.cachename`, `.cachekey`, `.assignto` | the cache, the key as it is printed, the variable that is set |
/// | `populatecache.{policy}.failed` | `true` where the value is not stored that was to be |
/// | `invalidatecache.{policy}.failed` | `true` where the request does not say what is to be dropped, or may not drop it |
/// | `responsecache.{policy}.cachename`, `.cachekey`, `.cachehit` | as of a look-up |
/// | `responsecache.{policy}.invalidentry` | `true` where an entry was there, and was valid no more |
/// | `fault.name` | why the last policy failed that did |
/// | any other | what the application set, or a look-up assigned |
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::Flow;
///
/// let flow = Flow::new();
/// flow.set("flow.token", "t-1")?;
/// assert_eq!(flow.get("flow.token").as_deref(), Some("t-1"));
/// assert!(flow.set("lookupcache.Find-Token.cachehit", "true").is_err());
/// # Ok::<(), revalidate::gateway::FlowError>(())
/// ```
#[derive(Clone, Default)]
pub struct Flow(Arc<Shared>);

#[derive(Default)]
struct Shared {
    variables: Mutex<HashMap<Box<str>, Bytes>>,
    /// For each cache, since when what is in the variables was read.
    begun: Mutex<Vec<Begun>>,
}

/// A variable is not the application's to set.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{name:?} is not the application's to set: it is the request's, the response's, the gateway's or a policy's; name one of its own, such as flow.token"
)]
pub struct FlowError {
    name: String,
}

impl Flow {
    /// One in which nothing is set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The flow of a request, which begins here where it has none. What is set in it from now on counts as
    /// read since now.
    pub(crate) fn of<B>(request: &mut Request<B>, cache: &Cache) -> Self {
        let flow: &mut Self = request.extensions_mut().get_or_insert_default();
        let mut begun = lock(&flow.0.begun);
        if !begun.iter().any(|begun| begun.is_of(cache)) {
            begun.push(Begun::now(cache));
        }
        drop(begun);
        flow.clone()
    }

    /// Stores a value that was read in this flow, unless its entry was dropped since the flow began.
    pub(crate) fn store(
        &self,
        scope: &Cache,
        path: &KeyPath,
        value: Bytes,
        life: Life,
    ) -> Option<Stored> {
        let begun = lock(&self.0.begun);
        let begun = begun.iter().find(|begun| begun.is_of(scope))?;
        Some(begun.put(scope, path, value, life))
    }

    /// The value of a variable; `None` where it was not set, or holds no UTF-8 text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        String::from_utf8(self.bytes(name)?.into()).ok()
    }

    /// The value of a variable, whatever its bytes.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Bytes> {
        lock(&self.0.variables).get(name).cloned()
    }

    /// Sets a variable of the application's own.
    ///
    /// # Errors
    ///
    /// [`FlowError`]: it is the request's, the response's or a policy's.
    pub fn set(&self, name: &str, value: impl Into<Bytes>) -> Result<(), FlowError> {
        if name.parse().is_ok_and(|name: Variable| name.is_own()) {
            self.assign(name, value.into());
            return Ok(());
        }
        Err(FlowError {
            name: name.chars().take(256).collect(),
        })
    }

    pub(crate) fn assign(&self, name: &str, value: Bytes) {
        lock(&self.0.variables).insert(name.into(), value);
    }

    /// Sets what a policy says of itself.
    pub(crate) fn note(
        &self,
        kind: &str,
        policy: &PolicyName,
        what: &str,
        value: impl Into<Bytes>,
    ) {
        self.assign(&format!("{kind}.{policy}.{what}"), value.into());
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names alone: values may be secrets.
        let variables = lock(&self.0.variables);
        f.debug_set().entries(variables.keys()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
