//! Targeted cache control (RFC 9213): a field such as `CDN-Cache-Control`, a structured dictionary
//! that stands for `Cache-Control` and `Expires` together where it is valid.

use http::HeaderMap;
use http::header::HeaderName;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::CacheControl;
use super::directives::LONGEST;

/// What the field says; `None` where it is absent, empty, or no valid dictionary
/// (RFC 9213, section 2.1).
pub(super) fn read(headers: &HeaderMap, name: &HeaderName) -> Option<CacheControl> {
    let lines: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect();
    if lines.is_empty() {
        return None;
    }
    let text = lines.join(&b", "[..]);
    let dictionary: Dictionary = Parser::new(&text).parse().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut control = CacheControl {
        targeted: true,
        ..CacheControl::default()
    };
    for (key, member) in &dictionary {
        control.add_member(key.as_str(), member);
    }
    let is_set = |member: &ListEntry| matches!(member, ListEntry::Item(item) if item.bare_item == BareItem::Boolean(true));
    control.no_store &= !dictionary.get("must-understand").is_some_and(is_set);
    Some(control)
}

impl CacheControl {
    /// A value of a type that the directive does not have makes it unknown, and so ignored; what
    /// only restricts restricts all the same.
    fn add_member(&mut self, key: &str, member: &ListEntry) {
        let item = match member {
            ListEntry::Item(item) => Some(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        let is_set = item == Some(&BareItem::Boolean(true));
        let is_unset = item == Some(&BareItem::Boolean(false));
        let seconds = || match item {
            Some(BareItem::Integer(number)) => {
                let number = i64::from(*number).clamp(0, LONGEST.into());
                u32::try_from(number).ok()
            }
            _ => None,
        };
        match key {
            "no-store" => self.no_store = !is_unset,
            "no-cache" => self.no_cache = !is_unset,
            "private" => self.private = !is_unset,
            "must-revalidate" => self.must_revalidate = !is_unset,
            "proxy-revalidate" => self.proxy_revalidate = !is_unset,
            "must-understand" => self.must_understand = !is_unset,
            "public" => self.public = is_set,
            "max-age" => self.max_age = seconds(),
            "s-maxage" => self.s_maxage = seconds(),
            "stale-while-revalidate" => self.stale_while_revalidate = seconds(),
            "stale-if-error" => self.stale_if_error = seconds(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Option<CacheControl> {
        let name = HeaderName::from_static("cdn-cache-control");
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, line.parse().unwrap());
        }
        read(&headers, &name)
    }

    #[test]
    fn dictionaries() {
        for (lines, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["max-age=60"], Some(Some(60))),
            (&["max-age=60", "no-transform"], Some(Some(60))),
            (&["max-age=60;a=b"], Some(Some(60))),
            (&["max-age=1, max-age=60"], Some(Some(60))),
            (&["max-age=-1"], Some(Some(0))),
            (&["max-age=99999999999"], Some(Some(LONGEST))),
            (&["max-age=60.0"], Some(None)),
            (&["max-age=\"60\""], Some(None)),
            (&["max-age"], Some(None)),
            (&["public"], Some(None)),
            (&["max-age=60, &&&"], None),
            (&["Max-Age=60"], None),
            (&["max-age = 60"], None),
            (&["max-age=60,"], None),
        ] {
            assert_eq!(
                of(lines).map(|control| control.max_age),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn what_restricts_restricts_in_any_form() {
        for (line, no_store) in [
            ("no-store", true),
            ("no-store=?1", true),
            ("no-store=?0", false),
            ("no-store=1", true),
            ("no-store=(a)", true),
            ("max-age=60", false),
        ] {
            assert_eq!(of(&[line]).unwrap().no_store, no_store, "{line}");
        }
        assert!(of(&["private=\"x-user\""]).unwrap().private);
        assert!(!of(&["public=1"]).unwrap().public);
    }
}
