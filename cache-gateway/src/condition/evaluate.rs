//! What an expression comes to.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::expression::{Comparison, Expression, Node, Operand};
use crate::Variables;

impl Expression {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, variables: &dyn Variables) -> bool {
        self.0.holds(variables)
    }
}

impl Node {
    fn holds(&self, variables: &dyn Variables) -> bool {
        match self {
            Self::Or(nodes) => nodes.iter().any(|node| node.holds(variables)),
            Self::And(nodes) => nodes.iter().all(|node| node.holds(variables)),
            Self::Not(node) => !node.holds(variables),
            Self::IsTrue(operand) => operand.seen(variables).equals(&Seen::Bool(true)),
            Self::Matches(operand, pattern) => operand
                .seen(variables)
                .text()
                .is_some_and(|text| pattern.matches(text)),
            Self::Compare(left, comparison, right) => {
                comparison.holds(&left.seen(variables), &right.seen(variables))
            }
        }
    }
}

impl Operand {
    fn seen<'a>(&'a self, variables: &'a dyn Variables) -> Seen<'a> {
        match self {
            Self::Variable(variable) => variables.get(variable).map_or(Seen::Null, Seen::Text),
            Self::Text(text) => Seen::Text(Cow::Borrowed(text)),
            Self::Number(number) => Seen::Number(number),
            Self::Bool(value) => Seen::Bool(*value),
            Self::Null => Seen::Null,
        }
    }
}

impl Comparison {
    fn holds(self, left: &Seen<'_>, right: &Seen<'_>) -> bool {
        let order = || left.compared(right);
        match self {
            Self::Equals => left.equals(right),
            Self::NotEquals => !left.equals(right),
            Self::EqualsCaseInsensitive => left.equals_but_for_case(right),
            Self::Greater => order().is_some_and(Ordering::is_gt),
            Self::GreaterOrEquals => order().is_some_and(Ordering::is_ge),
            Self::Lesser => order().is_some_and(Ordering::is_lt),
            Self::LesserOrEquals => order().is_some_and(Ordering::is_le),
            Self::StartsWith => match (left.text(), right.text()) {
                (Some(left), Some(right)) => left.starts_with(right),
                _ => false,
            },
        }
    }
}

/// An operand with its value.
enum Seen<'a> {
    Text(Cow<'a, str>),
    Number(&'a str),
    Bool(bool),
    Null,
}

impl Seen<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(number),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Null => None,
        }
    }

    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(_), _) | (_, Self::Number(_)) => {
                self.compared(other) == Some(Ordering::Equal)
            }
            (Self::Bool(_), _) | (_, Self::Bool(_)) => self.equals_but_for_case(other),
            _ => self.text() == other.text(),
        }
    }

    fn equals_but_for_case(&self, other: &Self) -> bool {
        fn lower(text: &str) -> impl Iterator<Item = char> {
            text.chars().flat_map(char::to_lowercase)
        }
        match (self, other) {
            (Self::Number(_), _) | (_, Self::Number(_)) => self.equals(other),
            _ => match (self.text(), other.text()) {
                (Some(left), Some(right)) => lower(left).eq(lower(right)),
                (left, right) => left == right,
            },
        }
    }

    /// Which is above the other, where one can be.
    fn compared(&self, other: &Self) -> Option<Ordering> {
        let (left, right) = (self.text()?, other.text()?);
        match (self, other) {
            (Self::Bool(_), _) | (_, Self::Bool(_)) => None,
            (Self::Text(_), Self::Text(_)) => {
                numbers(left, right).or_else(|| Some(left.cmp(right)))
            }
            _ => numbers(left, right),
        }
    }
}

/// How two numbers compare: exactly where they are whole.
fn numbers(left: &str, right: &str) -> Option<Ordering> {
    if let (Ok(left), Ok(right)) = (left.parse::<i128>(), right.parse::<i128>()) {
        return Some(left.cmp(&right));
    }
    number(left)?.partial_cmp(&number(right)?)
}

/// Not the words for infinity and no number, which Rust reads too.
pub(super) fn number(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let begins = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    begins.then(|| text.parse().ok()).flatten()
}
