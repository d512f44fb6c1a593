//! Web methods.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod outputs;
