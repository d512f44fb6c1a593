//! What each element of a policy is.

use std::fmt::Display;
use std::str::FromStr;

use super::element::Element;
use super::{XmlError, document};
use crate::policy::Common;
use crate::{
    CacheContext, CacheKey, ExpirySettings, InvalidateCache, LookupCache, Policy, PolicyError,
    PolicyName, PopulateCache, Purge, ResponseCache, Timeout, Value, Zone,
};

const ATTRIBUTES: [&str; 4] = ["name", "continueOnError", "enabled", "async"];
const ELEMENTS: [&str; 7] = [
    "DisplayName",
    "Properties",
    "FaultRules",
    "CacheKey",
    "CacheResource",
    "Scope",
    "CacheContext",
];

/// A policy that has an element.
trait Read: Sized {
    const ELEMENT: &'static str;
    /// Its elements that other policies have not.
    const OWN: &'static [&'static str];

    fn read(element: Element<'_, '_>, common: Common) -> Result<Self, XmlError>;
    fn checked(&self) -> Result<(), PolicyError>;
}

fn policy<T: Read>(element: Element<'_, '_>) -> Result<T, XmlError> {
    if element.name() != T::ELEMENT {
        return Err(element.error(format_args!("is not <{}>", T::ELEMENT)));
    }
    let elements = [&ELEMENTS, T::OWN].concat();
    element.allow(&ATTRIBUTES, &elements, "")?;
    let policy = T::read(element, common(element)?)?;
    policy
        .checked()
        .map_err(|error| element.error(format_args!("cannot be carried out: {error}")))?;
    Ok(policy)
}

macro_rules! from_xml {
    ($($policy:ident: $own:expr, $read:expr;)+) => { $(
        impl Read for $policy {
            const ELEMENT: &'static str = stringify!($policy);
            const OWN: &'static [&'static str] = &$own;

            fn read(element: Element<'_, '_>, common: Common) -> Result<Self, XmlError> {
                $read(element, common)
            }

            fn checked(&self) -> Result<(), PolicyError> {
                self.check()
            }
        }

        impl $policy {
            #[doc = concat!("Reads the policy from XML whose root is `<", stringify!($policy), ">`.")]
            ///
            /// A document without a `name`, as SAP shows them, gets its element's; [`named`](Self::named)
            /// gives it another. `async` is read and means nothing, as on gateways.
            ///
            /// # Errors
            ///
            /// [`XmlError`], with line and column, where anything is unknown, misplaced, there twice or
            /// not what it should be, or where [`check`](Self::check) fails.
            pub fn from_xml(xml: &str) -> Result<Self, XmlError> {
                document::read(xml, policy)
            }
        }
    )+

        impl Policy {
            /// Reads whichever policy the document is.
            ///
            /// # Errors
            ///
            /// [`XmlError`], as each policy's own `from_xml`, or where the root is none of them.
            pub fn from_xml(xml: &str) -> Result<Self, XmlError> {
                document::read(xml, |element| match element.name() {
                    $(stringify!($policy) => policy(element).map(Self::$policy),)+
                    _ => Err(element.error(concat!("is no policy: the policies are" $(, " ", stringify!($policy))+))),
                })
            }
        }
    };
}

from_xml! {
    InvalidateCache: ["PurgeChildEntries"], |element: Element<'_, '_>, common| {
        let children = flag(element, "PurgeChildEntries")?.unwrap_or_default();
        Ok(Self { common, purge: if children { Purge::ChildEntries } else { Purge::Entry } })
    };
    PopulateCache: ["Source", "ExpirySettings"], |element: Element<'_, '_>, common| {
        Ok(Self {
            common,
            source: element.required("Source")?.parsed_required()?,
            expiry: expiry(element.required("ExpirySettings")?)?,
        })
    };
    LookupCache: ["AssignTo", "CacheLookupTimeoutInSeconds"], |element: Element<'_, '_>, common| {
        Ok(Self {
            common,
            assign_to: element.required("AssignTo")?.parsed_required()?,
            timeout: lookup_timeout(element)?.map_or(Self::TIMEOUT, Into::into),
        })
    };
    ResponseCache: [
        "ExpirySettings",
        "SkipCacheLookup",
        "SkipCachePopulation",
        "ExcludeErrorResponse",
        "UseAcceptHeader",
        "UseResponseCacheHeaders",
        "CacheLookupTimeoutInSeconds",
    ], |element: Element<'_, '_>, common| {
        // Responses are looked for in memory, where no look-up takes as long: only what is said is checked.
        lookup_timeout(element)?;
        Ok(Self {
            common,
            expiry: expiry(element.required("ExpirySettings")?)?,
            skip_lookup: optional(element, "SkipCacheLookup")?,
            skip_population: optional(element, "SkipCachePopulation")?,
            exclude_error_response: flag(element, "ExcludeErrorResponse")?,
            use_accept_header: flag(element, "UseAcceptHeader")?.unwrap_or_default(),
            use_response_cache_headers: flag(element, "UseResponseCacheHeaders")?.unwrap_or_default(),
            answers_every_uri_alike: false,
        })
    };
}

