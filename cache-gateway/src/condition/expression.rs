//! An expression as a tree, and as text again.

use std::fmt;

use super::pattern::Pattern;
use crate::Variable;

/// A condition in the gateways' language.
///
/// | operator | also written | holds when |
/// |---|---|---|
/// | `=` | `==`, `is`, `Equals` | both sides are the same |
/// | `!=` | `isnot`, `is not`, `NotEquals` | they are not |
/// | `:=` | `EqualsCaseInsensitive` | they are the same but for case |
/// | `>` `>=` `<` `<=` | `GreaterThan`, `GreaterThanOrEquals`, `LesserThan`, `LesserThanOrEquals` | the left is above, or below |
/// | <code>=&#124;</code> | `StartsWith` | the left begins with the right |
/// | `~` | `Matches`, `Like` | the left matches a pattern of `*`; `%` before a character takes it as it is |
/// | `~/` | `MatchesPath`, `LikePath` | the path matches, `*` being a segment and `**` any number of them |
/// | `~~` | `JavaRegex` | all of the left matches a [regular expression](regex) |
/// | `!` | `not` | what follows, up to the next `and` or `or`, does not hold |
/// | `&&` | `and` | both hold |
/// | <code>&#124;&#124;</code> | `or` | one holds |
///
/// `!` binds closer than `and`, `and` closer than `or`; parentheses come first. Words have no case.
///
/// Each side is a [variable](Variable), a text in double quotes (`\"` is a quote in it, `\\` a backslash,
/// and any other backslash stands for itself), a number, `true`, `false` or `null`. The right side of a
/// match is a text in quotes. A variable alone holds when it is `true`.
///
/// * A variable without a value is `null`. It equals only `null`, is neither above nor below anything, and
///   matches nothing.
/// * A number compares with numbers: a text that is none does not equal it, and is neither above nor below it.
/// * Two texts compare as numbers in `> >= < <=` where both are numbers, else character by character.
/// * Regular expressions take time in proportion to the text, whatever is sent, and so have neither
///   look-around nor references to groups; Java's are refused when they are read.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::Expression;
/// use std::collections::HashMap;
///
/// let condition: Expression =
///     r#"request.verb = "GET" and (response.status.code >= 400 or response.content is null)"#.parse()?;
/// let flow = HashMap::from([
///     ("request.verb", "GET"), ("response.status.code", "200"), ("response.content", "hi"),
/// ]);
/// assert!(!condition.holds(&flow));
///
/// let error = "request.verb = GET AND".parse::<Expression>().unwrap_err();
/// assert_eq!(error.column(), 23);
/// # Ok::<(), revalidate::gateway::ConditionError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(pub(super) Node);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Two or more.
    Or(Vec<Node>),
    /// Two or more.
    And(Vec<Node>),
    Not(Box<Node>),
    Compare(Operand, Comparison, Operand),
    Matches(Operand, Pattern),
    /// A variable or a word that is `true`.
    IsTrue(Operand),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Variable(Variable),
    Text(Box<str>),
    /// As it was written, but for its suffix.
    Number(Box<str>),
    Bool(bool),
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equals,
    NotEquals,
    EqualsCaseInsensitive,
    Greater,
    GreaterOrEquals,
    Lesser,
    LesserOrEquals,
    StartsWith,
}

impl Expression {
    /// The variables that it reads.
    pub(super) fn variables(&self) -> Vec<&Variable> {
        let mut variables = Vec::new();
        self.0
            .each_variable(&mut |variable| variables.push(variable));
        variables
    }
}

impl Node {
    fn each_variable<'a>(&'a self, found: &mut impl FnMut(&'a Variable)) {
        let operands = match self {
            Self::Or(nodes) | Self::And(nodes) => {
                return nodes.iter().for_each(|node| node.each_variable(found));
            }
            Self::Not(node) => return node.each_variable(found),
            Self::Compare(left, _, right) => [Some(left), Some(right)],
            Self::Matches(operand, _) | Self::IsTrue(operand) => [Some(operand), None],
        };
        for operand in operands.into_iter().flatten() {
            if let Operand::Variable(variable) = operand {
                found(variable);
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(nodes) => joined(nodes, " || ", |_| false, f),
            Self::And(nodes) => joined(nodes, " && ", |node| matches!(node, Self::Or(_)), f),
            Self::Not(node) => write!(f, "!({node})"),
            Self::Compare(left, comparison, right) => write!(f, "{left} {comparison} {right}"),
            Self::Matches(operand, pattern) => {
                write!(f, "{operand} {} ", pattern.manner)?;
                quoted(&pattern.text, f)
            }
            Self::IsTrue(operand) => operand.fmt(f),
        }
    }
}

fn joined(
    nodes: &[Node],
    separator: &str,
    needs_parentheses: fn(&Node) -> bool,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (place, node) in nodes.iter().enumerate() {
        if place > 0 {
            f.write_str(separator)?;
        }
        if needs_parentheses(node) {
            write!(f, "({node})")?;
        } else {
            write!(f, "{node}")?;
        }
    }
    Ok(())
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(variable) => variable.fmt(f),
            Self::Text(text) => quoted(text, f),
            Self::Number(number) => f.write_str(number),
            Self::Bool(value) => value.fmt(f),
            Self::Null => f.write_str("null"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equals => "=",
            Self::NotEquals => "!=",
            Self::EqualsCaseInsensitive => ":=",
            Self::Greater => ">",
            Self::GreaterOrEquals => ">=",
            Self::Lesser => "<",
            Self::LesserOrEquals => "<=",
            Self::StartsWith => "=|",
        })
    }
}
