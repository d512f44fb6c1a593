//! Who is asking: the caller of a web method, as whoever let the call in found out.
//!
//! What a caller may be told must not be given to another, and values are shared. So a load that asks
//! who is calling is its caller's own, unless its key holds the caller.

use std::sync::Arc;

use crate::context::{self, Scoped};
use crate::key::{CacheKey, KeyWriter};
use crate::outward::late;
use crate::permissions::Permissions;

/// Who calls a web method.
///
/// Made by what the application gives to authorise calls, and by nothing that a caller sends: it is
/// no argument of a web method, and [`current`](Self::current) tells it.
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::{Caller, Permissions};
///
/// let member = Caller::member("7");
/// assert_eq!(member.id(), Some("7"));
/// assert!(member.may(Permissions::SiteMember) && !member.may(Permissions::Admin));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    role: Role,
    id: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Role {
    Anonymous,
    Member,
    Admin,
}

impl Caller {
    /// A visitor of whom nothing is known.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self {
            role: Role::Anonymous,
            id: None,
        }
    }

    /// Somebody who is signed in.
    #[must_use]
    pub fn member(id: impl AsRef<str>) -> Self {
        Self {
            role: Role::Member,
            id: Some(id.as_ref().into()),
        }
    }

    /// An administrator, who may all that members may.
    #[must_use]
    pub fn admin(id: impl AsRef<str>) -> Self {
        Self {
            role: Role::Admin,
            id: Some(id.as_ref().into()),
        }
    }

    /// By what the application knows who it is; `None` where nobody is signed in.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether the caller is an administrator.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Whether the caller may call what asks for this.
    #[must_use]
    pub fn may(&self, permission: Permissions) -> bool {
        self.role
            >= match permission {
                Permissions::Anyone => Role::Anonymous,
                Permissions::SiteMember => Role::Member,
                Permissions::Admin => Role::Admin,
            }
    }

    /// Who calls the web method that this runs in; `None` outside of one, where the application's own
    /// code calls.
    ///
    /// A cached function that asks makes its caller's own value: it is served, and neither stored nor
    /// given to those who wait for the same (`caller` is the reason), unless the function's key holds
    /// the caller: `cache(key = (Caller::current(), page))`. Nor does a layer store a response that
    /// was made so. A refresh in the background asks as the caller who found the stale value.
    ///
    /// The same goes for everything around it, whatever came of the call that asked:
    ///
    /// * A function whose key holds the caller, and that calls a cached function which asks without having
    ///   it in *its* key, is never stored: give the inner one such a key too, or ask in the outer one
    ///   and hand on what the inner one needs.
    /// * What the loader of [`Cache::fetch`](crate::Cache::fetch) asks is never in a key that is known to
    ///   hold it, so a loader that asks is never stored. Ask before, put the caller into the key, and
    ///   hand it to the loader:
    ///
    /// ```
    /// # use cache_core as revalidate;
    /// use revalidate::{Cache, Caller};
    /// use std::convert::Infallible;
    ///
    /// async fn orders(cache: &Cache) -> Result<String, Infallible> {
    ///     let caller = Caller::current();
    ///     let key = ("orders", caller.clone());
    ///     cache.fetch(key, "10m", ["orders"], || async move { Ok(format!("those of {caller:?}")) }).await
    /// }
    /// ```
    ///
    /// A spawned task or thread has no caller, as it has no context: there this is `None`, as in the
    /// application's own code, and what is loaded around it does not learn that it was asked. Spawn
    /// with [`.in_current_load()`](crate::FutureExt::in_current_load), which takes both along.
    #[must_use]
    pub fn current() -> Option<Self> {
        let context = context::current()?;
        if let Some(record) = &context.record
            && !record.ask_caller()
        {
            late(&record.engine);
        }
        context.caller.clone()
    }

    /// Runs `future` as called by this one.
    pub(crate) fn calling<F>(self, future: F) -> Scoped<F> {
        let context = context::derive(|context| {
            context.caller = Some(self);
            context.elevated = false;
        });
        Scoped::new(Some(context), future)
    }
}

impl CacheKey for Caller {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        (self.role as u8).encode(key);
        self.id.as_deref().encode(key);
    }
}

/// What [`elevate`] runs: a future, which has called nothing yet.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no future that can be elevated",
    label = "what this was made by has been called already, with the caller's rights",
    note = "call it inside: `elevate(async {{ invalidate_cache(\"contacts\").await }}).await`"
)]
pub trait Elevated: Future {}

#[diagnostic::do_not_recommend]
impl<F: Future> Elevated for F {}

/// Runs `future` with the application's own rights (Wix's `elevate`): in it a web method may
/// invalidate whoever calls it, where the cache is
/// [guarded](crate::CacheBuilder::guard_invalidation). Who is calling stays what it is.
///
/// A web method that does so can be called by whom its permission names: what it invalidates is theirs
/// to drop.
///
/// Invalidations are applied when they are called, so they are to be called inside:
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::{elevate, invalidate_cache};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), revalidate::InvalidateError> {
/// elevate(async { invalidate_cache(["multiply", "math"]).await }).await?;
/// # Ok(()) }
/// ```
///
/// What is called before, as in `elevate(invalidate_cache("math"))`, is called with the caller's rights, and
/// does not compile.
pub fn elevate<F: Elevated>(future: F) -> Scoped<F> {
    let context = context::derive(|context| context.elevated = true);
    Scoped::new(Some(context), future)
}