fn common(element: Element<'_, '_>) -> Result<Common, XmlError> {
    let attribute = |name| {
        let flag = element.parsed_attribute::<Flag>(name);
        flag.map(|flag| flag.map(|Flag(flag)| flag))
    };
    for (name, why) in [
        ("Properties", "is not empty, and no properties are known"),
        (
            "FaultRules",
            "is not empty, and fault rules are not carried out: answer faults outside of the policy",
        ),
    ] {
        if let Some(element) = element.child(name) {
            element.is_empty(why)?;
        }
    }
    attribute("async")?;
    let name = element.parsed_attribute::<PolicyName>("name")?;
    Ok(Common {
        name: name.unwrap_or_else(|| element.name().into()),
        display_name: optional::<String>(element, "DisplayName")?.map(Into::into),
        enabled: attribute("enabled")?.unwrap_or(true),
        continue_on_error: attribute("continueOnError")?.unwrap_or(false),
        cache_resource: optional::<String>(element, "CacheResource")?.map(Into::into),
        key: key(element.required("CacheKey")?)?,
        scope: optional(element, "Scope")?.unwrap_or_default(),
        context: element
            .child("CacheContext")
            .map(context)
            .transpose()?
            .flatten(),
    })
}

fn key(element: Element<'_, '_>) -> Result<CacheKey, XmlError> {
    element.allow(&[], &["Prefix", "KeyFragment"], "KeyFragment")?;
    let mut key = CacheKey::new();
    if let Some(prefix) = optional::<String>(element, "Prefix")? {
        key = key.prefix(prefix);
    }
    for fragment in element.all("KeyFragment") {
        fragment.allow(&["ref", "type"], &[], "")?;
        fragment.parsed_attribute::<TextType>("type")?;
        key = match (fragment.reference()?, fragment.text()) {
            (Some(variable), None) => key.reference(variable),
            (None, Some(text)) => key.literal(text),
            (Some(_), Some(_)) => {
                return Err(fragment.error(
                    "has a `ref` and a text: keep one, as requests without the variable would share an entry",
                ));
            }
            (None, None) => return Err(fragment.error("needs a text or a `ref`")),
        };
    }
    Ok(key)
}

/// `None` where it is as empty as a template's.
fn context(element: Element<'_, '_>) -> Result<Option<CacheContext>, XmlError> {
    element.allow(&[], &["APIProxyName", "ProxyName", "TargetName"], "")?;
    let mut context = CacheContext::new();
    for (name, set) in [
        (
            "APIProxyName",
            CacheContext::application as fn(_, Value<String>) -> _,
        ),
        ("ProxyName", CacheContext::proxy),
        ("TargetName", CacheContext::target),
    ] {
        if let Some(value) = element
            .child(name)
            .map(|part| part.value(&[]))
            .transpose()?
            .flatten()
        {
            context = set(context, value);
        }
    }
    Ok((context != CacheContext::new()).then_some(context))
}

/// All that is there must be right; what wins is taken.
fn expiry(element: Element<'_, '_>) -> Result<ExpirySettings, XmlError> {
    element.allow(
        &[],
        &[
            "TimeoutInSeconds",
            "TimeoutInSec",
            "TimeOfDay",
            "ExpiryDate",
        ],
        "",
    )?;
    let timeout = |name| {
        let child = element.child(name).map(|child| child.value::<Timeout>(&[]));
        child.transpose().map(Option::flatten)
    };
    let (seconds, older) = (timeout("TimeoutInSeconds")?, timeout("TimeoutInSec")?);
    let time = match element.child("TimeOfDay") {
        Some(child) => child
            .value(&["zone"])?
            .map(|time| Ok((time, zone(child)?)))
            .transpose()?,
        None => None,
    };
    let date = match element.child("ExpiryDate") {
        Some(child) => child
            .value(&["zone"])?
            .map(|date| Ok((date, zone(child)?)))
            .transpose()?,
        None => None,
    };
    match (seconds.or(older), time, date) {
        (Some(timeout), ..) => Ok(ExpirySettings::timeout(timeout)),
        (None, Some((time, zone)), None) => Ok(ExpirySettings::time_of_day(time, zone)),
        (None, None, Some((date, zone))) => Ok(ExpirySettings::date(date, zone)),
        (None, Some(_), Some(_)) => {
            Err(element.error("has a <TimeOfDay> and an <ExpiryDate>: keep one of them"))
        }
        (None, None, None) => {
            Err(element
                .error("says nothing: write <TimeoutInSeconds>, <TimeOfDay> or <ExpiryDate>"))
        }
    }
}

fn zone(element: Element<'_, '_>) -> Result<Zone, XmlError> {
    Ok(element.parsed_attribute("zone")?.unwrap_or(Zone::UTC))
}

fn lookup_timeout(element: Element<'_, '_>) -> Result<Option<Timeout>, XmlError> {
    optional(element, "CacheLookupTimeoutInSeconds")
}

/// What an element says that need not be there.
fn optional<T: FromStr<Err: Display>>(
    element: Element<'_, '_>,
    name: &str,
) -> Result<Option<T>, XmlError> {
    let parsed = element.child(name).map(Element::parsed).transpose();
    parsed.map(Option::flatten)
}

fn flag(element: Element<'_, '_>, name: &str) -> Result<Option<bool>, XmlError> {
    Ok(optional(element, name)?.map(|Flag(flag)| flag))
}

/// `true` or `false`.
struct Flag(bool);

impl FromStr for Flag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("{text:?} is neither true nor false"))
    }
}

/// The only type that a fragment has.
struct TextType;

impl FromStr for TextType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "string" => Ok(Self),
            _ => Err(format!("{text:?} is no type of a fragment: it is a string")),
        }
    }
}
