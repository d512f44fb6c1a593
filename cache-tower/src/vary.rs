//! `Vary`: which request headers select a response, and their normalised values as a second-level key
//! (RFC 9111, section 4.1).

use bytes::{Buf, BufMut};
use http::HeaderMap;
use http::header::{
    ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use smallvec::SmallVec;

use crate::key::KeyBuf;
use crate::refusal::Refusal;
use crate::wire::{put_bytes, take_bytes};

/// The most names that are heeded.
const MAX_NAMES: usize = 16;
/// The most bytes of the selecting headers together.
const MAX_BYTES: usize = 16 * 1024;

/// The names of the request headers that select a response, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VaryNames(SmallVec<[HeaderName; 2]>);

impl VaryNames {
    /// What a response says. Empty where it is the same for every request.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut names = Self::default();
        for line in headers.get_all(VARY) {
            for name in line.as_bytes().split(|&b| b == b',') {
                let name = name.trim_ascii();
                if name.is_empty() {
                    continue;
                }
                // Not understood, so it cannot be known what selects: as `*`.
                let Ok(name) = HeaderName::from_bytes(name) else {
                    return Err(Refusal::VaryAny);
                };
                if name.as_str() == "*" {
                    return Err(Refusal::VaryAny);
                }
                names.add(name)?;
            }
        }
        Ok(names)
    }

    fn add(&mut self, name: HeaderName) -> Result<(), Refusal> {
        if let Err(at) = self
            .0
            .binary_search_by(|known| known.as_str().cmp(name.as_str()))
        {
            if self.0.len() == MAX_NAMES {
                return Err(Refusal::VaryLimit);
            }
            self.0.insert(at, name);
        }
        Ok(())
    }

    /// The names of both. Responses of one URL may name different headers; selecting by all of them
    /// is right for each.
    pub(crate) fn with(&self, other: &Self) -> Result<Self, Refusal> {
        let mut all = self.clone();
        for name in &other.0 {
            all.add(name.clone())?;
        }
        Ok(all)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of them is of the handler's choice: these are put into every response by what
    /// compresses or answers other origins.
    pub(crate) fn select_callers(&self) -> bool {
        let routine = [
            ACCEPT_ENCODING,
            ORIGIN,
            ACCESS_CONTROL_REQUEST_METHOD,
            ACCESS_CONTROL_REQUEST_HEADERS,
        ];
        self.0.iter().any(|name| !routine.contains(name))
    }

    /// Appends them, as other nodes read them.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.put_u32(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        for name in &self.0 {
            put_bytes(name.as_str().as_bytes(), to);
        }
    }

    /// Reads what was written.
    pub(crate) fn read(from: &mut &[u8]) -> Option<Self> {
        let mut names = Self::default();
        for _ in 0..from.try_get_u32().ok()? {
            names
                .add(HeaderName::from_bytes(take_bytes(from)?).ok()?)
                .ok()?;
        }
        Some(names)
    }

    /// Its bytes on the heap, about.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>()
            + self
                .0
                .iter()
                .map(|name| size_of::<HeaderName>() + name.as_str().len())
                .sum::<usize>()
    }

    /// The key of the variant that `request` selects.
    pub(crate) fn select(&self, primary: &KeyBuf, request: &HeaderMap) -> Result<KeyBuf, Refusal> {
        let mut key = primary.clone();
        key.begin_variant();
        let before = key.len();
        for name in &self.0 {
            key.part(name.as_str().as_bytes());
            write_value(&mut key, name, request);
            if key.len() - before > MAX_BYTES {
                return Err(Refusal::VaryBytes);
            }
        }
        Ok(key)
    }
}

/// Writes the value of one selecting header: absent and empty differ; several lines are one list.
fn write_value(key: &mut KeyBuf, name: &HeaderName, request: &HeaderMap) {
    let mut lines = request.get_all(name).iter();
    let Some(first) = lines.next() else {
        return key.flag(0);
    };
    key.flag(1);
    let mut joined: SmallVec<[u8; 128]> = SmallVec::from_slice(first.as_bytes().trim_ascii());
    for line in lines {
        if joined.len() > MAX_BYTES {
            break;
        }
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(line.as_bytes().trim_ascii());
    }
    let listed = *name == ACCEPT_ENCODING || *name == ACCEPT_LANGUAGE || *name == ACCEPT_CHARSET;
    if !listed || joined.contains(&b'"') || joined.len() > MAX_BYTES {
        return key.part(&joined);
    }
    let Some(list) = tight(&joined) else {
        return key.part(&joined);
    };
    let mut members: SmallVec<[&[u8]; 8]> = list
        .split(|&b| b == b',')
        .filter(|m| !m.is_empty())
        .map(without_full_weight)
        .collect();
    if *name == ACCEPT_ENCODING {
        // Their order has no meaning either (RFC 9110, section 12.5.3); that of languages may.
        members.sort_unstable();
        members.dedup();
    }
    key.part(&members.join(&b","[..]));
}

