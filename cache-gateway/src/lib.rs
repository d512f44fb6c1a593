//! Gateway policies for [revalidate](https://docs.rs/revalidate): the cache policies of Apigee and of SAP
//! API Management, as typed values and from their XML.
//!
//! A [*policy*](Policy) says what is stored, found or dropped, and is pure: its [*key*](CacheKey) is made
//! of what a request's [*variables*](Variables) hold and of the [*place*](Place) where it runs, its
//! [*expiry*](ExpirySettings) of the time that it is given, and its [*conditions*](Condition) of variables
//! alone.
//!
//! A [*proxy*](Proxy) in an [*environment*](Environment) deploys it, and thus makes it a layer. What the
//! layers of one request find and do is in its [*flow*](Flow).

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod condition;
mod environment;
mod expiry;
mod fault;
mod flow;
mod flush;
mod form;
mod key;
mod message;
mod policy;
mod response;
mod scope;
mod step;
mod value;
mod variables;
mod xml;

pub use condition::{Closure, Condition, ConditionError, Expression};
pub use environment::{
    CacheResource, Deploy, DeployError, Environment, EnvironmentBuilder, MAX_VALUE_BYTES, Proxy,
};
pub use expiry::{
    ExpiryDate, ExpiryDateError, ExpiryError, ExpirySettings, TimeOfDay, TimeOfDayError, Timeout,
    TimeoutError, Zone, ZoneError,
};
pub use flow::{Flow, FlowError};
pub use flush::{FlushByHeader, FlushService};
pub use form::RequestBody;
pub use key::{CacheKey, EntryKey, KeyError, MAX_PRINTED_KEY_BYTES};
pub use policy::{
    InvalidateCache, LookupCache, MAX_NAME_CHARS, Policy, PolicyError, PolicyName, PopulateCache,
    Purge, ResponseCache,
};
pub use response::{
    ResponseCacheBody, ResponseCacheFuture, ResponseCacheLayer, ResponseCacheService,
};
pub use scope::{CacheContext, Place, Scope, ScopeError, Side};
pub use step::{PolicyBody, PolicyFuture, PolicyLayer, PolicyService};
pub use value::{Value, ValueError};
pub use variables::{Part, Variable, VariableError, Variables};
pub use xml::XmlError;
