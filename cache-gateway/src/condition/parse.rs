//! Reads an expression: the grammar, from `or`, which binds loosest, to a single value.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use winnow::ascii::multispace0;
use winnow::combinator::{alt, delimited, opt, peek, preceded, repeat, separated, terminated};
use winnow::error::{ErrMode, FromExternalError, ParserError};
use winnow::stream::{Stateful, Stream};
use winnow::token::{any, none_of, take_while};
use winnow::{ModalResult, Parser};

use super::evaluate::number;
use super::expression::{Comparison, Expression, Node, Operand};
use super::pattern::{Manner, Pattern};
use crate::Variable;

/// The most parentheses and `!` within each other.
const MAX_DEPTH: usize = 64;

/// A text is no condition.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the condition, at character {column} {near}: {problem}")]
pub struct ConditionError {
    column: usize,
    near: String,
    problem: String,
}

impl ConditionError {
    /// At which character it stops to be one, the first being 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }
}

impl FromStr for Expression {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let input = Input {
            input: text,
            state: 0,
        };
        let mut whole = delimited(multispace0, or, end);
        let parsed = whole.parse(input);
        parsed.map(Self).map_err(|error| {
            let (before, rest) = text.split_at_checked(error.offset()).unwrap_or((text, ""));
            let shown: String = rest.chars().take(16).collect();
            ConditionError {
                column: before.chars().count() + 1,
                near: if rest.is_empty() {
                    "(its end)".into()
                } else {
                    format!("({shown:?})")
                },
                problem: error.into_inner().0.into_owned(),
            }
        })
    }
}

/// The state is how deep it is nested.
type Input<'a> = Stateful<&'a str, usize>;
type Parsed<T> = ModalResult<T, Problem>;

/// What was expected, or what is wrong.
#[derive(Debug)]
struct Problem(Cow<'static, str>);

impl<'a> ParserError<Input<'a>> for Problem {
    type Inner = Self;

    fn from_input(_: &Input<'a>) -> Self {
        Self("expected something else".into())
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

impl<'a, E: fmt::Display> FromExternalError<Input<'a>, E> for Problem {
    fn from_external_error(_: &Input<'a>, error: E) -> Self {
        Self(error.to_string().into())
    }
}

/// Takes nothing, and ends the reading: what comes here is none of what could.
fn expected<'a, T>(what: &'static str) -> impl Parser<Input<'a>, T, ErrMode<Problem>> {
    move |_: &mut Input<'a>| Err(ErrMode::Cut(Problem(what.into())))
}

fn or(input: &mut Input<'_>) -> Parsed<Node> {
    separated(1.., and, spaced(alt(("||".void(), keyword("or")))))
        .map(|nodes| one_or(nodes, Node::Or))
        .parse_next(input)
}

fn and(input: &mut Input<'_>) -> Parsed<Node> {
    separated(1.., not, spaced(alt(("&&".void(), keyword("and")))))
        .map(|nodes| one_or(nodes, Node::And))
        .parse_next(input)
}

fn one_or(mut nodes: Vec<Node>, several: fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => several(nodes),
    }
}

fn not(input: &mut Input<'_>) -> Parsed<Node> {
    let sign = alt(("!".void(), keyword("not")));
    if opt(terminated(sign, multispace0))
        .parse_next(input)?
        .is_none()
    {
        return alt((group, comparison)).parse_next(input);
    }
    let node = nested(not).parse_next(input)?;
    Ok(Node::Not(Box::new(node)))
}

fn group(input: &mut Input<'_>) -> Parsed<Node> {
    let close = alt((
        ")".void(),
        expected("expected `)`, `and`, `or` or an operator"),
    ));
    delimited(('(', multispace0), nested(or), (multispace0, close)).parse_next(input)
}

fn nested<'a>(
    mut inner: impl Parser<Input<'a>, Node, ErrMode<Problem>>,
) -> impl Parser<Input<'a>, Node, ErrMode<Problem>> {
    move |input: &mut Input<'a>| {
        if input.state == MAX_DEPTH {
            return expected("at most 64 parentheses and `!` may stand within each other")
                .parse_next(input);
        }
        input.state += 1;
        let node = inner.parse_next(input)?;
        input.state -= 1;
        Ok(node)
    }
}

fn comparison(input: &mut Input<'_>) -> Parsed<Node> {
    let start = input.checkpoint();
    let left = operand.parse_next(input)?;
    match opt(spaced(operator)).parse_next(input)? {
        Some(Operator::Compare(comparison)) => {
            let right = operand.parse_next(input)?;
            Ok(Node::Compare(left, comparison, right))
        }
        Some(Operator::Matches(manner)) => {
            let quoted = alt((
                text,
                expected("expected the pattern, a text in double quotes"),
            ));
            let pattern = quoted
                .try_map(|text| Pattern::new(manner, &text))
                .parse_next(input);
            Ok(Node::Matches(left, pattern.map_err(ErrMode::cut)?))
        }
        None if matches!(left, Operand::Variable(_) | Operand::Bool(_)) => Ok(Node::IsTrue(left)),
        None => {
            input.reset(&start);
            expected("a text, a number or null is no condition by itself: compare it")
                .parse_next(input)
        }
    }
}

#[derive(Clone, Copy)]
enum Operator {
    Compare(Comparison),
    Matches(Manner),
}

