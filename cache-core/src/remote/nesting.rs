//! How deep what is written in MessagePack nests. Reading takes stack for each level, and what is in the
//! second level must end no process: neither a value that another node made on a larger stack, nor bytes
//! that somebody put there.

use rmp::Marker;

/// The most arrays and maps in one another (as serde_json's).
const DEEPEST: usize = 128;

/// Whether the bytes nest no deeper than may be read. Bytes that are cut off, or none of this, do as far as they go.
pub(super) fn is_shallow(mut bytes: &[u8]) -> bool {
    // How many values are still to come in each of those that are open.
    let mut open = Vec::new();
    while let Some(within) = next(&mut bytes) {
        if within > 0 {
            if open.len() == DEEPEST {
                return false;
            }
            open.push(within);
            continue;
        }
        while let Some(left) = open.last_mut() {
            *left -= 1;
            if *left > 0 {
                break;
            }
            open.pop();
        }
    }
    true
}

/// Takes one value, of an array or a map the head alone; returns how many stand in it.
fn next(bytes: &mut &[u8]) -> Option<u64> {
    let marker = Marker::from_u8(take(bytes, 1)?[0]);
    let (length, within) = match marker {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
            (0, 0)
        }
        Marker::U8 | Marker::I8 => (1, 0),
        Marker::U16 | Marker::I16 => (2, 0),
        Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
        Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
        Marker::FixStr(length) => (length.into(), 0),
        Marker::Str8 | Marker::Bin8 => (number(bytes, 1)?, 0),
        Marker::Str16 | Marker::Bin16 => (number(bytes, 2)?, 0),
        Marker::Str32 | Marker::Bin32 => (number(bytes, 4)?, 0),
        // Of those that extend it the type comes before the bytes.
        Marker::FixExt1 => (1 + 1, 0),
        Marker::FixExt2 => (1 + 2, 0),
        Marker::FixExt4 => (1 + 4, 0),
        Marker::FixExt8 => (1 + 8, 0),
        Marker::FixExt16 => (1 + 16, 0),
        Marker::Ext8 => (1 + number(bytes, 1)?, 0),
        Marker::Ext16 => (1 + number(bytes, 2)?, 0),
        Marker::Ext32 => (1 + number(bytes, 4)?, 0),
        Marker::FixArray(count) => (0, count.into()),
        Marker::Array16 => (0, number(bytes, 2)?),
        Marker::Array32 => (0, number(bytes, 4)?),
        Marker::FixMap(count) => (0, 2 * u64::from(count)),
        Marker::Map16 => (0, 2 * number(bytes, 2)?),
        Marker::Map32 => (0, 2 * number(bytes, 4)?),
        Marker::Reserved => return None,
    };
    take(bytes, length)?;
    Some(within)
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &mut &[u8], length: u64) -> Option<u64> {
    let digits = take(bytes, length)?.iter();
    Some(digits.fold(0, |number, digit| number << 8 | u64::from(*digit)))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::remote::RemoteValue;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Comment {
        text: String,
        scores: (f32, i64, Option<u8>),
        replies: Vec<Comment>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Not {
        Not(Box<Not>),
        Nothing,
    }

    fn thread(comments: usize) -> Comment {
        let comment = |replies| Comment {
            text: "a text of more than thirty-one bytes".into(),
            scores: (0.5, -300, None),
            replies,
        };
        (1..comments).fold(comment(vec![]), |inner, _| comment(vec![inner]))
    }

    fn nots(nots: usize) -> Not {
        (0..nots).fold(Not::Nothing, |inner, _| Not::Not(inner.into()))
    }

    #[test]
    fn what_nests_too_deep_is_not_written() {
        let mut written = Vec::new();
        // Each comment is a map in an array, but for the first, and the scores of the last are an array.
        let most = thread(DEEPEST / 2);
        assert!(most.write(&mut written));
        assert_eq!(Comment::read(&written), Some(most));
        assert!(!thread(DEEPEST / 2 + 1).write(&mut Vec::new()));
        assert!(nots(DEEPEST).write(&mut Vec::new()));
        assert!(!nots(DEEPEST + 1).write(&mut Vec::new()));
    }

    #[test]
    fn what_nests_too_deep_is_not_read() {
        let not = [&[0x81, 0xa3][..], b"Not"].concat();
        let bytes = |nots: usize| [&not.repeat(nots)[..], &[0xa7], b"Nothing"].concat();
        assert_eq!(Not::read(&bytes(DEEPEST)), Some(nots(DEEPEST)));
        assert_eq!(Not::read(&bytes(DEEPEST + 1)), None);
        assert_eq!(Not::read(&bytes(1_000_000)), None);
        assert_eq!(Not::read(&not.repeat(1_000_000)), None);
    }

    #[test]
    fn every_value_is_as_long_as_its_writer_makes_it() {
        let texts = [0, 31, 32, 255, 256, 65_535, 65_536].map(|length| "a".repeat(length));
        let numbers = [0, 127, 128, 255, 256, 65_535, 65_536, u64::MAX];
        let signed = [-1, -32, -33, -128, -129, -32_769, i64::MIN];
        let lists = [0, 15, 16, 65_536].map(|length| vec![true; length]);
        let all = (texts, numbers, signed, lists, 0.5_f32, 0.5_f64, ());
        let written = rmp_serde::to_vec_named(&all).unwrap();
        let mut left = &written[..];
        while next(&mut left).is_some() {}
        assert!(left.is_empty());
    }
}
