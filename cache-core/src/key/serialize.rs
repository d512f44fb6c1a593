//! The canonical encoding of serialisable values: what `#[web_method]` writes for arguments that
//! are neither text nor numbers. Structures carry their field names, maps are sorted.

use std::fmt;

use serde::ser::{self, Serialize};

use super::encode::{CacheKey, FLOAT, KeyWriter, MAP, NONE, SEQUENCE, SOME, UNIT};
use super::{KeyBytes, MAX_KEY_BYTES};
use crate::reason::NotStorable;

/// A value that cannot be written: it does not serialise, or is too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed(pub(crate) NotStorable);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value cannot be written into a key: {}", self.0)
    }
}

impl std::error::Error for Failed {}

impl ser::Error for Failed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(NotStorable::KeyEncoding)
    }
}

/// Writes into a key.
pub(super) struct Canonical<'a, 'k>(&'a mut KeyWriter<'k>);

impl<'a, 'k> Canonical<'a, 'k> {
    pub(super) fn new(key: &'a mut KeyWriter<'k>) -> Self {
        Self(key)
    }

    fn head(&mut self, kind: u8, length: usize) {
        self.0.raw(&[kind]);
        self.0.raw(&(length as u64).to_le_bytes());
    }
}

/// Values of a sequence whose length may be known only at its end: collected, then written.
pub(super) struct Items<'a, 'k> {
    to: Canonical<'a, 'k>,
    kind: u8,
    parts: Vec<KeyBytes>,
    key: Option<KeyBytes>,
    /// The bytes of the parts: past the limit no more are collected.
    size: usize,
}

fn encoded<T: Serialize + ?Sized>(value: &T) -> Result<KeyBytes, Failed> {
    let mut bytes = KeyBytes::default();
    value.serialize(Canonical(&mut KeyWriter(&mut bytes)))?;
    // A part that was cut is no part: two long values would become one.
    bytes.flaw.map_or(Ok(bytes), |why| Err(Failed(why)))
}

impl Items<'_, '_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.add(encoded(value)?)
    }

    fn add(&mut self, part: KeyBytes) -> Result<(), Failed> {
        self.size += part.bytes.len();
        if self.size > MAX_KEY_BYTES {
            return Err(Failed(NotStorable::KeyLength));
        }
        self.parts.push(part);
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        let mut part = encoded(name)?;
        part.bytes.extend_from_slice(&encoded(value)?.bytes);
        self.add(part)
    }

    fn finish(mut self) -> Result<(), Failed> {
        if self.kind == MAP {
            self.to.0.sorted(MAP, self.parts);
            return Ok(());
        }
        self.to.head(self.kind, self.parts.len());
        for part in self.parts {
            self.to.0.raw(&part.bytes);
        }
        Ok(())
    }
}

macro_rules! plain {
    ($($method:ident: $type:ty),+) => { $(fn $method(self, value: $type) -> Result<(), Failed> {
        value.encode(self.0);
        Ok(())
    })+ };
}

impl<'a, 'k> ser::Serializer for Canonical<'a, 'k> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Items<'a, 'k>;
    type SerializeTuple = Items<'a, 'k>;
    type SerializeTupleStruct = Items<'a, 'k>;
    type SerializeTupleVariant = Items<'a, 'k>;
    type SerializeMap = Items<'a, 'k>;
    type SerializeStruct = Items<'a, 'k>;
    type SerializeStructVariant = Items<'a, 'k>;

    plain!(serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_u128: u128, serialize_char: char, serialize_str: &str);

    fn serialize_f32(self, value: f32) -> Result<(), Failed> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Failed> {
        // Equal numbers write the same: there are two zeros and many NaNs.
        let value = if value == 0.0 {
            0.0
        } else if value.is_nan() {
            f64::NAN
        } else {
            value
        };
        self.0.raw(&[FLOAT]);
        self.0.raw(&value.to_bits().to_le_bytes());
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Failed> {
        self.0.bytes(bytes);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Failed> {
        self.0.raw(&[NONE]);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failed> {
        self.0.raw(&[SOME]);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Failed> {
        self.0.raw(&[UNIT]);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Failed> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
    ) -> Result<(), Failed> {
        self.0.variant(index, name);
        Ok(())
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
        index: u32,
        name: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        self.0.variant(index, name);
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a, 'k>, Failed> {
        Ok(Items {
            to: self,
            kind: SEQUENCE,
            parts: Vec::new(),
            key: None,
            size: 0,
        })
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a, 'k>, Failed> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a, 'k>, Failed> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Items<'a, 'k>, Failed> {
        self.0.variant(index, name);
        self.serialize_seq(None)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Items<'a, 'k>, Failed> {
        Ok(Items {
            to: self,
            kind: MAP,
            parts: Vec::new(),
            key: None,
            size: 0,
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Items<'a, 'k>, Failed> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Items<'a, 'k>, Failed> {
        self.0.variant(index, name);
        self.serialize_map(None)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! collect {
    ($($trait:ident $method:ident),+) => { $(impl ser::$trait for Items<'_, '_> {
        type Ok = ();
        type Error = Failed;

        fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
            self.push(value)
        }

        fn end(self) -> Result<(), Failed> {
            self.finish()
        }
    })+ };
}
collect!(
    SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field
);

macro_rules! collect_fields {
    ($($trait:ident),+) => { $(impl ser::$trait for Items<'_, '_> {
        type Ok = ();
        type Error = Failed;

        fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Failed> {
            self.field(name, value)
        }

        fn end(self) -> Result<(), Failed> {
            self.finish()
        }
    })+ };
}
collect_fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Items<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failed> {
        self.key = Some(encoded(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        let mut part = self.key.take().ok_or(Failed(NotStorable::KeyEncoding))?;
        part.bytes.extend_from_slice(&encoded(value)?.bytes);
        self.add(part)
    }

    fn end(self) -> Result<(), Failed> {
        self.finish()
    }
}
