//! How the bytes of a value are packed: as they are, or compressed where that makes them smaller.
//! What was packed in a way that this build does not know is unreadable, as anything else that is.

use std::borrow::Cow;

/// As they are.
const PLAIN: u8 = 0;
/// By zstd, after their length.
#[cfg(feature = "zstd")]
const ZSTD: u8 = 1;

/// Fast, and still small.
#[cfg(feature = "zstd")]
const LEVEL: i32 = 1;

/// Packs a value of more bytes than `above`, where it can; returns how.
#[cfg_attr(not(feature = "zstd"), allow(unused_variables))]
pub(crate) fn pack(value: &[u8], above: usize) -> (u8, Cow<'_, [u8]>) {
    #[cfg(feature = "zstd")]
    if value.len() > above
        && let Ok(packed) = zstd::bulk::compress(value, LEVEL)
        && packed.len() + size_of::<u32>() < value.len()
        && let Ok(length) = u32::try_from(value.len())
    {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(&packed);
        return (ZSTD, bytes.into());
    }
    (PLAIN, value.into())
}

/// Unpacks no more than `most` bytes: what says that it is longer is not trusted.
#[cfg_attr(not(feature = "zstd"), allow(unused_variables))]
pub(crate) fn unpack(how: u8, packed: &[u8], most: usize) -> Option<Cow<'_, [u8]>> {
    match how {
        PLAIN => Some(packed.into()),
        #[cfg(feature = "zstd")]
        ZSTD => {
            let (length, packed) = packed.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let value = (length <= most).then(|| zstd::bulk::decompress(packed, length));
            value?
                .ok()
                .filter(|value| value.len() == length)
                .map(Into::into)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        for value in [&b""[..], b"short", &[7; 10_000]] {
            let (how, packed) = pack(value, 1024);
            assert_eq!(how != PLAIN, cfg!(feature = "zstd") && value.len() > 1024);
            let unpacked = unpack(how, &packed, 10_000);
            assert_eq!(unpacked.as_deref(), Some(value));
        }
    }

    #[test]
    fn what_says_that_it_is_too_long_or_is_none_of_this_is_unreadable() {
        let value = [7; 10_000];
        let (how, packed) = pack(&value, 1024);
        assert_eq!(unpack(how, &packed, 9_999).is_none(), how != PLAIN);
        assert!(
            unpack(how, &packed[..3], 10_000).is_none_or(|value| how == PLAIN && value.len() == 3)
        );
        assert_eq!(unpack(77, &packed, 10_000), None);
    }
}
