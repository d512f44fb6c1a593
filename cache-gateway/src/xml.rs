//! Policies from the XML in which gateways keep them. What is there must be known and in its place:
//! whatever a policy says and would not be carried out is an error, with its line and column.

mod document;
mod element;
mod policies;

use thiserror::Error;

/// A document is no policy.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// let error = revalidate::gateway::InvalidateCache::from_xml(
///     "<InvalidateCache name='Flush'>\n  <Scop>Global</Scop>\n</InvalidateCache>",
/// ).unwrap_err();
/// assert_eq!((error.line(), error.column()), (2, 3));
/// assert!(error.to_string().contains("<Scop>"));
/// ```
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}, column {column}: {problem}")]
pub struct XmlError {
    line: u32,
    column: u32,
    problem: String,
}

impl XmlError {
    /// The line at which it is wrong, the first being 1.
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// The character of that line, the first being 1.
    #[must_use]
    pub const fn column(&self) -> u32 {
        self.column
    }
}
