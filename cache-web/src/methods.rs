//! [`WebMethods`]: which functions are mounted, and what they are told.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any, get, post};
use cache_core::spi::web::{Description, WebMethod};
use cache_core::{Cache, Permissions};
use cache_tower::CacheLayer;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use thiserror::Error;

use crate::call::{self, Callee};
use crate::client::{self, Signature};
use crate::gate::{Authorise, Gate, IntoCaller, authorise};
use crate::invalidate::InvalidateCache;
use crate::json::Json;
use crate::refusal::Refusal;

/// The longest body of a call, unless said otherwise: 1 MiB.
const BODY_LIMIT: usize = 1 << 20;

/// What a 401 asks for, unless said otherwise (RFC 6750).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");

/// Web methods, to be mounted in a router: functions under `#[web_method(PERMISSION)]` that are called
/// over HTTP.
///
/// Each is called by `POST {base}/{name}`, with `Content-Type: application/json` and a JSON array of
/// arguments by position or an object of them by name; what is missing is `null`. The value comes back
/// as JSON. One that is cached answers `GET {base}/{name}?args=[..]` too, with the arguments as
/// percent-encoded JSON, from the HTTP cache: with an `ETag`, a `Cache-Status`, and the tags of what it
/// is made of, for what is left of the value's life.
///
/// What goes wrong is answered with `{"code": "..", "message": ".."}` and a status: 400 (arguments),
/// 401 (with a [challenge](Self::challenge)) and 403 (the permission), 404, 405, 413 or for a GET 414
/// (longer than the [limit](Self::body_limit)), 415, and what the method's error
/// [says](cache_core::WebError), else 500, which a panic is too. The details of a 500, and why an argument
/// could not be read, are in the log only (feature `tracing`; without it those of a 500 are on standard
/// error): the caller is told the argument's name, and the line and column in it.
#[derive(Clone, Default)]
#[must_use = "web methods are mounted by `build`"]
pub struct WebMethods {
    methods: Vec<Mounted>,
    authorise: Option<Authorise>,
    cache: Option<Cache>,
    body_limit: Option<usize>,
    challenge: Option<String>,
    without_client: bool,
}

/// One method under its name.
#[derive(Clone)]
struct Mounted {
    name: Arc<str>,
    about: Description,
    callee: Callee,
}

impl fmt::Debug for WebMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.methods.iter().map(|method| &*method.name);
        f.debug_tuple("WebMethods")
            .field(&names.collect::<Vec<_>>())
            .finish()
    }
}

/// Why web methods cannot be mounted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebMethodsError {
    /// Two methods have one name.
    #[error(
        "two web methods are named `{name}`: give one of them another name, `.method_as::<..>(\"other\")`"
    )]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A name cannot stand as one segment of a path.
    #[error(
        "{name:?} is no name of a web method: it is a segment of a path, of letters, digits, `_`, `-` and `.`"
    )]
    InvalidName {
        /// The name.
        name: String,
    },
    /// The client's module cannot export a function of this name.
    #[error(
        "the client's module cannot export a function named `{name}`: give the web method another name, `.method_as::<..>(\"other\")`, or serve no client, `.without_client()`"
    )]
    NotInClient {
        /// The name.
        name: String,
    },
    /// A challenge cannot stand in a header.
    #[error(
        "{challenge:?} is no value of the header `WWW-Authenticate`: `.challenge(\"Bearer realm=\\\"members\\\"\")`"
    )]
    InvalidChallenge {
        /// The challenge.
        challenge: String,
    },
    /// A method is not for anyone, and nothing says who is calling.
    #[error(
        "the web method `{name}` asks for `Permissions::{permission:?}`, and nothing says who is calling: `.authorise(|parts| async {{ .. }})`"
    )]
    NoAuthoriser {
        /// The method.
        name: String,
        /// What it asks for.
        permission: Permissions,
    },
}

impl WebMethods {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a method under its function's name: `.method::<contacts::find>()`. The type is the
    /// companion that `#[web_method]` puts beside the function.
    pub fn method<M: WebMethod<Json>>(self) -> Self {
        self.method_as::<M>(M::ABOUT.name)
    }

    /// Adds a method under another name.
    pub fn method_as<M: WebMethod<Json>>(mut self, name: impl AsRef<str>) -> Self {
        self.methods.push(Mounted {
            name: name.as_ref().into(),
            about: M::ABOUT,
            callee: Callee {
                parameters: M::ABOUT.parameters,
                call: M::call,
            },
        });
        self
    }

    /// Adds `invalidateCache`, for administrators: its argument is a list of `{"tag": ".."}`, and what
    /// has at least one of the tags is dropped; an empty list drops nothing. As with every method, the
    /// body is the list of arguments: `[[{"tag": "contacts"}]]`.
    pub fn invalidate_cache_method(self) -> Self {
        self.method::<InvalidateCache>()
    }

    /// Says who is calling: asked at each call, also one that the cache answers, before anything else.
    /// It is given the request's head and comes to a [`Caller`](cache_core::Caller), or to a `Result`
    /// of one, whose error is a 500.
    ///
    /// Cookies and `Authorization` are for it alone: methods do not see them.
    pub fn authorise<F, Fut>(mut self, ask: F) -> Self
    where
        F: Fn(&Parts) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoCaller> + Send + 'static,
    {
        self.authorise = Some(authorise(ask));
        self
    }

