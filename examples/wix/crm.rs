//! Where the contacts are: a stand-in for a service that is slow, and that fails when it is told to.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use revalidate::{ClientType, PublicError, WebError};
use serde::Serialize;
use tokio::time::sleep;

/// How long it takes to answer: what a visitor sees of a miss.
const TAKES: Duration = Duration::from_millis(300);
/// What is kept of contacts that visitors add: this is no database.
const MOST: usize = 20;

static DOWN: AtomicBool = AtomicBool::new(false);
static ADDED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Somebody in the book.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Contact {
    name: String,
}

/// So `client.d.ts` knows what a contact is; without it, it is `unknown` there.
impl ClientType for Contact {
    fn typescript() -> Cow<'static, str> {
        "{ name: string }".into()
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrmError {
    Down,
    NoName,
    Full,
}

/// What of it the browser is told; another error would be a 500 without details.
impl WebError for CrmError {
    fn public(&self) -> Option<PublicError> {
        let (status, code, message) = match self {
            Self::Down => (503, "crm_down", "the contacts cannot be reached"),
            Self::NoName => (
                400,
                "no_name",
                "name: a contact has one, of 1 to 100 characters",
            ),
            Self::Full => (409, "full", "there is no room for more contacts"),
        };
        Some(PublicError::new(status, code, message))
    }
}

/// Everybody, by name.
pub(crate) async fn query() -> Result<Vec<Contact>, CrmError> {
    sleep(TAKES).await;
    if DOWN.load(Ordering::Relaxed) {
        return Err(CrmError::Down);
    }
    let added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    let first = ["Ada Lovelace", "Charles Babbage", "Grace Hopper"];
    let mut names: Vec<_> = first
        .map(str::to_owned)
        .into_iter()
        .chain(added.iter().cloned())
        .collect();
    names.sort();
    Ok(names.into_iter().map(|name| Contact { name }).collect())
}

/// Adds somebody.
pub(crate) async fn add(name: &str) -> Result<(), CrmError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(CrmError::NoName);
    }
    let mut added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    if added.len() == MOST {
        return Err(CrmError::Full);
    }
    added.push(name.to_owned());
    Ok(())
}

/// Takes the service down, or brings it back.
pub(crate) fn set_down(down: bool) {
    DOWN.store(down, Ordering::Relaxed);
}
