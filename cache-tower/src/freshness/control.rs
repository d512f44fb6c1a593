//! `Cache-Control` as a response carries it (RFC 9111, section 5.2.2), read with caution: what
//! restricts is believed in any form, what allows only in the right one.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName};
use smallvec::SmallVec;

use super::directives::{Directive, directives, words};
use super::targeted;

/// The directives of a response that a shared cache heeds.
///
/// Where a number is given twice the smaller counts; a malformed one counts as 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheControl {
    /// Whether it was a targeted field (RFC 9213): then `Expires` is not heeded either.
    pub(crate) targeted: bool,
    /// Unless `must-understand` lifts it (RFC 9111, section 5.2.2.3).
    pub(crate) no_store: bool,
    /// Without field names, or with some that cannot be read.
    pub(crate) no_cache: bool,
    /// Without field names, or with some that cannot be read.
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    /// Seconds, as all that follow.
    pub(crate) max_age: Option<u32>,
    pub(crate) s_maxage: Option<u32>,
    /// RFC 5861, section 3.
    pub(crate) stale_while_revalidate: Option<u32>,
    /// RFC 5861, section 4.
    pub(crate) stale_if_error: Option<u32>,
    /// The fields that `private` and `no-cache` name: they are for the first client alone.
    pub(crate) omitted: SmallVec<[HeaderName; 2]>,
}

impl CacheControl {
    /// Reads all `Cache-Control` lines.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        let lines = || {
            let lines = headers.get_all(CACHE_CONTROL).iter();
            lines.map(http::HeaderValue::as_bytes)
        };
        let is_well_formed = |line: &[u8]| directives(line).all(|d| d.is_well_formed());
        let mut lifted = false;
        for line in lines() {
            directives(line).for_each(|directive| control.add(&directive));
            lifted |= is_well_formed(line) && directives(line).any(|d| d.is("must-understand"));
        }
        control.no_store &= !lifted;
        // What cannot be read comes last, so that nothing else takes back what it forbids.
        for line in lines().filter(|line| !is_well_formed(line)) {
            control.believe(line);
        }
        control
    }

    /// Reads the first of the targeted fields that is there and valid (RFC 9213, section 2.2), else
    /// `Cache-Control`.
    pub(crate) fn targeted(headers: &HeaderMap, targets: &[HeaderName]) -> Self {
        targets
            .iter()
            .find_map(|name| targeted::read(headers, name))
            .unwrap_or_else(|| Self::of(headers))
    }

    fn add(&mut self, directive: &Directive<'_>) {
        let is = |name| directive.is(name);
        let least = |known: Option<u32>| {
            let new = directive.seconds().unwrap_or(0);
            Some(known.map_or(new, |known| known.min(new)))
        };
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache |= !self.omit(directive);
        } else if is("private") {
            self.private |= !self.omit(directive);
        } else if is("public") {
            self.public |= directive.value.is_none() && directive.sound;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("max-age") {
            self.max_age = least(self.max_age);
        } else if is("s-maxage") {
            self.s_maxage = least(self.s_maxage);
        } else if is("stale-while-revalidate") {
            self.stale_while_revalidate = least(self.stale_while_revalidate);
        } else if is("stale-if-error") {
            self.stale_if_error = least(self.stale_if_error);
        }
    }

    /// Believes whatever a line that is out of form may forbid.
    fn believe(&mut self, line: &[u8]) {
        for word in words(line) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            self.no_store |= is("no-store");
            self.no_cache |= is("no-cache");
            self.private |= is("private");
        }
    }

    /// Takes the field names of a directive; `false` where it has none, or some that cannot be read.
    fn omit(&mut self, directive: &Directive<'_>) -> bool {
        let names = directive.value.filter(|_| directive.sound);
        let Some(names) = names.and_then(field_names) else {
            return false;
        };
        self.omitted.extend(names);
        true
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

/// The field names of `private="a, b"`; `None` where there are none or one of them is none.
fn field_names(value: &[u8]) -> Option<SmallVec<[HeaderName; 2]>> {
    let list = match value.strip_prefix(b"\"") {
        Some(quoted) => quoted.strip_suffix(b"\"")?,
        None => value,
    };
    let names: SmallVec<_> = list
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
        .map(|name| HeaderName::from_bytes(name).ok())
        .collect::<Option<_>>()?;
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::super::directives::LONGEST;
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
        assert!(!of(&["foo=\"no-store\""]).no_store);
        assert!(of(&["no-store=1"]).no_store);
        assert!(!of(&["public=x"]).public);
        assert!(of(&["\tpublic\t"]).public);
    }

    #[test]
    fn field_names_restrict_fields_and_nothing_else_does() {
        for (text, private, no_cache, omitted) in [
            ("private=\"x-user\"", false, false, "x-user"),
            ("private=x-user", false, false, "x-user"),
            (
                "no-cache=\"Set-Cookie, etag\", max-age=5",
                false,
                false,
                "set-cookie etag",
            ),
            ("private=\" , a ,\"", false, false, "a"),
            ("private", true, false, ""),
            ("private=\"x-user\", private", true, false, "x-user"),
            ("private=\"\"", true, false, ""),
            ("private=", true, false, ""),
            ("private=\"a b\"", true, false, ""),
            ("no-cache=\"unclosed", false, true, ""),
            ("no-cache=\"a\\\"b\"", false, true, ""),
        ] {
            let control = of(&[text]);
            let names: Vec<_> = control.omitted.iter().map(HeaderName::as_str).collect();
            assert_eq!(
                (control.private, control.no_cache, &*names.join(" ")),
                (private, no_cache, omitted),
                "{text}"
            );
        }
    }

    #[test]
    fn whatever_forbids_in_a_line_out_of_form_is_believed() {
        for text in [
            "max-age=60; no-store",
            "public no-store",
            "foo=1 No-Store, max-age=60",
            "\"no-store\"",
            "must-understand, no-store; max-age=60",
        ] {
            for lines in [[text, "foo"], [text, "must-understand"]] {
                let control = of(&lines);
                assert!(control.no_store, "{text}");
            }
        }
        assert!(of(&["a; private"]).private && of(&["a b, c=no-cache d"]).no_cache);
        assert!(of(&["a; private=\"x-a\""]).private);
        assert!(!of(&["a; x-no-store, no-stores"]).no_store);
    }

    #[test]
    fn only_a_line_in_form_lifts_no_store() {
        for (lines, no_store) in [
            (&["no-store, must-understand"][..], false),
            (&["no-store", "must-understand"], false),
            (&["no-store", "n o, must-understand"], true),
            (&["no-store", "x=\"never closed, must-understand"], true),
        ] {
            let control = of(lines);
            assert_eq!(control.no_store, no_store, "{lines:?}");
            assert!(control.must_understand, "{lines:?}");
        }
    }

    #[test]
    fn unterminated_quotes_allow_nothing() {
        for text in ["x=\"never closed, ", "max-age=\"60, ", "x=\"a\\\", "] {
            let allowing = of(&[&format!("{text}max-age=60, public, must-understand")]);
            assert_eq!(allowing.max_age, Some(0), "{text}");
            assert!(!allowing.public, "{text}");
            assert!(of(&[&format!("{text}no-store")]).no_store, "{text}");
            assert!(of(&[&format!("{text}private=\"a\"")]).private, "{text}");
        }
    }
}
