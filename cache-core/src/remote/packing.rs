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

/// Packs a value of more bytes than `above`, where it can; returns how, or nothing where no way makes it `most` bytes
/// or fewer.
#[cfg_attr(not(feature = "zstd"), allow(unused_variables))]
pub(crate) fn pack(value: &[u8], above: usize, most: usize) -> Option<(u8, Cow<'_, [u8]>)> {
    #[cfg(feature = "zstd")]
    if value.len() > above
        && let Some(packed) = compressed(value, most)
    {
        return Some((ZSTD, packed.into()));
    }
    (value.len() <= most).then(|| (PLAIN, value.into()))
}

/// The length of a value and its bytes compressed, where that is shorter than the value. It is given up, with what
/// memory it took, about where it becomes more than `most` bytes.
#[cfg(feature = "zstd")]
fn compressed(value: &[u8], most: usize) -> Option<Vec<u8>> {
    use zstd::zstd_safe::compress_bound;

    /// The most that is compressed in one piece: it is written where there is room for it as it is.
    const BLOCK: usize = 128 << 10;
    const LENGTH: usize = size_of::<u32>();

    let length = u32::try_from(value.len()).ok()?;
    let most = most.min(value.len() - 1);
    let room = compress_bound(value.len()).min(most.saturating_add(compress_bound(BLOCK)));
    let mut packed = vec![0; LENGTH + room];
    packed[..LENGTH].copy_from_slice(&length.to_le_bytes());
    let written = zstd::bulk::compress_to_buffer(value, &mut packed[LENGTH..], LEVEL).ok()?;
    packed.truncate(LENGTH + written);
    (packed.len() <= most).then_some(packed)
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
            let (how, packed) = pack(value, 1024, value.len()).unwrap();
            assert_eq!(how != PLAIN, cfg!(feature = "zstd") && value.len() > 1024);
            let unpacked = unpack(how, &packed, 10_000);
            assert_eq!(unpacked.as_deref(), Some(value));
        }
    }

    #[test]
    fn what_fits_is_packed_to_the_last_byte_and_what_does_not_is_not() {
        // In several pieces: some of it can be made smaller, some not.
        let mut random = fastrand::Rng::with_seed(7);
        let mut value = vec![7; 1 << 20];
        value[300_000..700_000].fill_with(|| random.u8(..));
        let (_, packed) = pack(&value, 1024, usize::MAX).unwrap();
        for value in [
            &value[..],
            &value[300_000..700_000],
            &value[..300_000],
            &b"x"[..],
        ] {
            let length = pack(value, 1024, usize::MAX).unwrap().1.len();
            assert!(pack(value, 1024, length).is_some_and(|(_, packed)| packed.len() == length));
            for most in [length - 1, length / 2, 0] {
                assert_eq!(pack(value, 1024, most), None, "{length} in {most}");
            }
        }
        assert_eq!(packed.len() < value.len(), cfg!(feature = "zstd"));
    }

    #[test]
    fn what_says_that_it_is_too_long_or_is_none_of_this_is_unreadable() {
        let value = [7; 10_000];
        let (how, packed) = pack(&value, 1024, value.len()).unwrap();
        assert_eq!(unpack(how, &packed, 9_999).is_none(), how != PLAIN);
        assert!(
            unpack(how, &packed[..3], 10_000).is_none_or(|value| how == PLAIN && value.len() == 3)
        );
        assert_eq!(unpack(77, &packed, 10_000), None);
    }
}
