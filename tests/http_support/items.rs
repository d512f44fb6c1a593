//! A list of items with parameters, as structured fields have it (RFC 8941): what `Cache-Status` is.
//! Nothing is forgiven.

/// A member of a list: a token or a string, and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub name: String,
    pub parameters: Vec<(String, Value)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    True,
    Integer(i64),
    Token(String),
    Text(String),
}

impl Member {
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    pub fn token(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Token(token)) => Some(token),
            _ => None,
        }
    }
}

/// Reads a whole field; an error says where it is not well-formed.
pub fn members(text: &str) -> Result<Vec<Member>, String> {
    let mut rest = text;
    let mut members = Vec::new();
    loop {
        let name = match value(&mut rest)? {
            Value::Token(name) | Value::Text(name) => name,
            other => return Err(format!("{other:?} names no cache")),
        };
        let mut parameters = Vec::<(String, Value)>::new();
        while let Some(after) = rest.strip_prefix(';') {
            rest = after.trim_start_matches(' ');
            let key = take(&mut rest, |c| {
                c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c)
            });
            if !key.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') {
                return Err(format!("no key at {rest:?}"));
            }
            if parameters.iter().any(|(known, _)| known == key) {
                return Err(format!("{key} twice"));
            }
            let value = match rest.strip_prefix('=') {
                Some(after) => {
                    rest = after;
                    value(&mut rest)?
                }
                None => Value::True,
            };
            parameters.push((key.to_owned(), value));
        }
        members.push(Member { name, parameters });
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return Ok(members);
        }
        let after = rest
            .strip_prefix(',')
            .ok_or_else(|| format!("no comma at {rest:?}"))?;
        rest = after.trim_start_matches([' ', '\t']);
    }
}

fn value(rest: &mut &str) -> Result<Value, String> {
    let wrong = || Err(format!("no value at {rest:?}"));
    match rest.chars().next() {
        Some('"') => {
            let (mut text, mut escaped) = (String::new(), false);
            for (at, char) in rest.char_indices().skip(1) {
                match char {
                    '"' | '\\' if escaped => (text.push(char), escaped = false).1,
                    _ if escaped => return wrong(),
                    '\\' => escaped = true,
                    '"' => {
                        *rest = &rest[at + 1..];
                        return Ok(Value::Text(text));
                    }
                    ' '..='~' => text.push(char),
                    _ => return wrong(),
                }
            }
            wrong()
        }
        Some('-' | '0'..='9') => {
            let number = take(rest, |c| c == '-' || c.is_ascii_digit());
            number
                .parse()
                .map(Value::Integer)
                .map_err(|why| format!("{number}: {why}"))
        }
        Some(c) if c.is_ascii_alphabetic() || c == '*' => {
            let token = take(rest, |c| {
                c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c)
            });
            Ok(Value::Token(token.to_owned()))
        }
        _ => wrong(),
    }
}

/// Takes what holds from the front.
fn take<'t>(rest: &mut &'t str, holds: impl Fn(char) -> bool) -> &'t str {
    let end = rest.find(|c| !holds(c)).unwrap_or(rest.len());
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}
