//! What an entry of the second level looks like: its id, its tags with their tokens, its times, a
//! checksum, and the value as its codec wrote it. What cannot be opened is a miss, never an error.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::Token;

/// The first byte after the id. Others are of releases that are not this one's.
const VERSION: u8 = 1;
/// The id, the version and the checksum.
const HEAD: usize = 16 + 1 + 8;

/// An entry as it is written. Times are milliseconds of Unix time: they decide on lifetimes alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope<'a> {
    /// The key, whole: its place's name may be no more than a digest of it.
    pub(crate) key: &'a [u8],
    /// Of which [type](type_of) the value is: the bytes of one may read as another's.
    pub(crate) of: u64,
    /// Names, and the tokens they had.
    #[serde(borrow)]
    pub(crate) tags: Vec<(&'a str, [u8; 16])>,
    /// When the oldest load in it began.
    pub(crate) filled_at: u64,
    pub(crate) fresh_until: u64,
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: u64,
    pub(crate) kept_stale: u64,
    pub(crate) refresh_ahead: u64,
    pub(crate) by_caller: bool,
    /// How the value is packed.
    pub(crate) packing: u8,
    pub(crate) value: &'a [u8],
}

/// An occupant of a place.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A load runs that left it, or the key is being removed.
    Placeholder(Token),
    /// Bytes to be read as an [`Envelope`].
    Entry(Token, Bytes),
    /// Whatever it is, it is none of this.
    Unreadable(Token),
}

/// What tells the types of values apart, in one build.
pub(crate) fn type_of<V>() -> u64 {
    xxh3_64(std::any::type_name::<V>().as_bytes())
}

impl Envelope<'_> {
    /// Writes it under an id.
    pub(crate) fn seal(&self, id: Token) -> Option<Bytes> {
        let mut sealed = vec![0; HEAD];
        sealed[..16].copy_from_slice(&id.0);
        sealed[16] = VERSION;
        let mut sealed = postcard::to_extend(self, sealed).ok()?;
        let sum = xxh3_64(&sealed[HEAD..]);
        sealed[17..HEAD].copy_from_slice(&sum.to_le_bytes());
        Some(sealed.into())
    }

    /// Reads what [`Opened::Entry`] holds.
    pub(crate) fn open(body: &[u8]) -> Option<Envelope<'_>> {
        postcard::from_bytes(body).ok()
    }
}

impl Opened {
    pub(crate) fn of(occupant: Bytes) -> Self {
        let Some((id, rest)) = occupant.split_first_chunk::<16>() else {
            // Nothing is stored in its place while it lasts.
            let nobodys = Token([0; 16]);
            return if occupant.is_empty() {
                Self::Placeholder(nobodys)
            } else {
                Self::Unreadable(nobodys)
            };
        };
        let id = Token(*id);
        if rest.is_empty() {
            return Self::Placeholder(id);
        }
        let sound = rest.split_first_chunk::<9>().is_some_and(|(head, body)| {
            head[0] == VERSION && head[1..] == xxh3_64(body).to_le_bytes()
        });
        if sound {
            Self::Entry(id, occupant.slice(HEAD..))
        } else {
            Self::Unreadable(id)
        }
    }
}