/// A list of words with weights, in lower case and without the whitespace around `,` and `;`, which
/// has no meaning. With any elsewhere it is malformed, and handlers may make of it what they like.
fn tight(list: &[u8]) -> Option<SmallVec<[u8; 128]>> {
    let mut tight: SmallVec<[u8; 128]> = SmallVec::new();
    let mut gap = false;
    for byte in list {
        let separates = |byte: &u8| matches!(byte, b',' | b';');
        if matches!(byte, b' ' | b'\t') {
            gap = true;
            continue;
        }
        if gap && !separates(byte) && tight.last().is_some_and(|last| !separates(last)) {
            return None;
        }
        gap = false;
        tight.push(byte.to_ascii_lowercase());
    }
    Some(tight)
}

/// `gzip;q=1` says what `gzip` says.
fn without_full_weight(member: &[u8]) -> &[u8] {
    [&b";q=1.000"[..], b";q=1.00", b";q=1.0", b";q=1"]
        .iter()
        .find_map(|weight| member.strip_suffix(*weight))
        .unwrap_or(member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn key(vary: &str, request: &[(&str, &str)]) -> Vec<u8> {
        let names = VaryNames::of(&headers(&[("vary", vary)])).unwrap();
        let key = names.select(&KeyBuf::new(), &headers(request)).unwrap();
        key.as_slice().to_vec()
    }

    #[test]
    fn names() {
        let of = |value| VaryNames::of(&headers(&[("vary", value)]));
        assert_eq!(of("Accept, accept ,ACCEPT").unwrap().0.len(), 1);
        assert_eq!(of("b, a"), of("a, b"));
        assert!(of("").unwrap().is_empty());
        assert_eq!(of("*"), Err(Refusal::VaryAny));
        assert_eq!(of("accept, *"), Err(Refusal::VaryAny));
        assert_eq!(of("no spaces allowed"), Err(Refusal::VaryAny));
        let many: Vec<_> = (0..20).map(|n| format!("x-{n}")).collect();
        assert_eq!(of(&many.join(",")), Err(Refusal::VaryLimit));
    }

    #[test]
    fn what_means_the_same_selects_the_same() {
        for (vary, one, other) in [
            (
                "accept-encoding",
                vec![("accept-encoding", "gzip, br")],
                vec![("accept-encoding", "BR;q=1.0,gzip")],
            ),
            (
                "accept-encoding",
                vec![("accept-encoding", "gzip, br")],
                vec![("accept-encoding", "br"), ("accept-encoding", "gzip")],
            ),
            (
                "accept-language",
                vec![("accept-language", "de, en;q=0.5")],
                vec![("accept-language", "DE\t,en ; q=0.5")],
            ),
            ("x-a", vec![("x-a", "1")], vec![("x-a", "1"), ("x-b", "2")]),
            (
                "x-a",
                vec![("x-a", "1, 2")],
                vec![("x-a", "1"), ("x-a", "2")],
            ),
        ] {
            assert_eq!(key(vary, &one), key(vary, &other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_differs_selects_another() {
        for (vary, one, other) in [
            (
                "accept-encoding",
                vec![("accept-encoding", "gzip")],
                vec![("accept-encoding", "gzip;q=0")],
            ),
            (
                "accept-language",
                vec![("accept-language", "de,en")],
                vec![("accept-language", "en,de")],
            ),
            ("x-a", vec![("x-a", "")], vec![]),
            ("x-a", vec![("x-a", "A")], vec![("x-a", "a")]),
            ("x-a, x-b", vec![("x-a", "1")], vec![("x-b", "1")]),
            (
                "accept-language",
                vec![("accept-language", "d e")],
                vec![("accept-language", "de")],
            ),
            (
                "accept-language",
                vec![("accept-language", "de;q= 0.5")],
                vec![("accept-language", "de;q=0.5")],
            ),
            (
                "accept-language",
                vec![("accept-language", "\"a, b\"")],
                vec![("accept-language", "\"a,b\"")],
            ),
        ] {
            assert_ne!(key(vary, &one), key(vary, &other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn long_values_are_refused() {
        let names = VaryNames::of(&headers(&[("vary", "x-a")])).unwrap();
        let long = "x".repeat(MAX_BYTES + 1);
        let request = headers(&[("x-a", &long)]);
        assert_eq!(
            names.select(&KeyBuf::new(), &request).err(),
            Some(Refusal::VaryBytes)
        );
    }
}
