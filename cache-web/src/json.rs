//! JSON as the wire: arguments by position or by name, each read from its own piece of the text, so
//! that what is wrong is told by the argument's name and numbers keep all their digits.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use cache_core::spi::web::{Decode, Encode, Failure, Wire};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::refusal::Refusal;

/// The wire of web methods: JSON.
#[derive(Debug)]
pub enum Json {}

/// The arguments of one call, by their places.
pub struct Arguments {
    names: &'static [&'static str],
    given: Vec<Option<Box<RawValue>>>,
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arguments")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Arguments {
    /// Reads an array of arguments by position or an object of them by name; nothing is none.
    pub(crate) fn read(text: &[u8], names: &'static [&'static str]) -> Result<Self, Refusal> {
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
        let given = match first {
            None => Vec::new(),
            Some(b'[') => by_position(parsed(text)?, names)?,
            Some(b'{') => by_name(parsed(text)?, names)?,
            Some(_) => {
                return Err(malformed(
                    "the arguments are a JSON array, by position, or a JSON object, by name",
                ));
            }
        };
        Ok(Self { names, given })
    }
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new(
        http::StatusCode::BAD_REQUEST,
        "invalid_json",
        message.into(),
    )
}

/// The values lie in the text as long as they may be more than are wanted.
fn parsed<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(text).map_err(|error| {
        malformed(format!("the arguments are no JSON{}", At(&error))).because(&error)
    })
}

/// Where in a text an error was found, if anywhere. What it says itself is for the log: it names the
/// fields and variants of types, which the caller need not know of.
struct At<'a>(&'a serde_json::Error);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.line(), self.0.column()) {
            (0, _) => Ok(()),
            (line, column) => write!(f, ", at line {line}, column {column}"),
        }
    }
}

fn by_position(
    given: Vec<&RawValue>,
    names: &'static [&'static str],
) -> Result<Vec<Option<Box<RawValue>>>, Refusal> {
    if given.len() > names.len() {
        return Err(Refusal::argument(format!(
            "{} arguments are given, and the web method takes {}: {}",
            given.len(),
            names.len(),
            listed(names)
        )));
    }
    Ok(given
        .into_iter()
        .map(|value| Some(value.to_owned()))
        .collect())
}

fn by_name(
    mut given: BTreeMap<String, &RawValue>,
    names: &'static [&'static str],
) -> Result<Vec<Option<Box<RawValue>>>, Refusal> {
    let placed = names
        .iter()
        .map(|name| given.remove(*name).map(ToOwned::to_owned))
        .collect();
    match given.keys().next() {
        None => Ok(placed),
        Some(unknown) => {
            let unknown: String = unknown.chars().take(64).collect();
            Err(Refusal::argument(format!(
                "there is no argument `{unknown}`; the web method takes {}",
                listed(names)
            )))
        }
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

impl Wire for Json {
    type Arguments = Arguments;
    type Value = Bytes;
    type Error = Refusal;

    fn failed(failure: Failure) -> Refusal {
        Refusal::failed(failure)
    }
}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> Decode<T> for Json {
    fn decode(arguments: &Arguments, at: usize) -> Result<T, Refusal> {
        let name = arguments.names[at];
        let given = arguments.given.get(at).and_then(Option::as_ref);
        // What is missing is `null`, which an `Option` takes.
        let text = given.map_or("null", |given| given.get());
        serde_json::from_str(text).map_err(|error| match given {
            None => Refusal::argument(format!("the argument `{name}` is missing")),
            Some(_) => Refusal::argument(format!(
                "the argument `{name}` is not what the web method takes{}",
                At(&error)
            ))
            .because(&error),
        })
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize> Encode<T> for Json {
    fn encode(value: T) -> Result<Bytes, Refusal> {
        serde_json::to_vec(&value)
            .map(Bytes::from)
            .map_err(|error| {
                Refusal::internal(Some(format!(
                    "its value cannot be written as JSON: {error}"
                )))
            })
    }
}
