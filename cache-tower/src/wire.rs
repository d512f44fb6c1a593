//! How responses are written for other nodes: lengths first, headers and bodies as the bytes they are.
//! Nothing is taken from what is read but copies, and nothing is believed of it: whatever is none of this
//! is `None`.

use std::time::Duration;

use bytes::{Buf, BufMut};
use cache_core::Life;
use cache_core::spi::{life_of_parts, life_parts};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The first byte. What was written in another way is not read.
pub(crate) const VERSION: u8 = 1;
/// The most fields of a head: a table of headers ends its process where it is to hold more than some 24,000.
const MOST_FIELDS: u32 = 10_000;

pub(crate) fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    // No part is as long as that; were one, it would not be read.
    to.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    to.put_slice(bytes);
}

pub(crate) fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = from.try_get_u32().ok()?.try_into().ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

pub(crate) fn take_text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(from)?).ok()
}

pub(crate) fn take_flag(from: &mut &[u8]) -> Option<bool> {
    match from.try_get_u8().ok()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

pub(crate) fn put_duration(duration: Duration, to: &mut Vec<u8>) {
    to.put_u64(duration.as_secs());
    to.put_u32(duration.subsec_nanos());
}

pub(crate) fn take_duration(from: &mut &[u8]) -> Option<Duration> {
    let (seconds, nanos) = (from.try_get_u64().ok()?, from.try_get_u32().ok()?);
    (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
}

pub(crate) fn put_life(life: &Life, to: &mut Vec<u8>) {
    for part in life_parts(life) {
        to.put_u8(part.is_some().into());
        if let Some(part) = part {
            put_duration(part, to);
        }
    }
}

pub(crate) fn take_life(from: &mut &[u8]) -> Option<Life> {
    let mut parts = [None; 6];
    for part in &mut parts {
        if take_flag(from)? {
            *part = Some(take_duration(from)?);
        }
    }
    Some(life_of_parts(parts))
}

/// Writes a status and the fields of whose names `wanted` says so; `false` where they are too many.
pub(crate) fn put_head(
    status: StatusCode,
    headers: &HeaderMap,
    wanted: impl Fn(&HeaderName) -> bool,
    to: &mut Vec<u8>,
) -> bool {
    let fields = || headers.iter().filter(|(name, _)| wanted(name));
    let count = u32::try_from(fields().count()).unwrap_or(u32::MAX);
    to.put_u16(status.as_u16());
    to.put_u32(count);
    for (name, value) in fields() {
        put_bytes(name.as_str().as_bytes(), to);
        to.put_u8(value.is_sensitive().into());
        put_bytes(value.as_bytes(), to);
    }
    count <= MOST_FIELDS
}

pub(crate) fn take_head(from: &mut &[u8]) -> Option<(StatusCode, HeaderMap)> {
    let status = StatusCode::from_u16(from.try_get_u16().ok()?).ok()?;
    let mut headers = HeaderMap::new();
    let count = from.try_get_u32().ok()?;
    if count > MOST_FIELDS {
        return None;
    }
    for _ in 0..count {
        let name = HeaderName::from_bytes(take_bytes(from)?).ok()?;
        let sensitive = take_flag(from)?;
        let mut value = HeaderValue::from_bytes(take_bytes(from)?).ok()?;
        value.set_sensitive(sensitive);
        headers.try_append(name, value).ok()?;
    }
    Some((status, headers))
}
