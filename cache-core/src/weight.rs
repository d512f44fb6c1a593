//! What a value weighs in memory, in bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::mem::size_of_val;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::ser::{self, Serialize};

use crate::key::Failed;
use crate::remote::{RemoteCodec, RemoteFormat};

/// How many bytes of memory a value holds, itself included.
///
/// The cache adds its key, its tags and its own bookkeeping. Standard types and collections have it.
/// A type of your own needs one line when it holds nothing on the heap:
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::CacheWeight;
///
/// #[derive(Clone)]
/// struct Point { x: f64, y: f64 }
/// impl CacheWeight for Point {}
///
/// #[derive(Clone)]
/// struct Named { at: Point, name: String }
/// impl CacheWeight for Named {
///     fn cache_weight(&self) -> usize {
///         size_of::<Self>() + self.name.capacity()
///     }
/// }
/// ```
///
/// `#[web_method]` does without: it counts the length of the serialised value where the type has no
/// weight of its own.
#[diagnostic::on_unimplemented(
    message = "the cache cannot tell how many bytes a `{Self}` holds",
    note = "a type with nothing on the heap: `impl CacheWeight for {Self} {{}}`; else return `size_of::<Self>()` and what its fields hold"
)]
pub trait CacheWeight {
    /// The bytes of the value and of what it owns on the heap.
    fn cache_weight(&self) -> usize {
        size_of_val(self)
    }

    /// How values under keys of one's own go to other nodes, where the cache has a
    /// [remote](crate::CacheBuilder::remote); `None`: each process has its own. Numbers, text, bytes,
    /// and `Option`s and `Vec`s of what does, do. A type with serde's traits says
    /// `Some(RemoteCodec::of())`.
    fn remote_codec() -> Option<RemoteCodec<Self>>
    where
        Self: Sized,
    {
        None
    }

    /// How a `Vec` of them goes there: one by one, unless there is a better way.
    #[doc(hidden)]
    fn remote_codec_of_vec() -> Option<RemoteCodec<Vec<Self>>>
    where
        Self: Sized,
    {
        Self::remote_codec()?;
        Some(RemoteCodec::formatted(
            |values, format, to| write_all(values, format, to),
            read_all,
        ))
    }
}

macro_rules! flat {
    ($($of:ty),+ $(,)?) => { $(impl CacheWeight for $of {
        fn remote_codec() -> Option<RemoteCodec<Self>> {
            Some(RemoteCodec::of())
        }
    })+ };
}
flat!(
    (),
    bool,
    char,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64,
    Duration,
    std::time::SystemTime,
    std::net::IpAddr,
    std::net::SocketAddr,
);

impl CacheWeight for str {}

impl CacheWeight for String {
    fn cache_weight(&self) -> usize {
        size_of::<Self>() + self.capacity()
    }

    fn remote_codec() -> Option<RemoteCodec<Self>> {
        Some(RemoteCodec::of())
    }
}

impl CacheWeight for Bytes {
    fn cache_weight(&self) -> usize {
        size_of::<Self>() + self.len()
    }

    fn remote_codec() -> Option<RemoteCodec<Self>> {
        Some(as_they_are())
    }
}

impl CacheWeight for u8 {
    fn remote_codec() -> Option<RemoteCodec<Self>> {
        Some(RemoteCodec::of())
    }

    fn remote_codec_of_vec() -> Option<RemoteCodec<Vec<Self>>> {
        Some(as_they_are())
    }
}

/// Bytes are written as they are.
fn as_they_are<B: AsRef<[u8]> + From<Vec<u8>>>() -> RemoteCodec<B> {
    let write = |bytes: &B, to: &mut Vec<u8>| {
        to.extend_from_slice(bytes.as_ref());
        true
    };
    RemoteCodec::new(write, |from| Some(from.to_vec().into()))
}

/// The heap a value owns: its weight without its own place.
fn heap<T: CacheWeight>(value: &T) -> usize {
    value.cache_weight().saturating_sub(size_of::<T>())
}

impl<T: CacheWeight> CacheWeight for Option<T> {
    fn cache_weight(&self) -> usize {
        size_of::<Self>() + self.as_ref().map_or(0, heap)
    }

