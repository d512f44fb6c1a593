//! Storage: one SQLite file, and nothing about caching. This process is its only writer; what
//! another program changed in the file would be seen when the cached values expire.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use revalidate::CacheTags;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, ffi, params};
use serde::{Deserialize, Serialize};

use crate::draft::Checked;

/// Somebody in the book. A value that holds contacts has a tag for each of them.
#[derive(Clone, Debug, Serialize, Deserialize, CacheTags)]
#[cache_tags("contact:{id}")]
pub(crate) struct Contact {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) email: String,
}

impl Contact {
    /// The company somebody works for: the domain of the address.
    pub(crate) fn company(&self) -> &str {
        self.email.rsplit('@').next().unwrap_or_default()
    }
}

/// A company, and how many of its people are in the book.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Company {
    pub(crate) domain: String,
    pub(crate) people: i64,
}

/// Why the database did not do as asked.
#[derive(Debug)]
pub(crate) enum DbError {
    /// Somebody else has this address.
    EmailTaken,
    /// SQLite's own error.
    Sqlite(rusqlite::Error),
    /// The process is stopping.
    Stopping,
}

/// The database. Clones share one connection, which is used from the blocking threads only.
#[derive(Clone)]
pub(crate) struct Db {
    connection: Arc<Mutex<Connection>>,
}

impl Db {
    /// Opens the file, and creates and seeds it where there is none.
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        let setup = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i64 = setup.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            setup.execute_batch(include_str!("schema.sql"))?;
        }
        setup.commit()?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Everybody, by name.
    pub(crate) async fn contacts(&self) -> Result<Vec<Contact>, DbError> {
        self.run(|db| {
            db.prepare("SELECT id, name, email FROM contacts ORDER BY name COLLATE NOCASE, id")?
                .query_map([], contact)?
                .collect()
        })
        .await
    }

    /// One contact.
    pub(crate) async fn contact(&self, id: i64) -> Result<Option<Contact>, DbError> {
        self.run(move |db| find(db, id)).await
    }

    /// The people of a company who have been in the book for longest.
    pub(crate) async fn people(&self, company: String, most: u32) -> Result<Vec<Contact>, DbError> {
        self.run(move |db| {
            db.prepare(
                "SELECT id, name, email FROM contacts WHERE company = ? ORDER BY id LIMIT ?",
            )?
            .query_map(params![company, most], contact)?
            .collect()
        })
        .await
    }

    /// Every company, the largest first.
    pub(crate) async fn companies(&self) -> Result<Vec<Company>, DbError> {
        self.run(|db| {
            db.prepare("SELECT company, count(*) AS people FROM contacts GROUP BY company ORDER BY people DESC, company")?
                .query_map([], |row| {
                    Ok(Company {
                        domain: row.get(0)?,
                        people: row.get(1)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// Adds a contact.
    pub(crate) async fn add(&self, new: Checked) -> Result<Contact, DbError> {
        self.run(move |db| {
            db.query_row(
                "INSERT INTO contacts (name, email) VALUES (?, ?) RETURNING id, name, email",
                [new.name(), new.email()],
                contact,
            )
        })
        .await
    }

    /// Changes a contact: what it was and what it is now, or `None` where there is none.
    pub(crate) async fn change(
        &self,
        id: i64,
        new: Checked,
    ) -> Result<Option<(Contact, Contact)>, DbError> {
        self.run(move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(before) = find(&transaction, id)? else {
                return Ok(None);
            };
            let after = transaction.query_row(
                "UPDATE contacts SET name = ?, email = ? WHERE id = ? RETURNING id, name, email",
                params![new.name(), new.email(), id],
                contact,
            )?;
            transaction.commit()?;
            Ok(Some((before, after)))
        })
        .await
    }

    /// Removes a contact, and returns it if there was one.
    pub(crate) async fn remove(&self, id: i64) -> Result<Option<Contact>, DbError> {
        self.run(move |db| {
            db.query_row(
                "DELETE FROM contacts WHERE id = ? RETURNING id, name, email",
                [id],
                contact,
            )
            .optional()
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DbError> {
        let connection = Arc::clone(&self.connection);
        let job = move || job(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        match tokio::task::spawn_blocking(job).await {
            Ok(done) => done.map_err(DbError::from),
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(DbError::Stopping),
            },
        }
    }
}

fn find(db: &Connection, id: i64) -> rusqlite::Result<Option<Contact>> {
    db.query_row(
        "SELECT id, name, email FROM contacts WHERE id = ?",
        [id],
        contact,
    )
    .optional()
}

fn contact(row: &Row<'_>) -> rusqlite::Result<Contact> {
    Ok(Contact {
        id: row.get(0)?,
        name: row.get(1)?,
        email: row.get(2)?,
    })
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(code) if code.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE => Self::EmailTaken,
            _ => Self::Sqlite(error),
        }
    }
}
