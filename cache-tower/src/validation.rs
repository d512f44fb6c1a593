//! Validating what is stored (RFC 9111, section 4.3): the layer's own conditional requests, and what
//! their answers change.

use http::header::{
    AGE, CACHE_STATUS, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderName,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};

use crate::conditional::opaque;
use crate::stored::without;

/// What the origin said to know a response by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validators {
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
}

impl Validators {
    /// Those of a stored response; `None` where it has none. `own_etag`: its `ETag` is the layer's,
    /// of which the origin knows nothing.
    pub(crate) fn of(headers: &HeaderMap, own_etag: bool) -> Option<Self> {
        let validators = Self {
            etag: headers.get(ETAG).filter(|_| !own_etag).cloned(),
            modified: headers.get(LAST_MODIFIED).cloned(),
        };
        let any = validators.etag.is_some() || validators.modified.is_some();
        any.then_some(validators)
    }

    /// Makes a request conditional on them, whatever it was conditional on before.
    pub(crate) fn ask(&self, request: &mut HeaderMap) {
        for (name, value) in [
            (IF_NONE_MATCH, &self.etag),
            (IF_MODIFIED_SINCE, &self.modified),
        ] {
            match value {
                Some(value) => drop(request.insert(name, value.clone())),
                None => drop(request.remove(name)),
            }
        }
    }

    /// Whether an answer with these headers is about the response that has these validators
    /// (RFC 9111, section 4.3.4). One that names none is about what it was asked for.
    pub(crate) fn are_of(&self, answer: &HeaderMap) -> bool {
        let modified = answer.get(LAST_MODIFIED);
        match (answer.get(ETAG), &self.etag) {
            (Some(named), Some(known)) if is_weak(named) => {
                opaque(known.as_bytes()) == opaque(named.as_bytes())
            }
            (Some(named), Some(known)) => known == named,
            // A tag that is not stored: a weak one may be of the same response, a strong one is not.
            (Some(named), None) => is_weak(named) && modified == self.modified.as_ref(),
            (None, _) => match (modified, &self.modified) {
                (Some(named), Some(known)) => named == known,
                _ => true,
            },
        }
    }
}

fn is_weak(etag: &HeaderValue) -> bool {
    etag.as_bytes().starts_with(b"W/")
}

/// What a 304 does not change, since it belongs to the bytes that are stored (RFC 9111, section 3.2).
const OF_THE_BYTES: [HeaderName; 3] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE];

/// Updates stored headers by those of an answer, [`clean`](crate::stored::clean)ed already: field by
/// field, whatever the answer names. When it was made and its age are of the answer alone.
pub(crate) fn update(stored: &mut HeaderMap, answer: &HeaderMap) {
    let of_the_answer = |name: &HeaderName| [DATE, AGE, CACHE_STATUS].contains(name);
    *stored = without(stored, |name| {
        of_the_answer(name) && !answer.contains_key(name)
    });
    for name in answer.keys().filter(|name| !OF_THE_BYTES.contains(name)) {
        let mut values = answer.get_all(name).iter();
        if let Some(first) = values.next() {
            stored.insert(name.clone(), first.clone());
        }
        for value in values {
            stored.append(name.clone(), value.clone());
        }
    }
}

