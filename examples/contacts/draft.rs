//! What a client sends to make or change a contact, and the checks it must pass. The HTML form and
//! the JSON body have the same fields and the same checks.

use serde::{Deserialize, Serialize};

const MAX_NAME: usize = 100;
/// A company is part of a tag, and a tag has at most 256 characters.
const MAX_EMAIL: usize = 200;

/// A contact as it came in. A field that is missing counts as empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) email: String,
}

/// A draft that passed.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    name: String,
    email: String,
}

/// What is wrong with each field.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Problems {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<&'static str>,
}

impl Problems {
    /// Whether there are any.
    pub(crate) fn any(self) -> bool {
        self.name.is_some() || self.email.is_some()
    }
}

impl Checked {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn email(&self) -> &str {
        &self.email
    }
}

impl Draft {
    /// Trims the fields and writes the domain in small letters; or says what is wrong.
    pub(crate) fn check(&self) -> Result<Checked, Problems> {
        let (name, email) = (self.name.trim(), self.email.trim());
        let problems = Problems {
            name: name_problem(name),
            email: email_problem(email),
        };
        if problems.any() {
            return Err(problems);
        }
        let (user, domain) = email.split_once('@').unwrap_or_default();
        Ok(Checked {
            name: name.to_owned(),
            email: format!("{user}@{}", domain.to_ascii_lowercase()),
        })
    }
}

fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is required")
    } else if name.chars().count() > MAX_NAME {
        Some("has more than 100 characters")
    } else if name.chars().any(char::is_control) {
        Some("has a control character")
    } else {
        None
    }
}

/// Whether mail to it arrives is not for us to say: this only refuses what cannot be an address.
fn email_problem(email: &str) -> Option<&'static str> {
    if email.is_empty() {
        return Some("is required");
    }
    if email.chars().count() > MAX_EMAIL {
        return Some("has more than 200 characters");
    }
    let well_formed = email.split_once('@').is_some_and(|(user, domain)| {
        let label = |label: &str| {
            !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        let user_fits =
            !user.is_empty() && !user.chars().any(|c| c.is_whitespace() || c.is_control());
        user_fits && domain.contains('.') && domain.split('.').all(label)
    });
    (!well_formed).then_some("is not an address such as ada@engines.example")
}
