//! What a type is called in TypeScript, for those who call web methods from there.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

/// What TypeScript calls this type, as it goes over the wire: for `client.d.ts`, the types that a web
/// method's client has.
///
/// Known are numbers, `bool`, text, `()`, options, lists, arrays, sets, maps, tuples, references and
/// smart pointers of what is known. Every other type is `unknown` there, unless it says what it is, which
/// is to be what serde writes of it:
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::ClientType;
/// use std::borrow::Cow;
///
/// #[derive(serde::Serialize)]
/// struct Contact { id: u32, name: Option<String> }
///
/// impl ClientType for Contact {
///     fn typescript() -> Cow<'static, str> {
///         "{ id: number, name: string | null }".into()
///     }
/// }
///
/// assert_eq!(Vec::<Contact>::typescript(), "Array<{ id: number, name: string | null }>");
/// ```
///
/// JavaScript's numbers are exact up to 2⁵³: what may be larger is better text.
pub trait ClientType {
    /// The type, as TypeScript writes it.
    fn typescript() -> Cow<'static, str>;
}

macro_rules! named {
    ($($name:literal: $($of:ty),+;)+) => { $($(impl ClientType for $of {
        fn typescript() -> Cow<'static, str> {
            $name.into()
        }
    })+)+ };
}
named! {
    "boolean": bool;
    "number": u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64;
    "string": char, str, String;
    "null": ();
}

macro_rules! same {
    ($($of:ty),+) => { $(impl<T: ClientType + ?Sized> ClientType for $of {
        fn typescript() -> Cow<'static, str> {
            T::typescript()
        }
    })+ };
}
same!(&T, Box<T>, Arc<T>, Rc<T>);

impl<T: ClientType + ToOwned + ?Sized> ClientType for Cow<'_, T> {
    fn typescript() -> Cow<'static, str> {
        T::typescript()
    }
}

impl<T: ClientType> ClientType for Option<T> {
    fn typescript() -> Cow<'static, str> {
        format!("{} | null", T::typescript()).into()
    }
}

fn list<T: ClientType>() -> Cow<'static, str> {
    format!("Array<{}>", T::typescript()).into()
}

macro_rules! lists {
    ($([$($generics:tt)*] $of:ty),+ $(,)?) => { $(impl<T: ClientType, $($generics)*> ClientType for $of {
        fn typescript() -> Cow<'static, str> {
            list::<T>()
        }
    })+ };
}
lists!([] [T], [const N: usize] [T; N], [] Vec<T>, [] BTreeSet<T>, [S] HashSet<T, S>);

macro_rules! maps {
    ($([$($generics:tt)*] $of:ty),+) => { $(impl<K, V: ClientType, $($generics)*> ClientType for $of {
        /// JSON's keys are text, whatever they are here.
        fn typescript() -> Cow<'static, str> {
            format!("Record<string, {}>", V::typescript()).into()
        }
    })+ };
}
maps!([] BTreeMap<K, V>, [S] HashMap<K, V, S>);

macro_rules! tuples {
    ($(($($of:ident),+))+) => { $(impl<$($of: ClientType),+> ClientType for ($($of,)+) {
        fn typescript() -> Cow<'static, str> {
            format!("[{}]", [$($of::typescript()),+].join(", ")).into()
        }
    })+ };
}
tuples! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_as_json_has_them() {
        type Nested = (
            HashMap<u8, Vec<Option<&'static str>>>,
            [Box<f32>; 2],
            Cow<'static, str>,
        );
        assert_eq!(
            Nested::typescript(),
            "[Record<string, Array<string | null>>, Array<number>, string]"
        );
        assert_eq!(<(bool,)>::typescript(), "[boolean]");
        assert_eq!(<()>::typescript(), "null");
    }
}
