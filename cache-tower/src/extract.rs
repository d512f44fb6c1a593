//! axum's types to `#[web_method]`: extractors as key arguments, responses as what is stored.

mod keys;
mod responses;

pub use axum::response::{IntoResponse, Response};

pub use keys::{
    CallerUndecided, Extractor, ExtractorKey, IsState, SaysWhoCalls, StateByName, StateUndecided,
    TextKey, UriKey,
};
pub use responses::{
    FallibleResponseShape, HasStatus, MAX_BODY, MAX_WAIT, ResponseShape, StoredResponse, TagsInside,
};

/// The traits of method resolution, beside those of `cache_core::macro_support::dispatch`.
pub mod dispatch {
    pub use super::keys::{
        CallerInParts, CallerInRequest, CallerShown, KeyKindUndecided, PeelExtractor, StateKind,
    };
    pub use super::responses::{ShapeOfResponse, ValueTagsInside, VerdictByHead};
}
