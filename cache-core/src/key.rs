//! Keys: what a cached value is stored under, compared whole.
//!
//! A key is a space (a function, a scope, HTTP) and bytes in a canonical encoding ([`encode`]); its
//! hash is only an index. A look-up borrows: the bytes are written on the stack, and nothing is
//! allocated unless a load begins.

pub(crate) mod encode;
mod path;
mod serialize;

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;
use moka::Equivalent;
use smallvec::SmallVec;

pub use encode::{CacheKey, KeyWriter};
pub(crate) use path::beginnings;
pub use path::{KeyPath, MAX_KEY_PARTS};
pub(crate) use serialize::Failed;

use crate::reason::NotStorable;
use crate::tag::TagName;

/// Seeded once per process: a hash is an index and leaves the process nowhere.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// The most bytes in a key.
pub const MAX_KEY_BYTES: usize = 64 * 1024;

/// A cached function, as its macro describes it: one static each, so its address is its identity in
/// this process, and its path and version are its identity elsewhere.
#[derive(Debug)]
pub struct Function {
    name: &'static str,
    version: &'static str,
    path: Option<fn() -> &'static str>,
}

impl Function {
    /// Describes the function `name`, with the module that it is in.
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            path: None,
        }
    }

    /// Tells it from those of the same name in the bodies of other functions: `T` stands beside it.
    #[must_use]
    pub const fn beside<T: ?Sized>(mut self) -> Self {
        self.path = Some(std::any::type_name::<T>);
        self
    }

    /// What people know it by, and what its tag is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What other processes know it by.
    pub(crate) fn path(&self) -> &'static str {
        self.path.map_or(self.name, |path| path())
    }

    /// What its values are versioned by.
    #[must_use]
    pub const fn version(&self) -> &'static str {
        self.version
    }
}

/// Whose key it is: keys of two spaces never meet.
#[derive(Clone, Debug)]
pub(crate) enum Space {
    Function(&'static Function),
    /// Behind a thin pointer: the size of a key is felt in every hit.
    Scope(Arc<ScopePath>),
    Http,
}

impl PartialEq for Space {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Function(a), Self::Function(b)) => std::ptr::eq(*a, *b),
            (Self::Scope(a), Self::Scope(b)) => a.path == b.path,
            (Self::Http, Self::Http) => true,
            _ => false,
        }
    }
}

impl Eq for Space {}

impl Hash for Space {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Function(function) => state.write_usize(std::ptr::from_ref(*function).addr()),
            Self::Scope(scope) => state.write(scope.path.as_bytes()),
            Self::Http => state.write_u8(1),
        }
    }
}

impl Space {
    /// The tags of all that is in it, but for the one of everything.
    pub(crate) fn tags(&self) -> Vec<TagName> {
        match self {
            Self::Function(function) => vec![TagName::function(function.name())],
            Self::Scope(scope) => scope.tags().collect(),
            Self::Http => Vec::new(),
        }
    }

    /// What people call it, in events, errors and explanations.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Function(function) => function.name(),
            Self::Scope(scope) => scope.shown(),
            Self::Http => "http",
        }
    }
}

/// The scope of manual keys: the cache itself, or a scope in a scope in it.
#[derive(Debug, Default)]
pub(crate) struct ScopePath {
    /// Each name after its length, so that no two are alike; empty for the cache itself.
    path: String,
    /// The names, for people.
    shown: String,
    outer: Option<Arc<ScopePath>>,
}

/// The names in a path of scopes, as people are shown them.
pub(crate) fn scope_names(mut path: &str) -> String {
    let mut names = Vec::new();
    while let Some((length, rest)) = path.split_once(':') {
        let Some((name, rest)) = length.parse().ok().and_then(|at| rest.split_at_checked(at))
        else {
            break;
        };
        names.push(name);
        path = rest;
    }
    names.join("/")
}

impl ScopePath {
    /// The scope `name` within `outer`.
    pub(crate) fn within(outer: &Arc<Self>, name: &str) -> Arc<Self> {
        let separator = if outer.shown.is_empty() { "" } else { "/" };
        Arc::new(Self {
            path: format!("{}{}:{name}", outer.path, name.len()),
            shown: format!("{}{separator}{name}", outer.shown),
            outer: Some(Arc::clone(outer)),
        })
    }

    /// The scope of this path, to find what is stored in it: it knows none around it.
    pub(crate) fn of(path: &str) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            shown: scope_names(path),
            outer: None,
        })
    }

    /// Each name after its length.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn shown(&self) -> &str {
        if self.path.is_empty() {
            "cache"
        } else {
            &self.shown
        }
    }

    /// The tag of everything in this scope; none for the cache itself, whose tag all carry.
    pub(crate) fn tag(&self) -> Option<TagName> {
        self.outer.as_ref().map(|_| TagName::scope(&self.path))
    }

    /// The tags of this scope and of those around it.
    pub(crate) fn tags(&self) -> impl Iterator<Item = TagName> {
        std::iter::successors(Some(self), |scope| scope.outer.as_deref()).filter_map(Self::tag)
    }
}

/// The bytes of a key while it is written: on the stack up to 64 bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyBytes {
    pub(crate) bytes: Buffer,
    pub(crate) flaw: Option<NotStorable>,
}

/// Bytes that are appended to; of the few that nearly all keys have, without a call.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    inline: [u8; Self::INLINE],
    /// How many there are; more than fit means that all are in `spilled`.
    length: usize,
    spilled: Vec<u8>,
}

impl Default for Buffer {
    #[inline]
    fn default() -> Self {
        Self {
            inline: [0; Self::INLINE],
            length: 0,
            spilled: Vec::new(),
        }
    }
}

