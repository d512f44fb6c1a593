//! What can go wrong, with the status and the words for it. `api` writes it as JSON, `pages` as HTML.

use std::fmt;

use axum::http::StatusCode;
use revalidate::InvalidateError;

use crate::db::DbError;
use crate::draft::Problems;

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum Error {
    /// There is no such contact.
    NoContact,
    /// There is nobody of this company.
    NoCompany,
    /// A field is not as it must be.
    Invalid(Problems),
    /// Somebody else in the book has this address.
    EmailTaken,
    /// Our own fault. The words are for the log.
    Internal(String),
}

impl Error {
    /// The status of a response that says so.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoContact | Self::NoCompany => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::EmailTaken => StatusCode::CONFLICT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What is wrong with each field.
    pub(crate) fn problems(&self) -> Problems {
        match self {
            Self::Invalid(problems) => *problems,
            Self::EmailTaken => Problems {
                email: Some("is taken"),
                ..Problems::default()
            },
            Self::NoContact | Self::NoCompany | Self::Internal(_) => Problems::default(),
        }
    }

    /// Logs what only we can mend.
    pub(crate) fn log(&self) {
        if let Self::Internal(why) = self {
            eprintln!("contacts: {why}");
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoContact => "there is no such contact",
            Self::NoCompany => "there is nobody of this company",
            Self::Invalid(_) => "the contact has fields that are not as they must be",
            Self::EmailTaken => "another contact has this address",
            Self::Internal(_) => "something went wrong here; it is in the log",
        })
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        match error {
            DbError::EmailTaken => Self::EmailTaken,
            DbError::Sqlite(error) => Self::Internal(format!("database: {error}")),
            DbError::Stopping => Self::Internal("database: the process is stopping".to_owned()),
        }
    }
}

/// An invalidation only fails where the code is wrong, so it is never the client's doing.
impl From<InvalidateError> for Error {
    fn from(error: InvalidateError) -> Self {
        Self::Internal(format!("invalidation: {error}"))
    }
}
