//! What a policy's setting is: said where it stands, or read from a variable with each request.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::{Variable, Variables};

/// A setting: a literal, or a reference to a variable (`ref` in XML), perhaps with a literal for where
/// the variable has no value.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::{Timeout, Value};
/// use std::collections::HashMap;
///
/// let timeout = Value::of("cache.timeout").or(Timeout::from(300));
/// let none: HashMap<&str, &str> = HashMap::new();
/// assert_eq!(timeout.read(&none).unwrap(), Timeout::from(300));
/// let set = HashMap::from([("cache.timeout", "60")]);
/// assert_eq!(timeout.read(&set).unwrap(), Timeout::from(60));
/// // A value that is none is an error, not a reason to take another.
/// let malformed = HashMap::from([("cache.timeout", "soon")]);
/// assert!(timeout.read(&malformed).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<T> {
    /// Said where it stands.
    Literal(T),
    /// Read from a variable.
    Ref {
        /// The variable.
        variable: Variable,
        /// What is taken where the variable has no value.
        or: Option<T>,
    },
}

impl<T> Value<T> {
    /// The value of a variable.
    ///
    /// # Panics
    ///
    /// With a text that is no variable's name.
    #[must_use]
    #[track_caller]
    pub fn of(variable: impl Into<Variable>) -> Self {
        Self::Ref {
            variable: variable.into(),
            or: None,
        }
    }

    /// The literal to take where the variable has no value. A literal has one already.
    #[must_use]
    pub fn or(self, literal: T) -> Self {
        match self {
            Self::Ref { variable, .. } => Self::Ref {
                variable,
                or: Some(literal),
            },
            Self::Literal(_) => self,
        }
    }

    /// The variable that it is read from.
    #[must_use]
    pub const fn variable(&self) -> Option<&Variable> {
        match self {
            Self::Literal(_) => None,
            Self::Ref { variable, .. } => Some(variable),
        }
    }

    /// Its text in a variable, or the literal.
    fn look<'a>(&'a self, variables: &'a dyn Variables) -> Result<Found<'a, T>, ValueError> {
        match self {
            Self::Literal(literal) => Ok(Found::Literal(literal)),
            Self::Ref { variable, or } => match (variables.get(variable), or) {
                (Some(text), _) => Ok(Found::Text(variable, text)),
                (None, Some(literal)) => Ok(Found::Literal(literal)),
                (None, None) => Err(ValueError::Unresolved {
                    variable: variable.clone(),
                }),
            },
        }
    }
}

enum Found<'a, T> {
    Literal(&'a T),
    Text(&'a Variable, Cow<'a, str>),
}

impl<T: FromStr<Err: fmt::Display> + Clone> Value<T> {
    /// Its value now.
    ///
    /// # Errors
    ///
    /// [`ValueError`], which names the variable.
    pub fn read(&self, variables: &dyn Variables) -> Result<T, ValueError> {
        match self.look(variables)? {
            Found::Literal(literal) => Ok(literal.clone()),
            Found::Text(variable, text) => {
                text.trim()
                    .parse()
                    .map_err(|problem: T::Err| ValueError::Malformed {
                        variable: variable.clone(),
                        problem: problem.to_string(),
                    })
            }
        }
    }
}

impl Value<String> {
    /// Its text now.
    pub(crate) fn text<'a>(
        &'a self,
        variables: &'a dyn Variables,
    ) -> Result<Cow<'a, str>, ValueError> {
        Ok(match self.look(variables)? {
            Found::Literal(literal) => Cow::Borrowed(literal),
            Found::Text(_, text) => text,
        })
    }
}

impl<T> From<T> for Value<T> {
    fn from(literal: T) -> Self {
        Self::Literal(literal)
    }
}

impl From<&str> for Value<String> {
    fn from(literal: &str) -> Self {
        Self::Literal(literal.into())
    }
}

/// A setting that refers to a variable has no value with this request.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// The variable has none.
    #[error("the variable {variable} has no value")]
    Unresolved {
        /// The variable.
        variable: Variable,
    },
    /// The variable has one that is not what the setting takes.
    #[error("the variable {variable}: {problem}")]
    Malformed {
        /// The variable.
        variable: Variable,
        /// The text, and what is taken instead.
        problem: String,
    },
}