/// What an answer to a HEAD says of the stored response (RFC 9111, section 4.3.5): `Some(true)` that
/// it is current, `Some(false)` that it is not, `None` nothing.
pub(crate) fn head_confirms(answer: &HeaderMap, stored: &HeaderMap, length: usize) -> Option<bool> {
    let same = |name| {
        answer
            .get(&name)
            .map(|value| stored.get(&name) == Some(value))
    };
    // A length of 0 is what some routers write who do not know it.
    let as_long = answer
        .get(CONTENT_LENGTH)
        .filter(|value| *value != "0")
        .map(|value| value.as_bytes() == length.to_string().as_bytes());
    let validators = [same(ETAG), same(LAST_MODIFIED)];
    if as_long == Some(false) || validators.contains(&Some(false)) {
        return Some(false);
    }
    validators.contains(&Some(true)).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    const EARLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATE: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn requests_name_what_is_stored_and_nothing_else() {
        let etag = ("etag", "W/\"a\"");
        let modified = ("last-modified", EARLY);
        for (stored, own_etag, expected) in [
            (vec![], false, None),
            (vec![etag], true, None),
            (vec![etag], false, Some((Some("W/\"a\""), None))),
            (vec![modified], false, Some((None, Some(EARLY)))),
            (
                vec![etag, modified],
                false,
                Some((Some("W/\"a\""), Some(EARLY))),
            ),
            (vec![etag, modified], true, Some((None, Some(EARLY)))),
        ] {
            let found = Validators::of(&headers(&stored), own_etag).map(|validators| {
                let mut request = headers(&[
                    ("if-none-match", "\"x\""),
                    ("if-none-match", "\"y\""),
                    ("if-modified-since", LATE),
                ]);
                validators.ask(&mut request);
                assert!(request.get_all(IF_NONE_MATCH).iter().count() <= 1);
                let text = |name| request.get(name).map(|v: &HeaderValue| v.to_str().unwrap());
                let text = |name| text(name).map(str::to_owned);
                (text(IF_NONE_MATCH), text(IF_MODIFIED_SINCE))
            });
            let expected = expected.map(|(a, b): (Option<&str>, Option<&str>)| {
                (a.map(str::to_owned), b.map(str::to_owned))
            });
            assert_eq!(found, expected, "{stored:?}");
        }
    }

    #[test]
    fn answers_about_others_confirm_nothing() {
        let of = |lines: &[(&str, &str)]| Validators::of(&headers(lines), false).unwrap();
        let (strong, weak) = (of(&[("etag", "\"a\"")]), of(&[("etag", "W/\"a\"")]));
        let dated = of(&[("last-modified", EARLY)]);
        for (validators, answer, expected) in [
            (&strong, vec![], true),
            (&strong, vec![("etag", "\"a\"")], true),
            (&strong, vec![("etag", "W/\"a\"")], true),
            (&strong, vec![("etag", "\"b\"")], false),
            (&weak, vec![("etag", "\"a\"")], false),
            (&weak, vec![("etag", "W/\"b\"")], false),
            (&dated, vec![("last-modified", EARLY)], true),
            (&dated, vec![("last-modified", LATE)], false),
            (&dated, vec![("etag", "\"b\"")], false),
            (
                &dated,
                vec![("etag", "\"b\""), ("last-modified", EARLY)],
                false,
            ),
            (&dated, vec![("etag", "W/\"b\"")], false),
            (
                &dated,
                vec![("etag", "W/\"b\""), ("last-modified", EARLY)],
                true,
            ),
            (&strong, vec![("last-modified", LATE)], true),
        ] {
            assert_eq!(validators.are_of(&headers(&answer)), expected, "{answer:?}");
        }
    }

    #[test]
    fn updates_go_field_by_field() {
        let mut stored = headers(&[
            ("date", EARLY),
            ("age", "5"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("content-type", "text/plain"),
            ("content-encoding", "gzip"),
            ("x-b", "1"),
        ]);
        update(
            &mut stored,
            &headers(&[
                ("x-a", "3"),
                ("x-c", "1"),
                ("x-c", "2"),
                ("content-type", "text/html"),
                ("content-encoding", "br"),
                ("content-length", "0"),
            ]),
        );
        let left: Vec<_> = stored
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        let mut left: Vec<&str> = left.iter().map(String::as_str).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                "content-encoding: gzip",
                "content-type: text/html",
                "x-a: 3",
                "x-b: 1",
                "x-c: 1",
                "x-c: 2"
            ]
        );
    }

    #[test]
    fn heads_are_compared_by_what_they_name() {
        let stored = headers(&[("etag", "\"a\""), ("last-modified", EARLY)]);
        for (answer, expected) in [
            (vec![], None),
            (vec![("content-length", "3")], None),
            (vec![("content-length", "4")], Some(false)),
            (vec![("content-length", "0")], None),
            (vec![("etag", "\"a\"")], Some(true)),
            (
                vec![("etag", "\"a\""), ("content-length", "4")],
                Some(false),
            ),
            (vec![("etag", "\"b\"")], Some(false)),
            (vec![("last-modified", EARLY)], Some(true)),
            (vec![("last-modified", LATE)], Some(false)),
        ] {
            let found = head_confirms(&headers(&answer), &stored, 3);
            assert_eq!(found, expected, "{answer:?}");
        }
    }
}
