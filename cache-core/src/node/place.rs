//! What an entry of the second level is named by: the version, the space and the key's bytes.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use bytes::{BufMut, Bytes, BytesMut};

use super::Node;
use crate::key::{Key, KeyRef, ScopePath, Space};
use crate::remote::Token;
use crate::sync::lock;

const FUNCTION: u8 = b'f';
const SCOPE: u8 = b's';
const HTTP: u8 = b'h';

fn push(name: &mut BytesMut, part: &str) {
    // No part is as long as that; were one, no other name would begin alike.
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    name.put_u32(length);
    name.put_slice(part.as_bytes());
}

fn take<'a>(name: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = name.split_first_chunk()?;
    let length = u32::from_be_bytes(*length).try_into().ok()?;
    let (part, rest) = rest.split_at_checked(length)?;
    *name = rest;
    std::str::from_utf8(part).ok()
}

impl Node {
    /// The name of a key's place.
    pub(crate) fn place(&self, key: &KeyRef<'_>) -> Bytes {
        let mut name = BytesMut::with_capacity(128);
        push(&mut name, &self.version);
        match key.space() {
            Space::Function(function) => {
                name.put_u8(FUNCTION);
                push(&mut name, function.path());
                push(&mut name, function.version());
            }
            Space::Scope(scope) => {
                name.put_u8(SCOPE);
                push(&mut name, scope.path());
            }
            Space::Http => name.put_u8(HTTP),
        }
        name.put_slice(key.bytes());
        name.freeze()
    }

    /// The key of a place, where it may be one of this process: of this version, and if it is a
    /// function's, of one that was called here.
    pub(super) fn key_of(&self, mut place: &[u8]) -> Option<Key> {
        let place = &mut place;
        if take(place)? != &*self.version {
            return None;
        }
        let (kind, bytes) = place.split_first()?;
        *place = bytes;
        let space = match *kind {
            FUNCTION => {
                let function = (take(place)?, take(place)?);
                Space::Function(lock(&self.functions).get(&function)?)
            }
            SCOPE => Space::Scope(ScopePath::of(take(place)?)),
            HTTP => Space::Http,
            _ => return None,
        };
        Some(KeyRef::new(&space, place).to_key())
    }
}

/// What names this very build, so that two builds read nothing of each other's.
pub(crate) fn build_identity() -> Arc<str> {
    static IDENTITY: LazyLock<Arc<str>> = LazyLock::new(|| match digest() {
        Ok(digest) => format!("build-{digest:032x}").into(),
        // Nobody else's, then.
        Err(_) => format!("process-{}", Token::random()).into(),
    });
    Arc::clone(&IDENTITY)
}

/// The file that this code is in: behind a loader, or in a library that another program uses, it is not what
/// was started.
fn own_file() -> std::io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    if let Some(file) = mapped_at(build_identity as fn() -> Arc<str> as usize) {
        return Ok(file);
    }
    std::env::current_exe()
}

#[cfg(target_os = "linux")]
fn mapped_at(address: usize) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let number = |digits| usize::from_str_radix(digits, 16).ok();
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let within = (number(from)?..number(to)?).contains(&address);
        let path = rest.find('/').filter(|_| within)?;
        Some(rest[path..].into())
    })
}

fn digest() -> std::io::Result<u128> {
    let mut file = std::fs::File::open(own_file()?)?;
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.digest128()),
            read => hasher.update(&chunk[..read]),
        }
    }
}