    fn remote_codec() -> Option<RemoteCodec<Self>> {
        T::remote_codec()?;
        let write = |option: &Self, format, to: &mut Vec<u8>| {
            to.push(u8::from(option.is_some()));
            let codec = T::remote_codec().zip(option.as_ref());
            option.is_none() || codec.is_some_and(|(codec, value)| codec.write(value, format, to))
        };
        let read = |format, from: &[u8]| match from.split_first()? {
            (0, []) => Some(None),
            (1, value) => T::remote_codec()?.read(format, value).map(Some),
            _ => None,
        };
        Some(RemoteCodec::formatted(write, read))
    }
}

impl<T: CacheWeight, E> CacheWeight for Result<T, E> {
    fn cache_weight(&self) -> usize {
        size_of::<Self>() + self.as_ref().map_or(0, heap)
    }
}

impl<T: CacheWeight> CacheWeight for [T] {
    fn cache_weight(&self) -> usize {
        size_of_val(self) + self.iter().map(heap).sum::<usize>()
    }
}

impl<T: CacheWeight, const N: usize> CacheWeight for [T; N] {
    fn cache_weight(&self) -> usize {
        self.as_slice().cache_weight()
    }
}

impl<T: CacheWeight> CacheWeight for Vec<T> {
    fn cache_weight(&self) -> usize {
        size_of::<Self>() + self.capacity() * size_of::<T>() + self.iter().map(heap).sum::<usize>()
    }

    fn remote_codec() -> Option<RemoteCodec<Self>> {
        T::remote_codec_of_vec()
    }
}

/// Each after its length.
fn write_all<T: CacheWeight>(values: &[T], format: RemoteFormat, to: &mut Vec<u8>) -> bool {
    let Some(codec) = T::remote_codec() else {
        return false;
    };
    values.iter().all(|value| {
        let at = to.len();
        to.extend_from_slice(&[0; 4]);
        let written = codec.write(value, format, to);
        let length = u32::try_from(to.len() - at - 4);
        length.is_ok_and(|length| {
            to[at..at + 4].copy_from_slice(&length.to_le_bytes());
            written
        })
    })
}

fn read_all<T: CacheWeight>(format: RemoteFormat, mut from: &[u8]) -> Option<Vec<T>> {
    let codec = T::remote_codec()?;
    let mut values = Vec::new();
    while !from.is_empty() {
        let (length, rest) = from.split_first_chunk()?;
        let length = u32::from_le_bytes(*length).try_into().ok()?;
        let (value, rest) = rest.split_at_checked(length)?;
        values.push(codec.read(format, value)?);
        from = rest;
    }
    Some(values)
}

impl<T: CacheWeight> CacheWeight for VecDeque<T> {
    fn cache_weight(&self) -> usize {
        size_of::<Self>() + self.capacity() * size_of::<T>() + self.iter().map(heap).sum::<usize>()
    }
}

macro_rules! pointers {
    ($($of:ident),+) => { $(impl<T: CacheWeight + ?Sized> CacheWeight for $of<T> {
        fn cache_weight(&self) -> usize {
            size_of::<Self>() + (**self).cache_weight()
        }
    })+ };
}
pointers!(Box, Arc);

impl<T: CacheWeight + ?Sized> CacheWeight for &T {
    fn cache_weight(&self) -> usize {
        size_of::<Self>()
    }
}

impl<T: ToOwned<Owned: CacheWeight> + ?Sized> CacheWeight for Cow<'_, T> {
    fn cache_weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Borrowed(_) => 0,
                Self::Owned(owned) => heap(owned),
            }
    }
}

macro_rules! maps {
    ($($of:ident<$key:ident, $value:ident $(, $hasher:ident)?>),+) => { $(
        impl<$key: CacheWeight, $value: CacheWeight $(, $hasher)?> CacheWeight for $of<$key, $value $(, $hasher)?> {
            fn cache_weight(&self) -> usize {
                size_of::<Self>()
                    + self.iter().map(|(k, v)| k.cache_weight() + v.cache_weight() + size_of::<usize>()).sum::<usize>()
            }
        }
    )+ };
}
maps!(HashMap<K, V, S>, BTreeMap<K, V>);