/// Of two that begin alike the longer comes first.
const SYMBOLS: [(&str, Operator); 12] = {
    use Comparison::{
        Equals, EqualsCaseInsensitive, Greater, GreaterOrEquals, Lesser, LesserOrEquals, NotEquals,
        StartsWith,
    };
    use Manner::{Glob, Path, Regex};
    use Operator::{Compare, Matches};
    [
        ("=|", Compare(StartsWith)),
        ("==", Compare(Equals)),
        ("=", Compare(Equals)),
        ("!=", Compare(NotEquals)),
        (":=", Compare(EqualsCaseInsensitive)),
        (">=", Compare(GreaterOrEquals)),
        (">", Compare(Greater)),
        ("<=", Compare(LesserOrEquals)),
        ("<", Compare(Lesser)),
        ("~~", Matches(Regex)),
        ("~/", Matches(Path)),
        ("~", Matches(Glob)),
    ]
};

const WORDS: [(&str, Operator); 15] = {
    use Comparison::{
        Equals, EqualsCaseInsensitive, Greater, GreaterOrEquals, Lesser, LesserOrEquals, NotEquals,
        StartsWith,
    };
    use Manner::{Glob, Path, Regex};
    use Operator::{Compare, Matches};
    [
        ("is", Compare(Equals)),
        ("Equals", Compare(Equals)),
        ("IsNot", Compare(NotEquals)),
        ("NotEquals", Compare(NotEquals)),
        ("EqualsCaseInsensitive", Compare(EqualsCaseInsensitive)),
        ("GreaterThan", Compare(Greater)),
        ("GreaterThanOrEquals", Compare(GreaterOrEquals)),
        ("LesserThan", Compare(Lesser)),
        ("LesserThanOrEquals", Compare(LesserOrEquals)),
        ("StartsWith", Compare(StartsWith)),
        ("Matches", Matches(Glob)),
        ("Like", Matches(Glob)),
        ("MatchesPath", Matches(Path)),
        ("LikePath", Matches(Path)),
        ("JavaRegex", Matches(Regex)),
    ]
};

fn operator(input: &mut Input<'_>) -> Parsed<Operator> {
    let symbol = |input: &mut Input<'_>| {
        let rest: &str = input.input;
        let found = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol));
        let Some((symbol, operator)) = found else {
            return Err(ErrMode::from_input(input));
        };
        symbol.value(*operator).parse_next(input)
    };
    let is_not = (keyword("is"), multispace0, keyword("not"));
    alt((
        symbol,
        is_not.value(Operator::Compare(Comparison::NotEquals)),
        word.verify_map(|word: &str| {
            let named = |(name, _): &&(&str, Operator)| name.eq_ignore_ascii_case(word);
            WORDS.iter().find(named).map(|(_, operator)| *operator)
        }),
    ))
    .parse_next(input)
}

fn operand(input: &mut Input<'_>) -> Parsed<Operand> {
    alt((
        text.map(|text| Operand::Text(text.into())),
        preceded(peek(word), named),
        expected("expected a variable, a text in double quotes, a number, true, false or null"),
    ))
    .parse_next(input)
}

fn named(input: &mut Input<'_>) -> Parsed<Operand> {
    let mut read = word.try_map(|word: &str| -> Result<Operand, Cow<'static, str>> {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        let unsigned = word.strip_prefix('-').unwrap_or(word);
        Ok(if is("true") || is("false") {
            Operand::Bool(is("true"))
        } else if is("null") {
            Operand::Null
        } else if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
            let digits = word
                .strip_suffix(['d', 'D', 'f', 'F', 'l', 'L'])
                .unwrap_or(word);
            number(digits).ok_or("this is no number")?;
            Operand::Number(digits.into())
        } else if ["and", "or", "not"].into_iter().any(is) || WORDS.iter().any(|(name, _)| is(name))
        {
            return Err("expected a value before and after an operator".into());
        } else {
            let variable = word.parse::<Variable>();
            Operand::Variable(variable.map_err(|error| error.to_string())?)
        })
    });
    read.parse_next(input).map_err(ErrMode::cut)
}

fn text(input: &mut Input<'_>) -> Parsed<String> {
    let escaped = preceded('\\', alt(('"', '\\')));
    let inside = repeat(0.., alt((escaped, none_of('"'))));
    let close = alt(('"', expected("a text has no end: expected `\"`")));
    delimited('"', inside, close).parse_next(input)
}

fn word<'a>(input: &mut Input<'a>) -> Parsed<&'a str> {
    take_while(1.., |c: char| c.is_alphanumeric() || "._-$".contains(c)).parse_next(input)
}

fn keyword<'a>(keyword: &'static str) -> impl Parser<Input<'a>, (), ErrMode<Problem>> {
    word.verify(move |word: &str| word.eq_ignore_ascii_case(keyword))
        .void()
}

fn spaced<'a, T>(
    inner: impl Parser<Input<'a>, T, ErrMode<Problem>>,
) -> impl Parser<Input<'a>, T, ErrMode<Problem>> {
    delimited(multispace0, inner, multispace0)
}

/// Whatever could still follow.
fn end(input: &mut Input<'_>) -> Parsed<()> {
    multispace0.void().parse_next(input)?;
    match opt(peek(any)).parse_next(input)? {
        None => Ok(()),
        Some(_) => expected("expected an operator, `and`, `or` or the end").parse_next(input),
    }
}
