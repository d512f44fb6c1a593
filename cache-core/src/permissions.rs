//! Who may call a web method.

/// Who may call a web method over HTTP (Wix's `Permissions`). On a function that is only called from
/// Rust it says nothing: it is checked where the function is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permissions {
    /// Any visitor.
    Anyone,
    /// Visitors who are signed in.
    SiteMember,
    /// The site's administrators.
    Admin,
}
