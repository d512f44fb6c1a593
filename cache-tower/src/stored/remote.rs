//! What is kept of responses, as it goes to other nodes.

use std::sync::PoisonError;

use bytes::{Buf, BufMut, Bytes};
use cache_core::Timestamp;
use cache_core::respond::RemoteResponse;
use http::header::{AGE, CACHE_STATUS};
use http::{HeaderName, HeaderValue};

use super::{Declared, Kept, Stored, Terms, Variant};
use crate::key::KeyBuf;
use crate::policy::CachePolicy;
use crate::vary::VaryNames;
use crate::wire::{
    VERSION, put_bytes, put_duration, put_head, put_life, take_bytes, take_duration, take_flag,
    take_head, take_life, take_text,
};

const RESPONSE: u8 = b'r';
const VARIANTS: u8 = b'v';

impl RemoteResponse for Kept {
    fn write(&self, filled_at: Timestamp, to: &mut Vec<u8>) -> bool {
        to.put_u8(VERSION);
        match self {
            Self::Response(stored) => {
                to.put_u8(RESPONSE);
                stored.write(filled_at, to)
            }
            Self::Variants(names) => {
                to.put_u8(VARIANTS);
                names.write(to);
                true
            }
        }
    }

    fn read(mut from: &[u8], filled_at: Timestamp) -> Option<Self> {
        if from.try_get_u8().ok()? != VERSION {
            return None;
        }
        match from.try_get_u8().ok()? {
            RESPONSE => Stored::read(from, filled_at).map(Self::Response),
            VARIANTS => {
                let names = VaryNames::read(&mut from)?;
                from.is_empty().then_some(Self::Variants(names))
            }
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Response(stored) => stored.weight(),
            Self::Variants(names) => names.weight(),
        }
    }
}

/// Writes what may be missing.
fn put_some<T>(value: Option<T>, to: &mut Vec<u8>, put: impl FnOnce(T, &mut Vec<u8>)) {
    to.put_u8(value.is_some().into());
    if let Some(value) = value {
        put(value, to);
    }
}

/// Reads what may be missing.
fn take_some<'a, T>(
    from: &mut &'a [u8],
    take: impl FnOnce(&mut &'a [u8]) -> Option<T>,
) -> Option<Option<T>> {
    match take_flag(from)? {
        true => take(from).map(Some),
        false => Some(None),
    }
}

impl Stored {
    /// Its moments are told from `filled_at`. `false` for a part of a response, and for what each reuse
    /// has to validate.
    fn write(&self, filled_at: Timestamp, to: &mut Vec<u8>) -> bool {
        let Terms {
            own_etag,
            own_control,
            shared,
            strict,
            while_cut_off,
            part,
        } = self.terms;
        if !shared || part.is_some() {
            return false;
        }
        for flag in [own_etag, own_control, strict] {
            to.put_u8(flag.into());
        }
        put_duration(while_cut_off, to);
        put_duration(self.began.since(filled_at), to);
        put_duration(self.initial_age, to);
        put_some(self.upstream.as_deref(), to, |upstream, to| {
            put_bytes(upstream.as_bytes(), to);
        });
        put_some(self.variant.as_deref(), to, |variant, to| {
            variant.names.write(to);
            put_bytes(variant.key.as_slice(), to);
        });
        put_some(self.declared.as_deref(), to, |declared, to| {
            put_some(declared.policy.as_ref(), to, CachePolicy::write);
            put_some(declared.life.as_ref(), to, put_life);
        });
        let head = self.head.read().unwrap_or_else(PoisonError::into_inner);
        // What each reuse says anew.
        let wanted = |name: &HeaderName| ![AGE, CACHE_STATUS].contains(name);
        let written = put_head(head.parts.status, &head.parts.headers, wanted, to);
        to.put_slice(&self.body);
        written
    }

