//! [`ResponseCacheLayer`]: a `ResponseCache` that was deployed.

use std::sync::Arc;

use cache_core::spi::{TagName, key_bytes, key_tags, scope_name, warn_set_up};
use cache_tower::spi::{Directions, directed};
use cache_tower::{CacheLayer, Refusal};
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, Request};
use tower_layer::Layer;

use super::ResponseCacheService;
use super::inside::Populating;
use crate::environment::{Site, sealed::Sealed};
use crate::message::Message;
use crate::step::said;
use crate::{DeployError, EntryKey, Part, Proxy, ResponseCache, Variable};

/// A [`ResponseCache`] around a service, made by [`Proxy::layer`]: both halves of the policy, which a
/// gateway attaches once to requests and once to responses.
///
/// It is a [`CacheLayer`] whose keys and lifetimes are the policy's, and does what that does: requests
/// at once are one load, bodies are streamed while they are stored, `Cache-Status` says what happened;
/// GET and HEAD alone are looked up, and nothing is stored that says `private`, `no-store` or sets a
/// cookie. Where a handler gives its response a [`CachePolicy`](cache_tower::CachePolicy), that stands
/// above the policy's expiry.
///
/// The URI is no part of the key unless a fragment refers to it, as in gateways; a key that refers to nothing
/// of the request is not deployed unless [that is meant](ResponseCache::answer_every_uri_alike), and one that
/// refers to neither URI nor path is deployed with a warning. What
/// gateways do not do: a request with `Authorization` or `Cookie` passes by, unless the key has a fragment
/// of that very header, or [`share_authorized`](Self::share_authorized) or
/// [`ignore_cookies`](Self::ignore_cookies) is said.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// # use revalidate::Cache;
/// use revalidate::gateway::{CacheKey, Environment, ExpirySettings, ResponseCache};
///
/// # let environment = Environment::builder("acme", "test").cache(Cache::new()).build()?;
/// let key = CacheKey::new().reference("request.uri");
/// let policy = ResponseCache::new("Weather", key, ExpirySettings::timeout(600))
///     .skip_lookup(r#"request.header.bypass-cache = "true""#);
/// let layer = environment.proxy("weather").layer(policy)?.ignore_cookies();
/// # let _ = layer;
/// # Ok::<(), revalidate::gateway::DeployError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct ResponseCacheLayer {
    deployed: Arc<Deployed>,
    cache: CacheLayer,
}

/// A policy where it was deployed.
#[derive(Clone, Debug)]
pub(super) struct Deployed {
    pub(super) policy: ResponseCache,
    pub(super) site: Site,
    /// Whether the key tells callers apart by these headers, or that makes no difference.
    authorization: bool,
    cookies: bool,
}

impl Sealed for ResponseCache {
    type Layer = ResponseCacheLayer;

    fn deploy(self, proxy: &Proxy) -> Result<ResponseCacheLayer, DeployError> {
        let checked = self.check();
        let site = proxy.deployed(self.name(), self.resource(), checked, self.variables())?;
        if !self.answers_every_uri_alike && self.key_variables().next().is_none() {
            let policy = self.name().clone();
            return Err(DeployError::EveryUriAlike { policy });
        }
        if self.is_enabled() && !self.tells_paths_apart() {
            warn_set_up(
                self.name().as_str(),
                &"has a key without request.uri, request.path or proxy.pathsuffix: it answers all routes that it is around alike, and so does another policy of this proxy with such a key: add one of them, or say `answer_every_uri_alike()`",
            );
        }
        site.warn_passed(self.name(), self.expiry());
        let cache = directed()
            .cache(site.cache.clone())
            .max_body_bytes(site.resource.max_value_bytes);
        let keyed = |header: HeaderName| {
            let header = Variable::RequestHeader(header, Part::All);
            self.key_variables().any(|variable| *variable == header)
        };
        let deployed = Deployed {
            authorization: keyed(AUTHORIZATION),
            cookies: keyed(COOKIE),
            policy: self,
            site,
        };
        Ok(ResponseCacheLayer {
            deployed: Arc::new(deployed),
            cache,
        })
    }
}

impl ResponseCacheLayer {
    fn with(mut self, change: impl FnOnce(&mut Deployed)) -> Self {
        change(Arc::make_mut(&mut self.deployed));
        self
    }

    /// Says that responses are the same for all whom `Authorization` names, and for those who send none.
    pub fn share_authorized(self) -> Self {
        self.with(|deployed| deployed.authorization = true)
    }

    /// Says that responses do not depend on cookies.
    pub fn ignore_cookies(self) -> Self {
        self.with(|deployed| deployed.cookies = true)
    }
}

impl<S> Layer<S> for ResponseCacheLayer {
    type Service = ResponseCacheService<S>;

    fn layer(&self, inner: S) -> ResponseCacheService<S> {
        let inside = Populating::new(inner, Arc::clone(&self.deployed));
        ResponseCacheService::new(self.cache.layer(inside), Arc::clone(&self.deployed))
    }
}

impl Deployed {
    /// What the cache is to do with a request.
    pub(super) fn directions<B>(&self, request: &Request<B>, message: &Message<'_>) -> Directions {
        let (policy, resource) = (&self.policy, &self.site.resource);
        let note = |what, value: bytes::Bytes| {
            message
                .flow
                .note("responsecache", policy.name(), what, value);
        };
        note("cachename", resource.name.to_string().into());
        note("cachehit", said(false));
        note("invalidentry", said(false));
        let pass = |refusal| Directions {
            pass: Some(refusal),
            ..Directions::default()
        };
        let headers = request.headers();
        if !self.authorization && headers.contains_key(AUTHORIZATION) {
            return pass(Refusal::Authorization);
        }
        if !self.cookies && headers.contains_key(COOKIE) {
            return pass(Refusal::Cookie);
        }
        let Ok(key) = policy.entry_key(&self.site.place, message) else {
            return pass(Refusal::Unkeyed);
        };
        note("cachekey", key.to_string().into());
        let Some((key, tags)) = self.stored_as(&key) else {
            return pass(Refusal::Unkeyed);
        };
        Directions {
            pass: None,
            key,
            tags,
            anew: policy.skips_lookup(message),
            knows_callers: self.authorization,
        }
    }

    /// The bytes of a key in its cache, and the tags that go with it.
    fn stored_as(&self, key: &EntryKey<'_>) -> Option<(Vec<u8>, Vec<TagName>)> {
        let path = key.path();
        let scope = &self.site.resource.cache;
        let tags = key_tags(scope, &path);
        let key = key_bytes(&(scope_name(scope), path)).ok()?;
        Some((key, tags))
    }
}
