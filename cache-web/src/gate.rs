//! Who is calling, and whether that one may: asked before anything else, the cache too. What leaves
//! through the gate is kept outside by nobody, unless everybody may have it and the cache's layer keeps it.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use cache_core::{Caller, Permissions};
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::refusal::{NO_STORE, Refusal, caught};

/// What an authoriser comes to: a [`Caller`], or a `Result` of one whose error is a 500 with its text
/// in the log only.
pub trait IntoCaller: sealed::Sealed {
    #[doc(hidden)]
    fn into_caller(self) -> Result<Caller, String>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for cache_core::Caller {}
    impl<E> Sealed for Result<cache_core::Caller, E> {}
}

impl IntoCaller for Caller {
    fn into_caller(self) -> Result<Caller, String> {
        Ok(self)
    }
}

impl<E: Display> IntoCaller for Result<Caller, E> {
    fn into_caller(self) -> Result<Caller, String> {
        self.map_err(|error| format!("who is calling is not known: {error:#}"))
    }
}

type Asked = Pin<Box<dyn Future<Output = Result<Caller, String>> + Send>>;

/// Finds out who is calling.
pub(crate) type Authorise = Arc<dyn Fn(&Parts) -> Asked + Send + Sync>;

pub(crate) fn authorise<F, Fut>(ask: F) -> Authorise
where
    F: Fn(&Parts) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoCaller> + Send + 'static,
{
    Arc::new(move |parts| {
        let asked = ask(parts);
        Box::pin(async move { asked.await.into_caller() })
    })
}

/// The gate of one method.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) name: Arc<str>,
    pub(crate) permission: Permissions,
    pub(crate) authorise: Option<Authorise>,
    /// What a 401 asks for.
    pub(crate) challenge: HeaderValue,
}

impl Gate {
    /// Lets a call in, as its caller, or turns it away.
    pub(crate) async fn pass<F>(self, request: Request, next: impl FnOnce(Request) -> F) -> Response
    where
        F: Future<Output = Response>,
    {
        let (mut parts, body) = request.into_parts();
        let mut response = match self.caller(&parts).await {
            Ok(caller) => {
                // They have said who is calling, and no method sees them: the layer need not tell calls apart by them.
                parts.headers.remove(AUTHORIZATION);
                parts.headers.remove(COOKIE);
                let inside = next(Request::from_parts(parts, body));
                cache_core::spi::called_by(caller, inside).await
            }
            Err(refusal) => refusal.log(&self.name).into_response(),
        };
        self.seal(&mut response);
        response
    }

    /// Who is calling, if that one may.
    async fn caller(&self, parts: &Parts) -> Result<Caller, Refusal> {
        let caller = match &self.authorise {
            None => Caller::anonymous(),
            Some(authorise) => caught(async { authorise(parts).await })
                .await?
                .map_err(|details| Refusal::internal(Some(details)))?,
        };
        if caller.may(self.permission) {
            Ok(caller)
        } else {
            Err(turned_away(&caller))
        }
    }

    /// Sees to it that nobody outside keeps what not everybody may have, and that a 401, a method's own
    /// too, says what it asks for (RFC 9110, section 15.5.2).
    fn seal(&self, response: &mut Response<Body>) {
        let unauthenticated = response.status() == StatusCode::UNAUTHORIZED;
        let headers = response.headers_mut();
        if unauthenticated {
            headers.insert(WWW_AUTHENTICATE, self.challenge.clone());
        }
        if self.permission != Permissions::Anyone {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        } else if !headers.contains_key(CACHE_CONTROL) {
            // The layer did not keep it: it may be its caller's own.
            headers.insert(CACHE_CONTROL, NO_STORE);
        }
    }
}

/// No more is said than that.
fn turned_away(caller: &Caller) -> Refusal {
    if caller.may(Permissions::SiteMember) {
        Refusal::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "the caller may not call this web method",
        )
    } else {
        Refusal::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "this web method is for callers who are signed in",
        )
    }
}
