//! The canonical encoding of key arguments: the same bytes for equal values on every build and
//! machine, and never the same bytes for different ones, because each value says its kind and length.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;

use super::serialize::{Canonical, Failed};
use super::{KeyBytes, MAX_KEY_BYTES};
use crate::reason::NotStorable;

// Kinds. A number is written by its value, whatever its type's width, so that `get(7)` finds what
// was put under an id of type `u64`.
pub(super) const POSITIVE: u8 = 0x01;
pub(super) const NEGATIVE: u8 = 0x02;
pub(super) const WIDE: u8 = 0x03;
pub(super) const FLOAT: u8 = 0x04;
pub(super) const BOOL: u8 = 0x05;
pub(super) const CHAR: u8 = 0x06;
pub(super) const UNIT: u8 = 0x07;
pub(super) const NONE: u8 = 0x08;
pub(super) const SOME: u8 = 0x09;
pub(super) const TEXT: u8 = 0x10;
pub(super) const BYTES: u8 = 0x11;
const TYPE: u8 = 0x12;
pub(super) const SEQUENCE: u8 = 0x20;
pub(super) const MAP: u8 = 0x21;
const SET: u8 = 0x23;
pub(super) const VARIANT: u8 = 0x22;
pub(super) const PATH: u8 = 0x24;

/// A value that can be part of a key.
///
/// Numbers, text, tuples, arrays, slices, vectors, options, maps and sets have it; types of your own derive it
/// (`#[derive(CacheKey)]`) or write their parts by hand:
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::{CacheKey, KeyWriter};
///
/// struct Page { number: u32, filter: String }
///
/// impl CacheKey for Page {
///     fn encode(&self, key: &mut KeyWriter<'_>) {
///         self.number.encode(key);
///         self.filter.encode(key);
///     }
/// }
/// ```
///
/// Equal values must write the same bytes, different ones must not, and no value's bytes may be the
/// beginning of another's: the writer's own methods see to that.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written into a cache key",
    note = "derive it: `#[derive(CacheKey)]`"
)]
pub trait CacheKey {
    /// Writes the value.
    fn encode(&self, key: &mut KeyWriter<'_>);
}

/// Writes the bytes of a key. Past 64 KiB the call is made without the cache.
#[derive(Debug)]
pub struct KeyWriter<'a>(pub(crate) &'a mut KeyBytes);

impl KeyWriter<'_> {
    #[inline]
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        if self.0.bytes.len() + bytes.len() > MAX_KEY_BYTES {
            self.0.flaw = Some(NotStorable::KeyLength);
        } else {
            self.0.bytes.extend_from_slice(bytes);
        }
    }

    #[inline]
    pub(super) fn sized(&mut self, kind: u8, length: usize) {
        let mut head = [kind; 9];
        head[1..].copy_from_slice(&(length as u64).to_le_bytes());
        self.raw(&head);
    }

    /// Writes text.
    #[inline]
    pub fn text(&mut self, text: &str) {
        self.sized(TEXT, text.len());
        self.raw(text.as_bytes());
    }

    /// Writes bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.sized(BYTES, bytes.len());
        self.raw(bytes);
    }

    /// Begins a sequence of `length` values, which are to be written next.
    #[inline]
    pub fn sequence(&mut self, length: usize) {
        self.sized(SEQUENCE, length);
    }

    /// Writes what has no order of its own, sorted by its bytes.
    pub(super) fn sorted(&mut self, kind: u8, mut parts: Vec<KeyBytes>) {
        parts.sort_unstable_by(|a, b| a.bytes.cmp(&b.bytes));
        self.sized(kind, parts.len());
        for part in parts {
            self.raw(&part.bytes);
        }
    }

    fn each_sorted<T>(
        &mut self,
        kind: u8,
        values: impl IntoIterator<Item = T>,
        write: impl Fn(T, &mut KeyWriter<'_>),
    ) {
        let (mut parts, mut size) = (Vec::new(), 0);
        for value in values {
            let mut part = KeyBytes::default();
            write(value, &mut KeyWriter(&mut part));
            size += part.bytes.len();
            if size > MAX_KEY_BYTES {
                part.flaw = Some(NotStorable::KeyLength);
            }
            if let Some(why) = part.flaw {
                self.0.flaw.get_or_insert(why);
                return;
            }
            parts.push(part);
        }
        self.sorted(kind, parts);
    }

    /// Writes a set of serialisable values: to `Serialize` it would be a sequence in any order.
    pub(crate) fn serialize_set<T: Serialize>(&mut self, values: impl IntoIterator<Item = T>) {
        self.each_sorted(SET, values, |value, key| key.serialize(&value));
    }

    /// Begins the variant `name` of an enumeration; its fields are to be written next.
    pub fn variant(&mut self, index: u32, name: &str) {
        self.sized(VARIANT, index as usize);
        self.text(name);
    }

    /// Writes a type. Its name is its identity elsewhere, and not enough here: two blocks of one function
    /// may each have a type of that name. Lifetimes are no part of it.
    #[inline]
    pub(crate) fn type_argument<T: ?Sized>(&mut self) {
        let mut here = TypeHash(0);
        typeid::of::<T>().hash(&mut here);
        self.raw(&[TYPE]);
        self.raw(&here.finish().to_le_bytes());
        self.text(std::any::type_name::<T>());
    }

    /// Writes any serialisable value: structures and maps by name, maps sorted by key.
    ///
    /// A value whose `Serialize` fails makes the call go without the cache.
    pub fn serialize<T: Serialize + ?Sized>(&mut self, value: &T) {
        if let Err(Failed(why)) = value.serialize(Canonical::new(self)) {
            self.0.flaw.get_or_insert(why);
        }
    }
}

