//! Why a read had the outcome it had: a closed set, the same for functions, keys and responses.

use std::fmt;

macro_rules! tokens {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $token:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The token that status headers, metrics and logs show.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $token),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

tokens! {
    /// Why a value was served but not stored.
    NotStorable {
        /// The load returned an error.
        Error = "error",
        /// The load panicked.
        Panicked = "panicked",
        /// The load was dropped before it ended.
        Cancelled = "cancelled",
        /// Its lifetime is zero.
        ZeroLife = "zero-life",
        /// It names a profile that the cache does not have.
        UnknownProfile = "unknown-profile",
        /// More than 128 explicit tags, its own and those of what it called.
        TooManyTags = "too-many-tags",
        /// A tag is empty or longer than 256 characters.
        TagLength = "tag-length",
        /// A tag's placeholder had no value.
        TagPlaceholder = "tag-placeholder",
        /// Its path has more than 32 levels.
        PathLevels = "path-levels",
        /// Its key is longer than 64 KiB.
        KeyLength = "key-length",
        /// Its key has more than 16 parts.
        KeyParts = "key-parts",
        /// An argument could not be written into the key.
        KeyEncoding = "key-encoding",
        /// It weighs more than the cache holds.
        TooLarge = "too-large",
        /// A cached call inside it failed, or was given up before it ended.
        InnerFailed = "inner-failed",
        /// It invalidated something while it was made.
        Invalidated = "invalidated",
        /// So many tags were invalidated while it loaded that not all of them are remembered.
        MarksDropped = "marks-dropped",
        /// A load that was not shared: past a wait limit, in a cycle, or after a leader failed.
        Alone = "alone",
        /// It asked who [calls](crate::Caller::current), and its key does not hold that.
        Caller = "caller",
        /// It was put by code whose [caller](crate::Caller) may not drop what was there
        /// ([`guard_invalidation`](crate::CacheBuilder::guard_invalidation)).
        Permission = "permission",
        /// Its response, or what it says of it, must not be stored.
        Response = "response",
    }
}

/// The outcome of one read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A fresh value was served.
    Hit,
    /// A stale value was served: while it is refreshed, or because its load failed or took too long.
    Stale,
    /// Another node had loaded it: it was found in the second level.
    Remote,
    /// The cache was asked not to take part, or there is none.
    Bypass,
    /// Nothing was known of the key.
    NeverStored,
    /// The value's lifetime had ended.
    Expired,
    /// One of its tags was invalidated.
    Tag,
    /// Its key was removed, or it was cleared from memory.
    Removed,
    /// It was given up for lack of room.
    Evicted,
    /// Whether other nodes invalidated it could not be known for longer than the bound on that.
    Unproven,
    /// The last load was overtaken by an invalidation or a removal, and so was not stored.
    LoadRaced,
    /// The last load's value was not storable.
    NotStorable(NotStorable),
}

impl Reason {
    /// The token that status headers, metrics and logs show.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Remote => "remote",
            Self::Bypass => "bypass",
            Self::NeverStored => "never-stored",
            Self::Expired => "expired",
            Self::Tag => "tag",
            Self::Removed => "removed",
            Self::Evicted => "evicted",
            Self::Unproven => "unproven",
            Self::LoadRaced => "load-raced",
            Self::NotStorable(why) => why.as_str(),
        }
    }

    /// Whether the value came from the cache, be it another node's.
    #[must_use]
    pub const fn is_hit(self) -> bool {
        matches!(self, Self::Hit | Self::Stale | Self::Remote)
    }

    /// Whether the value had to be loaded.
    #[must_use]
    pub const fn is_miss(self) -> bool {
        !self.is_hit() && !matches!(self, Self::Bypass)
    }

    const PLAIN: [Self; 11] = [
        Self::Hit,
        Self::Stale,
        Self::Remote,
        Self::Bypass,
        Self::NeverStored,
        Self::Expired,
        Self::Tag,
        Self::Removed,
        Self::Evicted,
        Self::LoadRaced,
        Self::Unproven,
    ];

    /// How many there are.
    pub(crate) const COUNT: usize = Self::PLAIN.len() + NotStorable::ALL.len();

    /// A number below [`COUNT`](Self::COUNT).
    pub(crate) fn index(self) -> usize {
        match self {
            Self::NotStorable(why) => Self::PLAIN.len() + why as usize,
            plain => Self::PLAIN.iter().position(|&p| p == plain).unwrap_or(0),
        }
    }

    pub(crate) fn from_index(index: usize) -> Option<Self> {
        Self::PLAIN.get(index).copied().or_else(|| {
            let why = NotStorable::ALL.get(index.checked_sub(Self::PLAIN.len())?)?;
            Some(Self::NotStorable(*why))
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
