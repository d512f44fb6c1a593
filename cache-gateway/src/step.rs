//! The policies that are steps beside a request: `LookupCache`, `PopulateCache`, `InvalidateCache`. Each
//! acts once, before the request goes on or when its response has come.

mod act;
mod body;
mod future;
mod layer;
mod service;

pub(crate) use act::{Act, said};
pub use body::PolicyBody;
pub use future::PolicyFuture;
pub use layer::PolicyLayer;
pub use service::PolicyService;
pub(crate) use service::send;
