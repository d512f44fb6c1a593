//! Web methods of [revalidate](https://docs.rs/revalidate): functions under `#[web_method(PERMISSION)]`
//! called over HTTP with JSON. Applications use it through the facade crate `revalidate`, feature `web`.
//!
//! A call goes one way. The *gate* asks who is calling and whether that one may; a GET of a cached
//! method is then looked up by the cache's *layer*; what is left is *called*: its arguments are read
//! from *JSON*, the function runs with its caller known, and its value or *refusal* is written.
//! Browsers import the *client*, which the methods themselves are described in. Pages are [`outputs`].

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod call;
#[doc(hidden)]
pub mod client;
mod gate;
mod invalidate;
mod json;
mod methods;
pub mod outputs;
mod refusal;

pub use gate::IntoCaller;
pub use json::Json;
pub use methods::{WebMethods, WebMethodsError};