/// Takes out of a `TypeId` what it hashes as: a part of it, which is a good hash already.
struct TypeHash(u64);

impl Hasher for TypeHash {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(9) ^ word;
    }
}

/// Written as a word and a byte, as a hash of it reads it back: a read across two writes would wait
/// for both.
#[inline]
fn number(key: &mut KeyWriter<'_>, kind: u8, value: u64) {
    let mut whole = [0; 9];
    whole[..8].copy_from_slice(&(u64::from(kind) | value << 8).to_le_bytes());
    whole[8] = (value >> 56) as u8;
    key.raw(&whole);
}

macro_rules! integers {
    ($($int:ty as $wide:ty),+) => { $(impl CacheKey for $int {
        #[inline]
        fn encode(&self, key: &mut KeyWriter<'_>) {
            <$wide>::from(*self).encode(key);
        }
    })+ };
}
integers!(
    u8 as u64, u16 as u64, u32 as u64, i8 as i64, i16 as i64, i32 as i64
);

impl CacheKey for u64 {
    #[inline]
    fn encode(&self, key: &mut KeyWriter<'_>) {
        number(key, POSITIVE, *self);
    }
}

impl CacheKey for i64 {
    #[inline]
    fn encode(&self, key: &mut KeyWriter<'_>) {
        let kind = if *self < 0 { NEGATIVE } else { POSITIVE };
        number(key, kind, self.cast_unsigned());
    }
}

impl CacheKey for usize {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        (*self as u64).encode(key);
    }
}

impl CacheKey for isize {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        (*self as i64).encode(key);
    }
}

impl CacheKey for u128 {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        match u64::try_from(*self) {
            Ok(small) => small.encode(key),
            Err(_) => {
                key.raw(&[WIDE, 0]);
                key.raw(&self.to_le_bytes());
            }
        }
    }
}

impl CacheKey for i128 {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        if let Ok(small) = i64::try_from(*self) {
            small.encode(key);
        } else if let Ok(positive) = u128::try_from(*self) {
            positive.encode(key);
        } else {
            key.raw(&[WIDE, 1]);
            key.raw(&self.to_le_bytes());
        }
    }
}

impl CacheKey for bool {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.raw(&[BOOL, u8::from(*self)]);
    }
}

impl CacheKey for char {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.raw(&[CHAR]);
        key.raw(&u32::from(*self).to_le_bytes());
    }
}

impl CacheKey for str {
    #[inline]
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.text(self);
    }
}

impl CacheKey for String {
    #[inline]
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.text(self);
    }
}

impl CacheKey for () {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.raw(&[UNIT]);
    }
}

impl<T: CacheKey> CacheKey for Option<T> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        match self {
            None => key.raw(&[NONE]),
            Some(value) => {
                key.raw(&[SOME]);
                value.encode(key);
            }
        }
    }
}

