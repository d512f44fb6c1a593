//! Who is asking: a log-in for demonstration. A token is sent as `Authorization: Bearer`, or in the cookie that
//! `POST /sign-in` sets.

use std::env;

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use revalidate::Caller;
use subtle::ConstantTimeEq;

/// The cookie that holds the token of who has signed in.
pub(crate) const TOKEN: &str = "token";
/// A token that can be guessed is none.
const SHORTEST: usize = 16;

/// The tokens of those who may sign in.
#[derive(Clone)]
pub(crate) struct Visitors {
    member: Token,
    admin: Token,
}

#[derive(Clone)]
struct Token {
    variable: &'static str,
    text: String,
    made: bool,
}

impl Visitors {
    /// The tokens that the environment names; others are made.
    pub(crate) fn from_env() -> Result<Self, String> {
        Ok(Self {
            member: Token::from_env("MEMBER_TOKEN")?,
            admin: Token::from_env("ADMIN_TOKEN")?,
        })
    }

    /// The tokens that were made here, which nobody knows yet.
    pub(crate) fn made(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [&self.member, &self.admin];
        all.into_iter()
            .filter(|token| token.made)
            .map(|token| (token.variable, token.text.as_str()))
    }

    /// Whose token this is.
    pub(crate) fn whose(&self, token: &str) -> Caller {
        if self.admin.is(token) {
            Caller::admin("admin")
        } else if self.member.is(token) {
            Caller::member("member")
        } else {
            Caller::anonymous()
        }
    }

    /// Who sends a request.
    pub(crate) fn caller(&self, request: &Parts) -> Caller {
        let header = |name| request.headers.get(name)?.to_str().ok();
        let bearer = header(AUTHORIZATION).and_then(|value: &str| value.strip_prefix("Bearer "));
        let cookie = || {
            let cookies = header(COOKIE)?.split("; ");
            cookies
                .filter_map(|cookie| cookie.split_once('='))
                .find(|(name, _)| *name == TOKEN)
        };
        let token = bearer.or_else(|| cookie().map(|(_, value)| value));
        token.map_or_else(Caller::anonymous, |token| self.whose(token))
    }
}

impl Token {
    fn from_env(variable: &'static str) -> Result<Self, String> {
        let (text, made) = match env::var(variable) {
            Ok(text) => (text, false),
            Err(_) => (random()?, true),
        };
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if text.len() < SHORTEST || !plain {
            return Err(format!(
                "{variable}: a token is {SHORTEST} or more of a-z, A-Z, 0-9, - and _"
            ));
        }
        Ok(Self {
            variable,
            text,
            made,
        })
    }

    /// In a time that tells nothing of where they differ.
    fn is(&self, token: &str) -> bool {
        self.text.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

fn random() -> Result<String, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
