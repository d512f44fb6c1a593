//! A plain reading of a response, which knows what forbids to reuse it for another request: strict where
//! a line is well-formed (RFC 9111, section 5.2), and where it is not, it believes every word that forbids.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Why it must not be reused, as far as the plainest forms tell. `declared`: only what states how
/// long it is fresh may be.
pub(crate) fn forbids(
    status: u16,
    response: &HeaderMap,
    first: &HeaderMap,
    second: &HeaderMap,
    declared: bool,
    now: SystemTime,
) -> Option<&'static str> {
    if matches!(status, 206 | 304 | 412 | 416) || response.contains_key("content-range") {
        return Some("a part, or an answer to conditions");
    }
    for name in values(response, "vary").flat_map(|line| line.split(|b| *b == b',')) {
        let name = name.trim_ascii();
        if name.is_empty() {
            continue;
        }
        let Ok(name) = HeaderName::from_bytes(name) else {
            return Some("a Vary that names no field");
        };
        if name == "*" {
            return Some("Vary: *");
        }
        // What is equal but for order and space is not this one's to know.
        if name != "accept-encoding"
            && joined(first, name.as_str()) != joined(second, name.as_str())
        {
            return Some("another variant");
        }
    }
    let control = Control::read(response);
    if let Some(why) = control.forbids {
        return Some(why);
    }
    let authorized = [first, second].map(|request| request.contains_key("authorization"));
    if authorized[0] && !control.shares || declared && authorized[0] != authorized[1] {
        return Some("Authorization");
    }
    if declared && response.contains_key("set-cookie") && !control.names_fields {
        return Some("Set-Cookie");
    }
    let age = response
        .get("age")
        .and_then(|age| age.to_str().ok()?.parse::<u64>().ok());
    let lasts = match control.lifetime {
        Some(seconds) => seconds > age.unwrap_or(0),
        None if control.targeted => false,
        None => values(response, "expires").next().is_some_and(|line| {
            let date = std::str::from_utf8(line)
                .ok()
                .and_then(|text| httpdate::parse_http_date(text).ok());
            // A date in another case than is usual is one, too.
            date.map_or(line.len() > 23, |date| date > now)
        }),
    };
    (declared && !lasts).then_some("no explicit freshness")
}

/// What is said of caching.
#[derive(Default)]
struct Control {
    forbids: Option<&'static str>,
    /// Whether something allows to share what was for one user.
    shares: bool,
    /// Whether it restricts fields by their names.
    names_fields: bool,
    /// The least that is well-formed.
    lifetime: Option<u64>,
    targeted: bool,
}

impl Control {
    fn read(response: &HeaderMap) -> Self {
        let targeted = joined(response, "cdn-cache-control");
        let dictionary = sfv::Parser::new(&targeted).parse::<sfv::Dictionary>();
        match dictionary {
            Ok(dictionary) if !dictionary.is_empty() => Self::targeted(&dictionary),
            _ => Self::of_lines(values(response, "cache-control")),
        }
    }

    fn targeted(dictionary: &sfv::Dictionary) -> Self {
        let set = |name: &str| {
            dictionary.get(name).is_some_and(|member| {
            !matches!(member, sfv::ListEntry::Item(item) if item.bare_item == sfv::BareItem::Boolean(false))
        })
        };
        let forbidding = ["no-store", "private", "no-cache"];
        let seconds = |name: &str| match dictionary.get(name)? {
            sfv::ListEntry::Item(item) => match item.bare_item {
                sfv::BareItem::Integer(seconds) => u64::try_from(i64::from(seconds)).ok(),
                _ => None,
            },
            sfv::ListEntry::InnerList(_) => None,
        };
        Self {
            forbids: forbidding.into_iter().find(|name| set(name)),
            shares: set("public") || set("must-revalidate") || set("s-maxage"),
            names_fields: false,
            lifetime: seconds("s-maxage").or(seconds("max-age")),
            targeted: true,
        }
    }

    fn of_lines<'h>(lines: impl Iterator<Item = &'h [u8]>) -> Self {
        let mut control = Self::default();
        let mut understood = false;
        let mut no_store = false;
        for line in lines {
            let line = line.to_ascii_lowercase();
            match well_formed(&line) {
                Some(directives) => {
                    for (name, value) in directives {
                        let names = value.is_some_and(is_list_of_names);
                        match name {
                            b"no-store" => no_store = true,
                            b"must-understand" => understood = true,
                            b"private" | b"no-cache" if names => control.names_fields = true,
                            b"private" => control.forbids = Some("private"),
                            b"no-cache" => control.forbids = Some("no-cache"),
                            b"public" | b"must-revalidate" | b"s-maxage" => control.shares = true,
                            _ => {}
                        }
                        if matches!(name, b"max-age" | b"s-maxage") {
                            let seconds = value.and_then(seconds).unwrap_or(0);
                            let known = control.lifetime.unwrap_or(0);
                            control.lifetime = Some(known.max(seconds));
                        }
                    }
                }
                // What cannot be read forbids wherever it says so, and may allow.
                None => {
                    for word in line.split(|byte| !is_token(*byte)) {
                        match word {
                            b"no-store" => control.forbids = Some("no-store"),
                            b"private" => control.forbids = Some("private"),
                            b"no-cache" => control.forbids = Some("no-cache"),
                            b"max-age" | b"s-maxage" => {
                                control.shares = true;
                                control.lifetime = Some(u64::MAX);
                            }
                            b"public" | b"must-revalidate" => control.shares = true,
                            _ => {}
                        }
                    }
                }
            }
        }
        if no_store && !understood {
            control.forbids = Some("no-store");
        }
        control
    }
}

/// A name and what is after its `=`.
type Directive<'l> = (&'l [u8], Option<&'l [u8]>);

/// The directives of a line that is what RFC 9111, section 5.2, says.
fn well_formed(mut line: &[u8]) -> Option<Vec<Directive<'_>>> {
    let mut directives = Vec::new();
    loop {
        line = line.trim_ascii_start();
        let (name, rest) = token(line);
        line = rest;
        if !name.is_empty() {
            let mut value = None;
            if let Some(rest) = line.strip_prefix(b"=") {
                let (read, rest) = match rest.first() {
                    Some(b'"') => quoted(rest)?,
                    _ => token(rest),
                };
                if read.is_empty() {
                    return None;
                }
                (value, line) = (Some(read), rest);
            }
            directives.push((name, value));
        }
        line = line.trim_ascii_start();
        match line.split_first() {
            None => return Some(directives),
            Some((b',', rest)) => line = rest,
            Some(_) => return None,
        }
    }
}

fn token(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !is_token(*byte));
    text.split_at(end.unwrap_or(text.len()))
}

/// A string with its quotes.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(text.split_at(at + 1)),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_list_of_names(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let value = value.strip_suffix(b"\"").unwrap_or(value);
    let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.clone().any(|name| !name.is_empty())
        && names.all(|name| name.iter().all(|byte| is_token(*byte)))
}

fn seconds(value: &[u8]) -> Option<u64> {
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let value = value.strip_suffix(b"\"").unwrap_or(value);
    let digits = value.iter().all(u8::is_ascii_digit);
    digits.then(|| String::from_utf8_lossy(value).parse().unwrap_or(u64::MAX))
}

fn values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes)
}

fn joined(headers: &HeaderMap, name: &str) -> Vec<u8> {
    values(headers, name).collect::<Vec<_>>().join(&b", "[..])
}