impl<T: CacheKey> CacheKey for [T] {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.sequence(self.len());
        for value in self {
            value.encode(key);
        }
    }
}

impl<T: CacheKey, const N: usize> CacheKey for [T; N] {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        self.as_slice().encode(key);
    }
}

impl<T: CacheKey> CacheKey for Vec<T> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        self.as_slice().encode(key);
    }
}

macro_rules! sets {
    ($([$($hasher:ident)?] $set:ty),+) => { $(impl<T: CacheKey $(, $hasher)?> CacheKey for $set {
        fn encode(&self, key: &mut KeyWriter<'_>) {
            key.each_sorted(SET, self, |value, key| value.encode(key));
        }
    })+ };
}
sets!([S] HashSet<T, S>, [] BTreeSet<T>);

macro_rules! maps {
    ($([$($hasher:ident)?] $map:ty),+) => { $(impl<K: CacheKey, V: CacheKey $(, $hasher)?> CacheKey for $map {
        fn encode(&self, key: &mut KeyWriter<'_>) {
            key.each_sorted(MAP, self, |(name, value), key| {
                name.encode(key);
                value.encode(key);
            });
        }
    })+ };
}
maps!([S] HashMap<K, V, S>, [] BTreeMap<K, V>);

macro_rules! pointers {
    ($([$($life:lifetime)?] $pointer:ty),+) => { $(impl<$($life,)? T: CacheKey + ?Sized> CacheKey for $pointer {
        #[inline]
        fn encode(&self, key: &mut KeyWriter<'_>) {
            (**self).encode(key);
        }
    })+ };
}
pointers!(['a] &'a T, ['a] &'a mut T, [] Box<T>, [] Arc<T>, [] Rc<T>);

impl<T: CacheKey + ToOwned + ?Sized> CacheKey for Cow<'_, T> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        (**self).encode(key);
    }
}

macro_rules! tuples {
    ($($count:literal: $($name:ident)+;)+) => { $(
        impl<$($name: CacheKey),+> CacheKey for ($($name,)+) {
            fn encode(&self, key: &mut KeyWriter<'_>) {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                key.sequence($count);
                $($name.encode(key);)+
            }
        }
    )+ };
}
tuples! {
    1: A; 2: A B; 3: A B C; 4: A B C D; 5: A B C D E; 6: A B C D E F; 7: A B C D E F G; 8: A B C D E F G H;
}

/// Shows the texts and small numbers of encoded bytes, for people: `7, "blue"`.
pub(super) fn show(mut bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const SHOWN: usize = 256;
    let mut separator = "";
    let mut shown = 0;
    while let Some((&kind, rest)) = bytes.split_first() {
        if shown > SHOWN {
            return write!(f, "{separator}..");
        }
        let number = rest
            .first_chunk::<8>()
            .map_or(0, |n| u64::from_le_bytes(*n));
        let after = |n: usize| rest.get(n..).unwrap_or_default();
        match kind {
            POSITIVE => write!(f, "{separator}{number}")?,
            NEGATIVE => write!(f, "{separator}{}", number.cast_signed())?,
            TEXT => {
                let length = usize::try_from(number).unwrap_or(usize::MAX);
                let text = after(8).get(..length).unwrap_or_default();
                let text = String::from_utf8_lossy(text);
                let cut: String = text.chars().take(SHOWN).collect();
                write!(f, "{separator}{cut:?}")?;
                bytes = after(8).get(length..).unwrap_or_default();
                shown += cut.len();
                separator = ", ";
                continue;
            }
            BOOL => write!(f, "{separator}{}", rest.first() == Some(&1))?,
            NONE => write!(f, "{separator}None")?,
            SEQUENCE | SOME | UNIT | MAP | SET | VARIANT | TYPE | PATH | BYTES => {}
            _ => return write!(f, "{separator}.. {} bytes", bytes.len()),
        }
        let (skip, spaced) = match kind {
            POSITIVE | NEGATIVE => (8, true),
            SEQUENCE | VARIANT | MAP | SET | TYPE | PATH => (8, false),
            BOOL => (1, true),
            NONE => (0, true),
            _ => (0, false),
        };
        if spaced {
            separator = ", ";
            shown += 8;
        }
        bytes = after(skip);
    }
    Ok(())
}
