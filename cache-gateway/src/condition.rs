//! Conditions: which requests a policy looks up, and which responses it stores.

mod evaluate;
mod expression;
mod parse;
mod pattern;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use expression::Expression;
pub use parse::ConditionError;

use crate::{Variable, Variables};

/// When something is so: an expression as gateways write it, or a closure over the variables.
///
/// Text becomes an [`Expression`]. Converting from text that is none panics at the caller's line, since it
/// is a literal; parse what comes from elsewhere.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::Condition;
/// use std::collections::HashMap;
///
/// let bypass = Condition::from(r#"request.header.bypass-cache = "true""#);
/// let same = Condition::when(|flow| {
///     flow.named("request.header.bypass-cache").as_deref() == Some("true")
/// });
/// let request = HashMap::from([("request.header.bypass-cache", "true")]);
/// assert!(bypass.holds(&request) && same.holds(&request));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// An expression in the gateways' language.
    Expression(Expression),
    /// Code.
    Closure(Closure),
}

impl Condition {
    /// Holds when `closure` says so.
    pub fn when(closure: impl Fn(&dyn Variables) -> bool + Send + Sync + 'static) -> Self {
        Self::Closure(Closure(Arc::new(closure)))
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, variables: &dyn Variables) -> bool {
        match self {
            Self::Expression(expression) => expression.holds(variables),
            Self::Closure(Closure(closure)) => closure(variables),
        }
    }

    /// Whether it holds, or might once variables are known that are not yet: it might if it asks for one.
    pub(crate) fn may_hold(
        &self,
        variables: &dyn Variables,
        unknown: fn(&Variable) -> bool,
    ) -> bool {
        // Code that panics while a panic is under way would end the process.
        if matches!(self, Self::Closure(_)) && std::thread::panicking() {
            return true;
        }
        let known = Known {
            variables,
            unknown,
            asked: Cell::new(false),
        };
        self.holds(&known) || known.asked.get()
    }

    /// The variables that its expression reads; those of a closure are not known.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        match self {
            Self::Expression(expression) => expression.variables(),
            Self::Closure(_) => Vec::new(),
        }
        .into_iter()
    }
}

/// Variables of which some are not known yet.
struct Known<'v> {
    variables: &'v dyn Variables,
    unknown: fn(&Variable) -> bool,
    /// Whether one of those was asked for.
    asked: Cell<bool>,
}

impl Variables for Known<'_> {
    fn get(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        if (self.unknown)(variable) {
            self.asked.set(true);
            return None;
        }
        self.variables.get(variable)
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        text.parse().map(Self::Expression)
    }
}

impl From<Expression> for Condition {
    fn from(expression: Expression) -> Self {
        Self::Expression(expression)
    }
}

impl From<&str> for Condition {
    #[track_caller]
    fn from(text: &str) -> Self {
        match text.parse() {
            Ok(condition) => condition,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The code of a [`Condition`]. It equals its own clones.
#[derive(Clone)]
pub struct Closure(Arc<Code>);

type Code = dyn Fn(&dyn Variables) -> bool + Send + Sync;

impl PartialEq for Closure {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closure(..)")
    }
}
