//! What a policy is called: in its variables, its errors, its XML.

use std::fmt;
use std::str::FromStr;

use super::PolicyError;

/// The name of a policy: 1 to 255 characters, each a letter or digit of ASCII, a space, or one of
/// `. _ - $ %`, as Apigee and SAP allow.
///
/// Converting from text that is no name panics at the caller's line, as a bad route does in axum: such
/// texts are literals. Parse what comes from elsewhere: `text.parse::<PolicyName>()`.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// let error = "Flush/All".parse::<revalidate::gateway::PolicyName>().unwrap_err();
/// assert!(error.to_string().contains("'/' at character 6"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyName(Box<str>);

/// The most characters in a policy's name.
pub const MAX_NAME_CHARS: usize = 255;

impl PolicyName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PolicyName {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-$%".contains(c);
        let stranger = text.chars().enumerate().find(|(_, c)| !allowed(*c));
        if let Some((before, character)) = stranger {
            return Err(PolicyError::NameCharacter {
                name: text.chars().take(MAX_NAME_CHARS).collect(),
                character,
                place: before + 1,
            });
        }
        if text.is_empty() || text.len() > MAX_NAME_CHARS {
            return Err(PolicyError::NameLength { length: text.len() });
        }
        Ok(Self(text.into()))
    }
}

impl From<&str> for PolicyName {
    #[track_caller]
    fn from(text: &str) -> Self {
        match text.parse() {
            Ok(name) => name,
            Err(error) => panic!("{error}"),
        }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
