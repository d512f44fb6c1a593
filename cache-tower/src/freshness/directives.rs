//! The list syntax of `Cache-Control`, in requests and responses alike (RFC 9111, section 5.2).

/// The longest time that is believed, in seconds: RFC 9111, section 1.2.2.
pub(crate) const LONGEST: u32 = 1 << 31;

/// One directive as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Directive<'a> {
    pub(crate) name: &'a [u8],
    /// With its quotes.
    pub(crate) value: Option<&'a [u8]>,
    /// Whether there is no whitespace around its `=`, where none is allowed, and no quote open before
    /// its end: what it allows, or a number, is else not to be trusted.
    pub(crate) sound: bool,
}

impl Directive<'_> {
    /// Whether it has this name, whatever its case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether it is what the syntax says: a token, and perhaps `=` with a token or a quoted string.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.sound && is_token(self.name) && self.value.is_none_or(|v| is_token(v) || is_quoted(v))
    }

    /// Its value as delta-seconds (RFC 9111, section 1.2.2), also where it is quoted.
    pub(crate) fn seconds(&self) -> Option<u32> {
        let value = self.value.filter(|_| self.sound)?;
        let unquoted = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        delta_seconds(unquoted.unwrap_or(value))
    }
}

/// The directives of one line. A quote that is never closed hides none: what follows it may restrict.
pub(crate) fn directives(mut line: &[u8]) -> impl Iterator<Item = Directive<'_>> {
    let mut closed = true;
    std::iter::from_fn(move || {
        loop {
            if line.is_empty() {
                return None;
            }
            let end = line
                .iter()
                .position(|byte| matches!(byte, b'=' | b','))
                .unwrap_or(line.len());
            let (raw_name, rest) = line.split_at(end);
            let name = raw_name.trim_ascii();
            let mut directive = Directive {
                name,
                value: None,
                sound: closed,
            };
            match rest.split_first() {
                Some((b'=', rest)) => {
                    let (raw_value, rest) = split_value(rest).unwrap_or_else(|| {
                        closed = false;
                        split_at_comma(rest)
                    });
                    directive.value = Some(raw_value.trim_ascii());
                    directive.sound = closed
                        && raw_name.last().is_none_or(|byte| !is_space(*byte))
                        && raw_value.first().is_none_or(|byte| !is_space(*byte));
                    line = rest;
                }
                Some((_, rest)) => line = rest,
                None => line = &[],
            }
            if !name.is_empty() || directive.value.is_some() {
                return Some(directive);
            }
        }
    })
}

/// The words of a line, whatever separates them.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| !is_token_byte(*byte))
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether it is one quoted string, from its first byte to its last.
fn is_quoted(text: &[u8]) -> bool {
    let Some(inside) = text.strip_prefix(b"\"") else {
        return false;
    };
    let mut escaped = false;
    let end = inside.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.is_some_and(|end| end + 1 == inside.len())
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The value up to the next comma outside quotes, and what follows that comma; `None` where a quote is
/// never closed.
fn split_value(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some((&rest[..at], &rest[at + 1..])),
            _ => {}
        }
    }
    (!quoted).then_some((rest, &[]))
}

fn split_at_comma(rest: &[u8]) -> (&[u8], &[u8]) {
    let at = rest.iter().position(|&byte| byte == b',');
    at.map_or((rest, &[]), |at| (&rest[..at], &rest[at + 1..]))
}

/// Digits only; more than [`LONGEST`] counts as that.
pub(crate) fn delta_seconds(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().try_fold(0_u32, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u32::from(digit - b'0'))
    });
    Some(value.map_or(LONGEST, |value| value.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let well_formed = |line: &str| directives(line.as_bytes()).all(|d| d.is_well_formed());
        for line in [
            "",
            "a",
            "a=1, ,b=\"c, \\\" d\"\t,",
            "max-age='60'",
            "a=\"\"",
        ] {
            assert!(well_formed(line), "{line}");
        }
        for line in [
            "a b",
            "a; b",
            "a=",
            "=a",
            "a = 1",
            "a=b c",
            "a=\"b\"c",
            "a=\"b\" \"c\"",
            "a=\"b",
            "\"a\"",
        ] {
            assert!(!well_formed(line), "{line}");
        }
    }

    #[test]
    fn lines_are_lists() {
        let parsed = |line: &'static str| -> Vec<_> {
            directives(line.as_bytes())
                .map(|d| {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    (text(d.name), d.value.map(text), d.sound)
                })
                .collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            parsed("a, b=1 ,,\tc=\"x, y\",d =2, e= 3"),
            [
                ("a".to_owned(), None, true),
                ("b".to_owned(), some("1"), true),
                ("c".to_owned(), some("\"x, y\""), true),
                ("d".to_owned(), some("2"), false),
                ("e".to_owned(), some("3"), false),
            ]
        );
        assert!(parsed("").is_empty() && parsed(" , ,").is_empty());
        assert_eq!(parsed("=1, a").len(), 2);
        assert_eq!(
            parsed("a, b=\"1, c, d=2"),
            [
                ("a".to_owned(), None, true),
                ("b".to_owned(), some("\"1"), false),
                ("c".to_owned(), None, false),
                ("d".to_owned(), some("2"), false),
            ]
        );
    }
}
