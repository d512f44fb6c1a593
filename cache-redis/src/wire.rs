//! Records of the log as they stand in Redis, and back.

use std::sync::Arc;

use bytes::Bytes;
use cache_core::remote::{Logged, Position, Read, Record, Since, Token};
use data_encoding::HEXLOWER;
use redis::Value;
use serde::{Deserialize, Serialize};

/// Of this one.
const VERSION: &[u8] = b"1";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hard: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    soft: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
}

fn boxed(names: &[Arc<str>]) -> Vec<Box<str>> {
    names.iter().map(|name| Box::from(&**name)).collect()
}

pub(crate) fn hex(token: Token) -> String {
    HEXLOWER.encode(&token.0)
}

fn token(text: &[u8]) -> Option<Token> {
    let mut token = Token([0; 16]);
    (text.len() == 32).then_some(())?;
    HEXLOWER.decode_mut(text, &mut token.0).ok()?;
    Some(token)
}

/// A position's id, as commands take it.
pub(crate) fn id(position: Option<Position>) -> String {
    position.map_or_else(String::new, |at| format!("{}-{}", at.id.0, at.id.1))
}

pub(crate) fn nonce(position: Option<Position>) -> String {
    position.map_or_else(String::new, |at| hex(at.nonce))
}

/// What a record says, but for its origin and its nonce.
pub(crate) fn data(record: &Record) -> String {
    let data = Data {
        hard: boxed(&record.hard),
        soft: boxed(&record.soft),
        keys: record.keys.iter().map(|key| HEXLOWER.encode(key)).collect(),
    };
    // Text and arrays of text: there is nothing that JSON could not say.
    serde_json::to_string(&data).unwrap_or_default()
}

fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

pub(crate) fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

pub(crate) fn parsed_id(value: &Value) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(text(value)?).ok()?;
    let (major, minor) = text.split_once('-')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A record of a reply: its id and its fields, in pairs. `None` where it is no such thing.
fn logged(value: &Value) -> Option<Logged> {
    let [id, fields] = array(value)? else {
        return None;
    };
    let fields = array(fields)?;
    let field = |name: &[u8]| {
        let mut pairs = fields.chunks_exact(2);
        let pair = pairs.find(|pair| text(&pair[0]) == Some(name));
        pair.and_then(|pair| text(&pair[1]))
    };
    let nonce = field(b"n").and_then(token);
    let record = || {
        let data = field(b"d").filter(|_| field(b"v") == Some(VERSION))?;
        let data: Data = serde_json::from_slice(data).ok()?;
        let keys = data.keys.iter();
        let keys = keys.map(|key| HEXLOWER.decode(key.as_bytes()).map(Bytes::from));
        let record = Record::new(field(b"o").and_then(token)?, nonce?)
            .hard(data.hard)
            .soft(data.soft)
            .keys(keys.collect::<Result<Vec<_>, _>>().ok()?);
        Some(record)
    };
    let at = Position {
        id: parsed_id(id)?,
        nonce: nonce.unwrap_or(Token([0; 16])),
    };
    Some(Logged::new(at, record()))
}

/// What the log showed.
pub(crate) fn since(value: &Value) -> Option<Since> {
    match array(value)? {
        [Value::Int(1), Value::Int(more), records] => {
            let records = self::records(records)?;
            Some(Since::after(records, *more != 0))
        }
        [Value::Int(0), id, nonce] => Some(Since::lost(Position {
            id: parsed_id(id)?,
            nonce: token(text(nonce)?).unwrap_or(Token([0; 16])),
        })),
        _ => None,
    }
}

/// Tokens, where there are any.
pub(crate) fn tokens(value: &Value) -> Option<Vec<Option<Token>>> {
    let tokens = array(value)?
        .iter()
        .map(|value| text(value).and_then(token));
    Some(tokens.collect())
}

/// What stands in a place, and the tokens that were asked for with it.
pub(crate) fn occupied(value: Value) -> Option<Read> {
    let Value::Array(mut values) = value else {
        return None;
    };
    let tokens = values.get(1..)?.iter();
    let tokens = tokens.map(|value| text(value).and_then(token)).collect();
    let occupant = match values.swap_remove(0) {
        Value::Nil => None,
        Value::BulkString(bytes) => Some(bytes.into()),
        _ => return None,
    };
    Some(Read::new(occupant, tokens))
}

/// The records of a stream, as `XREAD` gives them; none where it waited in vain.
pub(crate) fn read(value: &Value) -> Option<Vec<Logged>> {
    let records = match value {
        Value::Nil => return Some(Vec::new()),
        // By name: a map, or pairs.
        Value::Map(streams) => &streams.first()?.1,
        Value::Array(streams) => match array(streams.first()?)? {
            [_, records] => records,
            _ => return None,
        },
        _ => return None,
    };
    self::records(records)
}

/// Records in their order, as `XREVRANGE` gives them.
pub(crate) fn records(value: &Value) -> Option<Vec<Logged>> {
    array(value)?.iter().map(logged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields = pairs
            .iter()
            .flat_map(|(name, value)| [text(name), text(value)]);
        Value::Array(vec![text("7-1"), Value::Array(fields.collect())])
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record::new(Token([1; 16]), Token([2; 16]))
            .soft(["#soft"])
            .hard(["#\"hard\"\n", "*"])
            .keys([&b"\0key"[..]]);
        let (origin, nonce, data) = (hex(record.origin), hex(record.nonce), data(&record));
        let written = [("v", "1"), ("o", &*origin), ("n", &*nonce), ("d", &*data)];
        let read = logged(&fields(&written)).unwrap();
        assert_eq!((read.at.id, read.at.nonce), ((7, 1), Token([2; 16])));
        assert_eq!(read.record, Some(record));
    }

    #[test]
    fn what_is_not_understood_is_told_apart() {
        let token = "00".repeat(16);
        let understood = [("1", "{}", true), ("1", r#"{"hard":["*"]}"#, true)];
        let not = ["no json", r#"{"paths":["/"]}"#, r#"{"keys":["xy"]}"#];
        let not = not.map(|data| ("1", data, false));
        for (version, data, is) in understood
            .into_iter()
            .chain(not)
            .chain([("2", "{}", false)])
        {
            let fields = fields(&[("v", version), ("o", &token), ("n", &token), ("d", data)]);
            assert_eq!(logged(&fields).unwrap().record.is_some(), is, "{data}");
        }
        assert_eq!(logged(&fields(&[])).unwrap().record, None);
    }
}
