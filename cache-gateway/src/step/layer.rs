//! [`PolicyLayer`]: a policy that was deployed.

use std::sync::Arc;

use tower_layer::Layer;

use super::act::{Act, Step};
use super::service::PolicyService;
use crate::environment::{Site, sealed::Sealed};
use crate::{Condition, DeployError, InvalidateCache, LookupCache, PopulateCache, Proxy, Variable};

/// A [`LookupCache`], [`PopulateCache`] or [`InvalidateCache`] around a service, made by
/// [`Proxy::layer`].
///
/// A look-up runs before the request goes on, the other two when its response has come: a value to store
/// is there only then, and what is dropped before a handler has changed its data would be stored again
/// as it was. [`on_request`](Self::on_request) and [`on_response`](Self::on_response) say otherwise.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// # use revalidate::Cache;
/// use revalidate::gateway::{CacheKey, Environment, InvalidateCache};
///
/// # let environment = Environment::builder("acme", "test").cache(Cache::new()).build()?;
/// let key = CacheKey::new().reference("request.header.userid");
/// let flush = environment
///     .proxy("orders")
///     .layer(InvalidateCache::new("Flush-User", key).purge_child_entries())?
///     .when(r#"request.verb = "PUT" or request.verb = "DELETE""#);
/// # let _ = flush;
/// # Ok::<(), revalidate::gateway::DeployError>(())
/// ```
///
/// An invalidation on the response's side happens in any case: also when the service fails, and when the
/// client leaves before there is a response, as the handler may have changed something by then. A
/// condition that asks for something of the response counts as holding then, be it an expression or a
/// closure: too much is dropped rather than too little.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct PolicyLayer(pub(super) Arc<Deployed>);

/// A policy where it was deployed.
#[derive(Clone, Debug)]
pub(super) struct Deployed {
    pub(super) act: Act,
    pub(super) on: On,
    pub(super) when: Option<Condition>,
}

/// When it acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    Request,
    Response,
}

impl PolicyLayer {
    fn new(site: Site, step: Step, on: On) -> Self {
        if let Step::Populate(policy) = &step {
            site.warn_passed(policy.name(), policy.expiry());
        }
        let act = Act::new(site, step);
        Self(Arc::new(Deployed {
            act,
            on,
            when: None,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Deployed)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Has the policy act before the request goes on.
    pub fn on_request(self) -> Self {
        self.with(|deployed| deployed.on = On::Request)
    }

    /// Has the policy act when the response has come, and is not yet sent.
    pub fn on_response(self) -> Self {
        self.with(|deployed| deployed.on = On::Response)
    }

    /// Has the policy act only where this holds: the `<Condition>` of a gateway's step. A form is read for
    /// an expression, and not for a closure.
    ///
    /// # Panics
    ///
    /// With a text that is no condition.
    #[track_caller]
    pub fn when(self, condition: impl Into<Condition>) -> Self {
        let condition = condition.into();
        self.with(|deployed| deployed.when = Some(condition))
    }
}

impl Deployed {
    /// Whether the request's form must be read.
    pub(super) fn reads_form(&self) -> bool {
        let when = self.when.iter().flat_map(Condition::variables);
        self.act.reads_form || when.into_iter().any(Variable::is_of_form)
    }
}

macro_rules! deploy {
    ($($policy:ident: $step:ident on $side:ident),+) => { $(
        impl Sealed for $policy {
            type Layer = PolicyLayer;

            fn deploy(self, proxy: &Proxy) -> Result<PolicyLayer, DeployError> {
                let checked = self.check();
                let site = proxy.deployed(self.name(), self.resource(), checked, self.variables())?;
                Ok(PolicyLayer::new(site, Step::$step(self), On::$side))
            }
        }
    )+ };
}
deploy!(
    LookupCache: Lookup on Request,
    PopulateCache: Populate on Response,
    InvalidateCache: Invalidate on Response
);

impl<S> Layer<S> for PolicyLayer {
    type Service = PolicyService<S>;

    fn layer(&self, inner: S) -> PolicyService<S> {
        PolicyService::new(inner, Arc::clone(&self.0))
    }
}