    fn read(mut from: &[u8], filled_at: Timestamp) -> Option<Self> {
        let from = &mut from;
        let terms = Terms {
            own_etag: take_flag(from)?,
            own_control: take_flag(from)?,
            strict: take_flag(from)?,
            shared: true,
            while_cut_off: take_duration(from)?,
            part: None,
        };
        let began = filled_at.plus(take_duration(from)?);
        let initial_age = take_duration(from)?;
        let upstream = take_some(from, take_text)?;
        let variant = take_some(from, |from| {
            Some(Variant {
                names: VaryNames::read(from)?,
                key: KeyBuf::of(take_bytes(from)?),
            })
        })?;
        let declared = take_some(from, |from| {
            Some(Declared {
                policy: take_some(from, CachePolicy::read)?,
                life: take_some(from, take_life)?,
            })
        })?;
        let (status, mut headers) = take_head(from)?;
        if let Some(upstream) = upstream {
            let said = HeaderValue::from_str(upstream).ok()?;
            headers.try_insert(CACHE_STATUS, said).ok()?;
        }
        Some(Self::new(
            status,
            &headers,
            // Its own piece: what was read may be a larger one.
            Bytes::copy_from_slice(from),
            (began, initial_age),
            variant,
            (terms, declared.unwrap_or_default()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cache_core::{Clock, Life};
    use http::{HeaderMap, StatusCode};
    use proptest::prelude::*;

    use super::*;

    const FILLED_AT: Duration = Duration::from_secs(1000);

    fn names(names: &[&str]) -> VaryNames {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append("vary", HeaderValue::from_str(name).unwrap());
        }
        VaryNames::of(&headers).unwrap()
    }

    fn durations() -> impl Strategy<Value = Duration> {
        (0..u64::from(u32::MAX), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n))
    }

    prop_compose! {
        fn stored()(
            status in 200..600_u16,
            fields in prop::collection::vec(("[a-c-]{1,3}", prop::collection::vec(0x20..=0xff_u8, 0..20)), 0..8),
            body in prop::collection::vec(any::<u8>(), 0..200),
            flags in any::<[bool; 3]>(),
            times in [durations(), durations(), durations()],
            upstream in prop::option::of("[a-z]{1,5}; hit"),
            varies in any::<bool>(),
            ttl in prop::option::of(durations()),
            tags in prop::collection::vec("\\PC{1,9}", 0..3),
        ) -> (Stored, Timestamp) {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                // Without the one that texts may not have.
                let value: Vec<u8> = value.into_iter().filter(|byte| *byte != 0x7f).collect();
                headers.append(
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_bytes(&value).unwrap(),
                );
            }
            if let Some(upstream) = upstream {
                headers.insert(CACHE_STATUS, upstream.parse().unwrap());
            }
            let filled_at = Clock::manual().now().plus(FILLED_AT);
            let terms = Terms {
                own_etag: flags[0],
                own_control: flags[1],
                shared: true,
                strict: flags[2],
                while_cut_off: times[0],
                part: None,
            };
            let declared = Declared {
                policy: ttl.map(|ttl| CachePolicy::ttl(Life::from_duration(ttl).jitter("3s")).tags(tags)),
                life: ttl.map(Life::from_duration),
            };
            let variant = varies.then(|| Variant { names: names(&["x-b", "x-a"]), key: KeyBuf::of(&body) });
            let stored = Stored::new(
                StatusCode::from_u16(status).unwrap(),
                &headers,
                body.into(),
                (filled_at.plus(times[1]), times[2]),
                variant,
                (terms, declared),
            );
            (stored, filled_at)
        }
    }

    /// All that there is of it.
    fn shown(kept: &Kept) -> String {
        format!("{kept:?}")
    }

    fn written(kept: &Kept, filled_at: Timestamp) -> Vec<u8> {
        let mut bytes = Vec::new();
        assert!(kept.write(filled_at, &mut bytes));
        bytes
    }

    proptest! {
        #[test]
        fn a_response_is_read_as_it_was_written((stored, filled_at) in stored()) {
            let kept = Kept::Response(stored);
            let bytes = written(&kept, filled_at);
            let read = Kept::read(&bytes, filled_at).unwrap();
            prop_assert_eq!(shown(&read), shown(&kept));
            prop_assert_eq!(RemoteResponse::weight(&read), RemoteResponse::weight(&kept));
            // By another process's clock it is as old.
            let (Kept::Response(here), Kept::Response(there)) = (
                &kept,
                Kept::read(&bytes, filled_at.plus(FILLED_AT)).unwrap(),
            ) else {
                unreachable!()
            };
            let now = filled_at.plus(5 * FILLED_AT);
            prop_assert_eq!(there.age(now.plus(FILLED_AT)), here.age(now));
        }

        #[test]
        fn what_is_cut_off_or_bent_is_read_as_something_or_not(
            (stored, filled_at) in stored(),
            cut in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let body = stored.body.len();
            let bytes = written(&Kept::Response(stored), filled_at);
            let cut = cut.index(bytes.len());
            let read = Kept::read(&bytes[..cut], filled_at);
            // Of its body alone nothing tells that it is shorter: the checksum around it does.
            prop_assert_eq!(read.is_some(), cut >= bytes.len() - body);
            let mut bent = bytes;
            *at.get_mut(&mut bent) = byte;
            let _ = Kept::read(&bent, filled_at);
        }

        #[test]
        fn anything_is_read_without_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in any::<bool>()) {
            let now = Clock::manual().now();
            let _ = Kept::read(&bytes, now);
            bytes.splice(0..0, [VERSION, if kind { RESPONSE } else { VARIANTS }]);
            let _ = Kept::read(&bytes, now);
        }
    }