    /// What callers are asked for who are not signed in, as the value of the header `WWW-Authenticate`
    /// that every 401 carries: one challenge, or several with commas between them (default: `Bearer`).
    /// Browsers ask their user for a password themselves where it is `Basic`, `Digest` or `Negotiate`. Where
    /// sessions are told by cookies no registered scheme fits, and the default does no harm.
    pub fn challenge(mut self, challenge: impl AsRef<str>) -> Self {
        self.challenge = Some(challenge.as_ref().to_owned());
        self
    }

    /// The cache to use; without it the current or installed one.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The longest body of a call, or JSON in the query of one, in bytes; 1 MiB by default. What is longer is
    /// answered with 413, or 414.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = Some(bytes);
        self
    }

    /// Serves no client for browsers.
    ///
    /// Without it `GET {base}/client.js` is an ES module with an async function for each method, and
    /// `client.d.ts` its types: `import { multiply } from "/_functions/client.js"`. They tell everybody
    /// the names, arguments and types of all methods, and the documentation of those for
    /// [anyone](Permissions::Anyone).
    pub fn without_client(mut self) -> Self {
        self.without_client = true;
        self
    }

    /// The router of these methods, one route each, to be nested: `app.nest("/_functions", methods)`.
    ///
    /// # Errors
    ///
    /// Where two have one name, a name is no segment of a path or cannot be exported by the client (`then`,
    /// `WebMethodError`), a method is not for anyone and nothing [says](Self::authorise) who is calling,
    /// or the [challenge](Self::challenge) cannot stand in a header.
    pub fn build(self) -> Result<Router, WebMethodsError> {
        let mut router = Router::new();
        let mut names: Vec<Arc<str>> = Vec::new();
        let layer = match &self.cache {
            Some(cache) => CacheLayer::new().cache(cache.clone()),
            None => CacheLayer::new(),
        };
        let challenge = self.challenge_header()?;
        for method in &self.methods {
            let name = method.name.to_string();
            let permission = method.about.permission;
            if !is_segment(&name) {
                return Err(WebMethodsError::InvalidName { name });
            }
            if names.contains(&method.name) {
                return Err(WebMethodsError::DuplicateName { name });
            }
            if !self.without_client && client::NOT_EXPORTED.contains(&&*name) {
                return Err(WebMethodsError::NotInClient { name });
            }
            if permission != Permissions::Anyone && self.authorise.is_none() {
                return Err(WebMethodsError::NoAuthoriser { name, permission });
            }
            names.push(Arc::clone(&method.name));
            router = router.route(&format!("/{name}"), self.route(method, &layer, &challenge));
        }
        if !self.without_client {
            for file in client::FILES {
                if names.iter().any(|name| **name == *file) {
                    return Err(WebMethodsError::DuplicateName { name: file.into() });
                }
            }
            let signatures: Vec<_> = self.methods.iter().map(Mounted::signature).collect();
            router = router.merge(client::routes(&signatures, layer));
        }
        Ok(router.route("/{method}", any(not_found)))
    }

    fn challenge_header(&self) -> Result<HeaderValue, WebMethodsError> {
        let Some(challenge) = &self.challenge else {
            return Ok(CHALLENGE);
        };
        let written = HeaderValue::from_str(challenge).ok();
        let written = written.filter(|_| !challenge.trim().is_empty());
        written.ok_or_else(|| WebMethodsError::InvalidChallenge {
            challenge: challenge.clone(),
        })
    }

    fn route(&self, method: &Mounted, layer: &CacheLayer, challenge: &HeaderValue) -> MethodRouter {
        let (callee, limit) = (method.callee, self.body_limit.unwrap_or(BODY_LIMIT));
        let (name, cache) = (Arc::clone(&method.name), self.cache.clone());
        let posted = post(move |request: Request| async move {
            let call = call::post(callee, &name, limit, request);
            match cache {
                Some(cache) => cache.enter(call).await,
                None => call.await,
            }
        });
        let route = if method.about.cached {
            let name = Arc::clone(&method.name);
            let got = get(move |request: Request| async move {
                call::get(callee, &name, limit, request).await
            });
            posted.merge(got.layer(layer.clone()))
        } else {
            posted
        };
        let gate = Gate {
            name: Arc::clone(&method.name),
            permission: method.about.permission,
            authorise: self.authorise.clone(),
            challenge: challenge.clone(),
        };
        // Only what has a handler is behind the gate: another method is told so without being let in.
        route
            .route_layer(from_fn(move |request: Request, next: Next| {
                let gate = gate.clone();
                gate.pass(request, move |request| next.run(request))
            }))
            .fallback(not_allowed)
    }
}

impl Mounted {
    fn signature(&self) -> Signature<'_> {
        let types = (self.about.types)();
        let names = self.about.parameters.iter().copied();
        let open = self.about.permission == Permissions::Anyone;
        Signature {
            name: &self.name,
            docs: if open { self.about.docs } else { "" },
            arguments: names.zip(types.parameters).collect(),
            returns: types.value,
            is_cached: self.about.cached,
        }
    }
}

fn is_segment(name: &str) -> bool {
    !name.is_empty()
        && !name.bytes().all(|byte| byte == b'.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

async fn not_found(Path(name): Path<String>) -> impl IntoResponse {
    let name: String = name.chars().take(64).collect();
    Refusal::new(
        StatusCode::NOT_FOUND,
        "not_found",
        format!("there is no web method `{name}`"),
    )
}

async fn not_allowed() -> impl IntoResponse {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "a web method is called by POST, and one that is cached by GET too",
    )
}