impl Buffer {
    const INLINE: usize = 64;

    #[inline]
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.inline.get_mut(self.length..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.length = end;
            }
            None => self.spill(bytes),
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if let Some(inline) = self.inline.get(..self.length) {
            self.spilled.extend_from_slice(inline);
            self.length = Self::INLINE + 1;
        }
        self.spilled.extend_from_slice(bytes);
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.inline.get(..self.length).unwrap_or(&self.spilled)
    }
}

/// Short ones by words that do not overlap, as they were written.
#[inline]
fn hash_bytes(bytes: &[u8], state: &mut impl Hasher) {
    if bytes.len() > 16 {
        return state.write(bytes);
    }
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        state.write_u64(word.try_into().map_or(0, u64::from_le_bytes));
    }
    let rest = words.remainder().iter().rev();
    let last = rest.fold(bytes.len() as u64, |last, byte| {
        last << 8 | u64::from(*byte)
    });
    state.write_u64(last);
}

/// A key of which the hash is known, owned by nobody yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyRef<'a> {
    hash: u64,
    pub(crate) space: &'a Space,
    bytes: &'a [u8],
}

impl<'a> KeyRef<'a> {
    #[inline]
    pub(crate) fn new(space: &'a Space, bytes: &'a [u8]) -> Self {
        let mut state = HASHER.build_hasher();
        space.hash(&mut state);
        hash_bytes(bytes, &mut state);
        Self {
            hash: state.finish(),
            space,
            bytes,
        }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) const fn space(&self) -> &Space {
        self.space
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        self.bytes
    }

    pub(crate) fn to_key(self) -> Key {
        Key {
            hash: self.hash,
            space: self.space.clone(),
            bytes: SmallVec::from_slice(self.bytes),
        }
    }
}

/// The key of a cached value: what [`Cache::explain`](crate::Cache::explain) takes, and what the
/// macro's `key(..)` companion returns.
///
/// Its `Display` shows whose it is and the readable part of its arguments.
#[derive(Clone)]
pub struct Key {
    hash: u64,
    space: Space,
    bytes: SmallVec<[u8; 16]>,
}

impl Key {
    pub(crate) fn as_ref(&self) -> KeyRef<'_> {
        KeyRef {
            hash: self.hash,
            space: &self.space,
            bytes: &self.bytes,
        }
    }

    pub(crate) const fn space(&self) -> &Space {
        &self.space
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Its bytes on the heap and in the map.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>()
            + if self.bytes.spilled() {
                self.bytes.len()
            } else {
                0
            }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.space == other.space && self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for KeyRef<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    #[inline]
    fn equivalent(&self, key: &Key) -> bool {
        self.hash == key.hash && *self.space == key.space && *self.bytes == *key.bytes
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.space.name())?;
        encode::show(&self.bytes, f)?;
        f.write_str(")")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes of a key argument.
#[inline]
pub(crate) fn encoded(key: &(impl CacheKey + ?Sized)) -> KeyBytes {
    let mut bytes = KeyBytes::default();
    key.encode(&mut KeyWriter(&mut bytes));
    bytes
}

mod sealed {
    use super::{CacheKey, Key, KeyRef, NotStorable, Space, encoded};

    pub trait ToKey {
        #[expect(private_interfaces, reason = "nobody outside can name this trait")]
        fn to_key(&self, space: &Space) -> Result<Key, NotStorable>;
    }

    impl<K: CacheKey> ToKey for K {
        #[expect(private_interfaces, reason = "nobody outside can name this trait")]
        fn to_key(&self, space: &Space) -> Result<Key, NotStorable> {
            let bytes = encoded(self);
            bytes
                .flaw
                .map_or_else(|| Ok(KeyRef::new(space, &bytes.bytes).to_key()), Err)
        }
    }

    impl ToKey for Key {
        #[expect(private_interfaces, reason = "nobody outside can name this trait")]
        fn to_key(&self, _: &Space) -> Result<Key, NotStorable> {
            Ok(self.clone())
        }
    }

    impl ToKey for &Key {
        #[expect(private_interfaces, reason = "nobody outside can name this trait")]
        fn to_key(&self, _: &Space) -> Result<Key, NotStorable> {
            Ok((*self).clone())
        }
    }
}

/// A key of the cache at hand, or a [`Key`] that names its function itself (`multiply::key(6, 7)`).
pub trait IntoKey: sealed::ToKey {}
impl<K: sealed::ToKey> IntoKey for K {}

/// Hands a [`Key`]'s own hash to a map, so that each key is hashed once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.is_empty(), "keys hash as one u64");
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Builds [`Hashed`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BuildHashed;

impl BuildHasher for BuildHashed {
    type Hasher = Hashed;

    #[inline]
    fn build_hasher(&self) -> Hashed {
        Hashed(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys whose hashes are made to meet.
    fn met(space: &Space, bytes: &'static [u8]) -> (Key, Key) {
        let mut one = KeyRef::new(space, bytes).to_key();
        let mut other = one.clone();
        one.hash = 7;
        other.hash = 7;
        (one, other)
    }

    #[test]
    fn a_hash_is_never_the_identity() {
        let scope = Space::Scope(Arc::default());
        let (http, same) = met(&Space::Http, b"key");
        let (in_scope, _) = met(&scope, b"key");
        let (longer, _) = met(&Space::Http, b"keys");
        assert!(http.as_ref().equivalent(&same) && http == same);
        for other in [in_scope, longer] {
            assert!(!http.as_ref().equivalent(&other), "{http} and {other}");
            assert_ne!(http, other);
        }
    }
}