    #[test]
    fn names_are_read_as_they_were_written() {
        let now = Clock::manual().now();
        let kept = Kept::Variants(names(&["x-b", "accept", "x-a"]));
        let bytes = written(&kept, now);
        assert_eq!(shown(&Kept::read(&bytes, now).unwrap()), shown(&kept));
        for cut in 0..bytes.len() {
            assert!(Kept::read(&bytes[..cut], now).is_none(), "{cut}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(Kept::read(&longer, now).is_none());
        let other = [&[VERSION + 1], &bytes[1..]].concat();
        assert!(Kept::read(&other, now).is_none());
    }

    /// One without a body and with so many fields, which is so old.
    fn plain(fields: usize, initial_age: Duration) -> Kept {
        let mut headers = HeaderMap::new();
        for _ in 0..fields {
            headers.append("a", HeaderValue::from_static(""));
        }
        let terms = Terms {
            shared: true,
            ..Terms::default()
        };
        Kept::Response(Stored::new(
            StatusCode::OK,
            &headers,
            Bytes::new(),
            (Clock::manual().now(), initial_age),
            None,
            (terms, Declared::default()),
        ))
    }

    #[test]
    fn an_age_that_nothing_has_is_read_without_harm() {
        let clock = Clock::manual();
        let bytes = written(&plain(1, Duration::MAX), clock.now());
        let Some(Kept::Response(read)) = Kept::read(&bytes, clock.now()) else {
            panic!("it is a response");
        };
        clock.advance(FILLED_AT);
        assert_eq!(read.age(clock.now()), Duration::MAX);
    }

    #[test]
    fn more_fields_than_a_head_may_have_are_neither_written_nor_read() {
        let now = Clock::manual().now();
        let fields = 9_999;
        let mut bytes = written(&plain(fields, Duration::ZERO), now);
        assert!(Kept::read(&bytes, now).is_some());
        // As another program may have put it there.
        let field = bytes.split_off(bytes.len() - 10);
        let count = u32::try_from(fields).unwrap().to_be_bytes();
        let at = bytes.windows(4).rposition(|four| four == count).unwrap();
        let many = 30_000_u32;
        bytes[at..at + 4].copy_from_slice(&many.to_be_bytes());
        bytes.extend(field.repeat(many as usize - fields + 1));
        assert!(Kept::read(&bytes, now).is_none());
        assert!(!plain(fields + 2, Duration::ZERO).write(now, &mut Vec::new()));
    }

    #[test]
    fn what_each_reuse_validates_stays() {
        let now = Clock::manual().now();
        let stored = Stored::new(
            StatusCode::OK,
            &HeaderMap::new(),
            Bytes::new(),
            (now, Duration::ZERO),
            None,
            (Terms::default(), Declared::default()),
        );
        assert!(!Kept::Response(stored).write(now, &mut Vec::new()));
    }
}
