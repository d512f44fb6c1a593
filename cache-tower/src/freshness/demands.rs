//! What a request demands of a stored response by `Cache-Control` (RFC 9111, section 5.2.1), for
//! layers that obey it.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

use super::directives::{LONGEST, directives};

/// The directives of a request. What cannot be read demands the most it could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demands {
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
    max_age: Option<Duration>,
    min_fresh: Option<Duration>,
    max_stale: Option<Duration>,
}

/// What is known of a stored response at the moment of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stands {
    pub(crate) age: Duration,
    pub(crate) fresh_for: Duration,
    /// How long ago its lifetime ended. `None` where it may not be served stale: by what it says, or
    /// since it was invalidated.
    pub(crate) expired_for: Option<Duration>,
}

impl Demands {
    /// Those of a request, of two the stricter; `Pragma: no-cache` counts where there is no `Cache-Control` (section 5.4).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut demands = Self::default();
        let mut lines = headers.get_all(CACHE_CONTROL).iter().peekable();
        if lines.peek().is_none() {
            demands.no_cache = headers
                .get_all(PRAGMA)
                .iter()
                .flat_map(|line| directives(line.as_bytes()))
                .any(|directive| directive.name.eq_ignore_ascii_case(b"no-cache"));
            return demands;
        }
        for directive in lines.flat_map(|line| directives(line.as_bytes())) {
            let is = |name: &str| directive.name.eq_ignore_ascii_case(name.as_bytes());
            let seconds =
                |unread: u32| Duration::from_secs(directive.seconds().unwrap_or(unread).into());
            if is("no-cache") {
                demands.no_cache = true;
            } else if is("no-store") {
                demands.no_store = true;
            } else if is("only-if-cached") {
                demands.only_if_cached = true;
            } else if is("max-age") {
                let said = seconds(0);
                demands.max_age = Some(demands.max_age.map_or(said, |known| known.min(said)));
            } else if is("min-fresh") {
                let said = seconds(LONGEST);
                demands.min_fresh = Some(demands.min_fresh.map_or(said, |known| known.max(said)));
            } else if is("max-stale") {
                // Without a value, however stale it is.
                let however = directive.value.is_none() && directive.sound;
                let said = seconds(if however { LONGEST } else { 0 });
                demands.max_stale = Some(demands.max_stale.map_or(said, |known| known.min(said)));
            }
        }
        demands
    }

    /// Whether they demand anything of what is stored.
    pub(crate) const fn any(&self) -> bool {
        self.no_cache
            || self.max_age.is_some()
            || self.min_fresh.is_some()
            || self.max_stale.is_some()
    }

    /// Whether a stored response will do as it is.
    pub(crate) fn met_by(&self, stands: &Stands) -> bool {
        let young = self.max_age.is_none_or(|most| stands.age <= most);
        let lasting = self.min_fresh.is_none_or(|least| stands.fresh_for >= least);
        let fresh = !stands.fresh_for.is_zero()
            || stands
                .expired_for
                .zip(self.max_stale)
                .is_some_and(|(over, most)| !most.is_zero() && over <= most);
        !self.no_cache && young && lasting && fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Demands {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, text.parse().unwrap());
        Demands::of(&headers)
    }

    #[test]
    fn demands_are_met_or_not() {
        let stands = |age, fresh_for, expired_for: Option<u64>| Stands {
            age: Duration::from_secs(age),
            fresh_for: Duration::from_secs(fresh_for),
            expired_for: expired_for.map(Duration::from_secs),
        };
        let fresh = stands(30, 30, Some(0));
        let stale = stands(90, 0, Some(30));
        let strict = stands(90, 0, None);
        for (text, on_fresh, on_stale, on_strict) in [
            ("", true, false, false),
            ("foo, bar=1", true, false, false),
            ("max-age=30", true, false, false),
            ("max-age=29", false, false, false),
            ("max-age=x", false, false, false),
            ("min-fresh=30", true, false, false),
            ("min-fresh=31", false, false, false),
            ("min-fresh=x", false, false, false),
            ("max-stale", true, true, false),
            ("max-stale=30", true, true, false),
            ("max-stale=29", true, false, false),
            ("max-stale=\"30\"", true, true, false),
            ("max-stale=x", true, false, false),
            ("max-stale=30, max-stale=1", true, false, false),
            ("max-age=1, max-age=1000", false, false, false),
            ("max-age=1000, max-age=1", false, false, false),
            ("min-fresh=31, min-fresh=1", false, false, false),
            ("a=\"b, max-stale", true, false, false),
            ("max-stale=30, max-age=90", true, true, false),
            ("max-stale=30, max-age=60", true, false, false),
            ("No-Cache", false, false, false),
            ("no-store", true, false, false),
            ("only-if-cached", true, false, false),
        ] {
            let demands = of(text);
            let found = [fresh, stale, strict].map(|stands| demands.met_by(&stands));
            assert_eq!(found, [on_fresh, on_stale, on_strict], "{text}");
        }
    }

    #[test]
    fn pragma_stands_in_for_what_is_missing() {
        let mut headers = HeaderMap::new();
        assert!(!Demands::of(&headers).any());
        headers.insert(PRAGMA, "no-cache".parse().unwrap());
        assert!(Demands::of(&headers).no_cache);
        headers.insert(CACHE_CONTROL, "max-stale".parse().unwrap());
        assert!(!Demands::of(&headers).no_cache);
    }
}