macro_rules! sets {
    ($($of:ident<$key:ident $(, $hasher:ident)?>),+) => { $(
        impl<$key: CacheWeight $(, $hasher)?> CacheWeight for $of<$key $(, $hasher)?> {
            fn cache_weight(&self) -> usize {
                size_of::<Self>() + self.iter().map(|k| k.cache_weight() + size_of::<usize>()).sum::<usize>()
            }
        }
    )+ };
}
sets!(HashSet<K, S>, BTreeSet<K>);

macro_rules! tuples {
    ($($($name:ident)+;)+) => { $(
        impl<$($name: CacheWeight),+> CacheWeight for ($($name,)+) {
            fn cache_weight(&self) -> usize {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                size_of::<Self>() $(+ heap($name))+
            }
        }
    )+ };
}
tuples! { A; A B; A B C; A B C D; A B C D E; A B C D E F; }

/// What a value that cannot say its weight is reckoned to hold: the length of its parts, serialised.
pub fn serialized_len<T: Serialize + ?Sized>(value: &T) -> usize {
    Parts::of(value).length
}

/// Whether each float in a value is finite.
#[cfg(feature = "json")]
pub(crate) fn is_finite<T: Serialize + ?Sized>(value: &T) -> bool {
    !Parts::of(value).infinite
}

/// What would be written.
#[derive(Default)]
struct Parts {
    length: usize,
    /// A float that is not finite is among it.
    #[cfg(feature = "json")]
    infinite: bool,
}

impl Parts {
    fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        let mut parts = Self::default();
        match value.serialize(&mut parts) {
            Ok(()) | Err(Failed(_)) => parts,
        }
    }
}

macro_rules! count {
    ($($method:ident: $type:ty => $length:expr),+ $(,)?) => { $(fn $method(self, _: $type) -> Result<(), Failed> {
        self.length += $length;
        Ok(())
    })+ };
}

impl ser::Serializer for &mut Parts {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    count!(serialize_bool: bool => 1, serialize_i8: i8 => 1, serialize_i16: i16 => 2, serialize_i32: i32 => 4,
        serialize_i64: i64 => 8, serialize_i128: i128 => 16, serialize_u8: u8 => 1, serialize_u16: u16 => 2,
        serialize_u32: u32 => 4, serialize_u64: u64 => 8, serialize_u128: u128 => 16, serialize_char: char => 4,
        serialize_unit_struct: &'static str => 1);

    fn serialize_f32(self, value: f32) -> Result<(), Failed> {
        #[cfg(feature = "json")]
        {
            self.infinite |= !value.is_finite();
        }
        self.serialize_u32(value.to_bits())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Failed> {
        #[cfg(feature = "json")]
        {
            self.infinite |= !value.is_finite();
        }
        self.serialize_u64(value.to_bits())
    }

    fn serialize_str(self, text: &str) -> Result<(), Failed> {
        // A String's own three words come with its text.
        self.length += size_of::<String>() + text.len();
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Failed> {
        self.length += size_of::<Vec<u8>>() + bytes.len();
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Failed> {
        self.serialize_bool(false)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failed> {
        self.length += 1;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Failed> {
        self.serialize_bool(false)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), Failed> {
        self.serialize_bool(false)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        self.serialize_some(value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Failed> {
        self.length += size_of::<Vec<u8>>();
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Failed> {
        self.length += 1;
        Ok(self)
    }

    fn serialize_map(self, entries: Option<usize>) -> Result<Self, Failed> {
        self.serialize_seq(entries)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Failed> {
        self.length += 1;
        Ok(self)
    }
}

macro_rules! count_parts {
    ($($trait:ident $method:ident),+) => { $(impl ser::$trait for &mut Parts {
        type Ok = ();
        type Error = Failed;

        fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
            value.serialize(&mut **self)
        }

        fn end(self) -> Result<(), Failed> {
            Ok(())
        }
    })+ };
}
count_parts!(
    SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field
);

macro_rules! count_fields {
    ($($trait:ident),+) => { $(impl ser::$trait for &mut Parts {
        type Ok = ();
        type Error = Failed;

        fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Failed> {
            value.serialize(&mut **self)
        }

        fn end(self) -> Result<(), Failed> {
            Ok(())
        }
    })+ };
}
count_fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for &mut Parts {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failed> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Failed> {
        Ok(())
    }
}
