//! `Cache-Control` as a response carries it (RFC 9111, section 5.2), read with caution: what
//! restricts is believed in any form, what allows only in the right one.

use http::HeaderMap;
use http::header::CACHE_CONTROL;

/// The directives of a response that a shared cache heeds.
///
/// `private` and `no-cache` with field names count as the whole response, which the RFC allows.
/// Where a number is given twice the smaller counts; a malformed one counts as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheControl {
    /// Whether there was a `Cache-Control` field at all.
    pub(crate) present: bool,
    /// `no-store`
    pub(crate) no_store: bool,
    /// `no-cache`
    pub(crate) no_cache: bool,
    /// `private`
    pub(crate) private: bool,
    /// `public`
    pub(crate) public: bool,
    /// `must-revalidate`
    pub(crate) must_revalidate: bool,
    /// `proxy-revalidate`
    pub(crate) proxy_revalidate: bool,
    /// `max-age`, in seconds
    pub(crate) max_age: Option<u32>,
    /// `s-maxage`, in seconds
    pub(crate) s_maxage: Option<u32>,
    /// `stale-while-revalidate` (RFC 5861), in seconds
    pub(crate) stale_while_revalidate: Option<u32>,
    /// `stale-if-error` (RFC 5861), in seconds
    pub(crate) stale_if_error: Option<u32>,
}

/// The longest time that is believed: RFC 9111, section 1.2.2.
pub(crate) const LONGEST: u32 = 1 << 31;

impl CacheControl {
    /// Reads all `Cache-Control` lines.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            control.present = true;
            control.read_line(line.as_bytes());
        }
        control
    }

    fn read_line(&mut self, mut line: &[u8]) {
        while !line.is_empty() {
            let name_end = line
                .iter()
                .position(|b| matches!(b, b'=' | b','))
                .unwrap_or(line.len());
            let (raw_name, rest) = line.split_at(name_end);
            let name = raw_name.trim_ascii();
            match rest.split_first() {
                Some((b'=', rest)) => {
                    let (raw_value, rest) = split_value(rest);
                    // No whitespace is allowed around `=`; a number so written is not to be trusted.
                    let tight = !raw_name.ends_with(b" ")
                        && !raw_name.ends_with(b"\t")
                        && !raw_value.starts_with(b" ")
                        && !raw_value.starts_with(b"\t");
                    self.directive(name, Some(raw_value.trim_ascii()), tight);
                    line = rest;
                }
                Some((_, rest)) => {
                    self.directive(name, None, true);
                    line = rest;
                }
                None => {
                    self.directive(name, None, true);
                    return;
                }
            }
        }
    }

    fn directive(&mut self, name: &[u8], value: Option<&[u8]>, tight: bool) {
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        let seconds = || {
            let value = value.filter(|_| tight)?;
            let unquoted = value
                .strip_prefix(b"\"")
                .and_then(|v| v.strip_suffix(b"\""));
            delta_seconds(unquoted.unwrap_or(value))
        };
        let least = |known: Option<u32>, new: u32| Some(known.map_or(new, |known| known.min(new)));
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache = true;
        } else if is("private") {
            self.private = true;
        } else if is("public") {
            self.public |= value.is_none();
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("max-age") {
            self.max_age = least(self.max_age, seconds().unwrap_or(0));
        } else if is("s-maxage") {
            self.s_maxage = least(self.s_maxage, seconds().unwrap_or(0));
        } else if is("stale-while-revalidate") {
            self.stale_while_revalidate =
                least(self.stale_while_revalidate, seconds().unwrap_or(0));
        } else if is("stale-if-error") {
            self.stale_if_error = least(self.stale_if_error, seconds().unwrap_or(0));
        }
    }

    /// Whether it lets a shared cache store the response to a request with `Authorization`
    /// (RFC 9111, section 3.5).
    pub(crate) const fn shares_authorized(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }

    /// Whether it forbids serving the response once it is stale (RFC 9111, section 4.2.4).
    pub(crate) const fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_some() || self.no_cache
    }
}

/// The value up to the next comma outside quotes, and what follows that comma.
fn split_value(rest: &[u8]) -> (&[u8], &[u8]) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return (&rest[..at], &rest[at + 1..]),
            _ => {}
        }
    }
    (rest, &[])
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

    fn of(lines: &[&str]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, line.parse().unwrap());
        }
        CacheControl::of(&headers)
    }

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("max-age=60", Some(60)),
            ("MAX-AGE=60", Some(60)),
            ("max-age=\"60\"", Some(60)),
            ("max-age=060", Some(60)),
            (" , ,max-age=60,", Some(60)),
            ("max-age=60, max-age=30", Some(30)),
            ("max-age=99999999999999999999", Some(LONGEST)),
            ("max-age=2147483649", Some(LONGEST)),
            ("max-age=-1", Some(0)),
            ("max-age=1.5", Some(0)),
            ("max-age=", Some(0)),
            ("max-age", Some(0)),
            ("max-age=60s", Some(0)),
            ("max-age='60'", Some(0)),
            ("max-age =60", Some(0)),
            ("max-age= 60", Some(0)),
            ("x=\"max-age=60\"", None),
            ("x=\", max-age=60\"", None),
            ("x=\"a\\\", max-age=60\"", None),
            ("max-ages=60", None),
            ("x-max-age=60", None),
        ] {
            assert_eq!(of(&[text]).max_age, expected, "{text}");
        }
    }

    #[test]
    fn words() {
        assert!(of(&["foo", "bar, No-Store"]).no_store);
        assert!(of(&["private=\"x-user\""]).private);
        assert!(of(&["no-cache=\"set-cookie, etag\", max-age=5"]).no_cache);
        assert_eq!(
            of(&["no-cache=\"set-cookie, etag\", max-age=5"]).max_age,
            Some(5)
        );
        assert!(!of(&["foo=\"no-store\""]).no_store);
        assert!(of(&["no-store=1"]).no_store);
        assert!(!of(&["public=x"]).public);
        assert!(of(&["\tpublic\t"]).public);
        assert!(!CacheControl::of(&HeaderMap::new()).present);
    }

    #[test]
    fn unterminated_quotes_allow_nothing() {
        let control = of(&["x=\"never closed, max-age=60"]);
        assert_eq!(control.max_age, None);
    }
}
