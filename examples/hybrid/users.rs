//! A database of users that can be told to fail, and the functions over it.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use revalidate::{InvalidateError, LoadTimeout, web_method};

const WORKS: u8 = 0;
const FAILS: u8 = 1;
const HANGS: u8 = 2;

/// The database.
#[derive(Debug)]
pub(crate) struct Users {
    rows: Mutex<HashMap<u32, String>>,
    state: AtomicU8,
    asked: AtomicUsize,
}

/// The database gave no answer.
#[derive(Clone, Debug)]
pub(crate) enum Down {
    Failed,
    NoSuchUser,
    TooSlow(LoadTimeout),
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("the database is down"),
            Self::NoSuchUser => f.write_str("there is no such user"),
            Self::TooSlow(limit) => limit.fmt(f),
        }
    }
}

impl From<LoadTimeout> for Down {
    fn from(limit: LoadTimeout) -> Self {
        Self::TooSlow(limit)
    }
}

impl Users {
    pub(crate) fn new<const N: usize>(rows: [(u32, &str); N]) -> Self {
        let rows = rows.map(|(id, name)| (id, name.to_owned()));
        Self {
            rows: Mutex::new(rows.into()),
            state: AtomicU8::new(WORKS),
            asked: AtomicUsize::new(0),
        }
    }

    pub(crate) fn fail(&self, fails: bool) {
        let state = if fails { FAILS } else { WORKS };
        self.state.store(state, Ordering::SeqCst);
    }

    pub(crate) fn hang(&self) {
        self.state.store(HANGS, Ordering::SeqCst);
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) async fn find(&self, id: u32) -> Result<String, Down> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.state.load(Ordering::SeqCst) {
            FAILS => return Err(Down::Failed),
            HANGS => pending().await,
            _ => {}
        }
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(&id).cloned().ok_or(Down::NoSuchUser)
    }

    fn save(&self, id: u32, name: &str) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.insert(id, name.to_owned());
    }
}

/// One user. Its key is the function and its arguments; `db` is how to load, not what.
#[web_method(cache(tags = ["users"]))]
pub(crate) async fn get_user(#[cache(skip)] db: &Arc<Users>, id: u32) -> Result<String, Down> {
    db.find(id).await
}

/// Changes a user, and drops the one call that showed it.
pub(crate) async fn update_user(db: &Users, id: u32, name: &str) -> Result<(), InvalidateError> {
    db.save(id, name);
    get_user::remove_cached(id).await?;
    Ok(())
}
