//! The differences that are known: how the layer reads the text, and why.

use http::HeaderMap;

use super::grammar::Case;
use super::other::Said;
use super::{Answered, Outcome};

/// A difference that was found.
pub(crate) struct Difference<'c> {
    pub(crate) case: &'c Case,
    /// Which of its exchanges it is of.
    pub(crate) at: usize,
    pub(crate) request: HeaderMap,
    /// What was done with the request.
    pub(crate) ours: Outcome,
    pub(crate) theirs: Outcome,
    pub(crate) status: u16,
    pub(crate) answer: HeaderMap,
    /// What was done with the answer, by both, where that is the difference.
    pub(crate) answered: Option<(Answered, Answered)>,
    /// What is stored, or may be.
    pub(crate) said: Vec<Said>,
}

/// Which way the layer differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It reuses what the other asks for, asks by validators where the other has none, or stores what
    /// the other does not.
    More,
    /// It asks where the other reuses, or without validators where the other has some, or does not
    /// store what the other does.
    Less,
    /// Both reuse the same, and say something else of it.
    Says,
    /// Both ask, by other conditions.
    Conditions,
    /// It neither answers nor asks.
    Refuses,
    /// It does something else with the answer.
    Answer,
}

use Way::{Answer, Conditions, Less, More, Refuses, Says};

impl Difference<'_> {
    pub(crate) fn way(&self) -> Way {
        use Answered::{Validated, With};
        match &self.answered {
            Some((With(given, true), With(status, false))) if given == status => return More,
            Some((With(given, false), With(status, true))) if given == status => return Less,
            Some((Validated(_, given, true), Validated(_, content, false))) if given == content => {
                return More;
            }
            Some((Validated(_, given, false), Validated(_, content, true))) if given == content => {
                return Less;
            }
            Some(_) => return Answer,
            None => {}
        }
        match (&self.ours, &self.theirs) {
            (Outcome::Reused { .. }, Outcome::Asked { .. }) => More,
            (Outcome::Asked { .. }, Outcome::Reused { .. }) => Less,
            (Outcome::Reused { .. }, Outcome::Reused { .. }) => Says,
            (Outcome::Unavailable, _) | (_, Outcome::Unavailable) => Refuses,
            (ours, theirs) => match (ours.is_conditional(), theirs.is_conditional()) {
                (true, false) => More,
                (false, true) => Less,
                _ => Conditions,
            },
        }
    }

    /// What explains it.
    pub(crate) fn known(&self) -> Option<&'static Known> {
        let way = self.way();
        KNOWN
            .iter()
            .find(|known| known.ways.contains(&way) && (known.holds)(self))
    }

    fn stored(&self, holds: impl Fn(&Said) -> bool) -> bool {
        self.said.iter().any(holds)
    }

    /// Whether what is stored has a directive of this name, as the layer reads it, that `holds`.
    fn directive(&self, name: &str, holds: impl Fn(Option<&str>) -> bool) -> bool {
        self.stored(|said| {
            let control = list(&said.response, "cache-control");
            control
                .iter()
                .any(|(n, value)| n == name && holds(value.as_deref()))
        })
    }

    /// Whether what is stored has a directive that gives a lifetime, and whose value `holds`.
    fn lifetime(&self, holds: impl Fn(Option<&str>) -> bool) -> bool {
        ["max-age", "s-maxage"]
            .iter()
            .any(|name| self.directive(name, &holds))
    }

    /// Whether what was done with the answer `holds`: by the layer, and by the other.
    fn is(&self, holds: impl Fn(&Answered, &Answered) -> bool) -> bool {
        self.answered
            .as_ref()
            .is_some_and(|(ours, theirs)| holds(ours, theirs))
    }

    /// Whether the request, where it is obeyed, has a directive of this name that `holds`.
    fn demands(&self, name: &str, holds: impl Fn(Option<&str>) -> bool) -> bool {
        self.case.obeys
            && list(&self.request, "cache-control")
                .iter()
                .any(|(n, value)| n == name && holds(value.as_deref()))
    }

    /// Whether the request, where it is obeyed, has `Pragma`.
    fn pragma(&self) -> bool {
        self.case.obeys && self.request.contains_key("pragma")
    }

    /// Whether a response named fields that select.
    fn varied(&self) -> bool {
        let mut before = self.case.exchanges[..self.at].iter();
        before.any(|(_, exchange)| exchange.response.contains("vary:"))
    }

    /// Whether the request has conditions of its own.
    fn conditional(&self) -> bool {
        let conditions = ["if-none-match", "if-modified-since"];
        conditions
            .iter()
            .any(|name| self.request.contains_key(*name))
    }

    /// Whether a line of a field of what is stored `holds`.
    fn line(&self, name: &str, holds: impl Fn(&str) -> bool) -> bool {
        self.stored(|said| lines(&said.response, name).iter().any(|line| holds(line)))
    }
}

/// A difference that is known.
pub(crate) struct Known {
    pub(crate) why: &'static str,
    pub(crate) ways: &'static [Way],
    pub(crate) holds: fn(&Difference<'_>) -> bool,
}

/// The sections are of RFC 9111, where no other is named.
pub(crate) const KNOWN: &[Known] = &[
    // How what is written is read.
    Known {
        why: "4.2.1: a number out of form is 0, and nothing else takes its place",
        ways: &[Less],
        holds: |d| d.lifetime(|value| !value.is_some_and(is_number)),
    },
    Known {
        why: "1.2.2: a number too large to be held is the largest that is",
        ways: &[More, Less],
        holds: |d| {
            let large = |value: Option<&str>| value.is_some_and(|value| value.len() > 19);
            d.lifetime(large) || ["max-age", "min-fresh"].iter().any(|n| d.demands(n, large))
        },
    },
    Known {
        why: "4.2.1: of two different values the smaller counts, and nothing else is forbidden",
        ways: &[More, Less],
        holds: |d| d.stored(|said| contradicts(&said.response)) || contradicts(&d.request),
    },
    Known {
        why: "5.2: the names of directives have no case",
        ways: &[More, Less],
        holds: |d| {
            d.line("cache-control", has_capitals)
                || lines(&d.request, "cache-control")
                    .iter()
                    .any(|l| has_capitals(l))
        },
    },
    Known {
        why: "5.2: what is within quotes is no directive, and after one never closed allows nothing",
        ways: &[More, Less],
        holds: |d| {
            let mut both = d.said.iter().map(|said| &said.response).chain([&d.request]);
            both.any(|headers| {
                let unclosed = |line: &&str| !is_closed(line);
                let control = list(headers, "cache-control");
                let mut values = control.iter().filter_map(|(_, value)| value.as_ref());
                values.any(|value| value.contains(','))
                    || lines(headers, "cache-control").iter().any(unclosed)
            })
        },
    },
    Known {
        why: "5.2: a line out of form is believed in whatever it may forbid",
        ways: &[Less],
        holds: |d| {
            d.line("cache-control", |line| {
                let line = line.to_lowercase();
                let forbids = ["no-store", "no-cache", "private"];
                forbids.iter().any(|word| line.contains(word)) && !is_well_formed(&line)
            })
        },
    },
    Known {
        why: "5.2.2.4, 5.2.2.7: `no-cache` and `private` with names forbid those fields alone",
        ways: &[More],
        holds: |d| {
            let names = |value: Option<&str>| value == Some("\"x-a\"");
            d.directive("no-cache", names) || d.directive("private", names)
        },
    },
    Known {
        why: "5.2.2.9: `public` has no value",
        ways: &[Less],
        holds: |d| d.directive("public", |value| value.is_some()),
    },
    Known {
        why: "RFC 9110, 5.6.7: dates have three forms and no other, in any case",
        ways: &[More, Less, Says],
        holds: |d| {
            ["expires", "date", "last-modified"]
                .iter()
                .any(|name| d.line(name, is_odd_date))
        },
    },
    Known {
        why: "4.2.1: two different `Expires` are none",
        ways: &[Less],
        holds: |d| d.stored(|said| lines(&said.response, "expires").len() > 1),
    },
    Known {
        why: "5.1: a list of ages counts by its first",
        ways: &[Less, Says],
        holds: |d| d.line("age", |line| line.contains(',')),
    },
    // What is stored, and for how long.
    Known {
        why: "3: any final status is understood well enough to be stored as its response says",
        ways: &[More],
        holds: |d| d.stored(|said| !THEIR_STATUSES.contains(&said.status)),
    },
    Known {
        why: "5.2.2.3: `must-understand` is understood",
        ways: &[More, Less],
        holds: |d| d.directive("must-understand", |_| true),
    },
    Known {
        why: "5.2.2.8: `proxy-revalidate` says nothing of what is fresh",
        ways: &[More],
        holds: |d| d.directive("proxy-revalidate", |_| true),
    },
    Known {
        why: "RFC 8246, 2: `immutable` gives no lifetime",
        ways: &[Less],
        holds: |d| d.directive("immutable", |_| true),
    },
    Known {
        why: "7.3: with `Set-Cookie` it is stored where its freshness is explicit, and else not",
        ways: &[More, Less],
        holds: |d| d.line("set-cookie", |_| true),
    },
    Known {
        why: "5.4: `Pragma` is of requests, and only where there is no `Cache-Control`",
        ways: &[More],
        holds: |d| {
            d.line("pragma", |_| true)
                || d.case.obeys
                    && ["pragma", "cache-control"]
                        .iter()
                        .all(|name| d.request.contains_key(*name))
        },
    },
    // Which response is selected.
    Known {
        why: "4.1: a `Vary` that names what is no field is as `*`",
        ways: &[Less],
        holds: |d| d.line("vary", |line| line == "x s"),
    },
    Known {
        why: "4.1: a selecting field is one list, in which order and space may mean nothing, and selects all",
        ways: &[More, Less],
        holds: |d| {
            d.varied()
                && d.stored(|said| {
                    ["x-s", "x-t", "accept-encoding"]
                        .iter()
                        .any(|name| lines(&said.request, name) != lines(&d.request, name))
                })
        },
    },
    // What requests demand.
    Known {
        why: "5.2.1: a demand out of form demands the most that it could",
        ways: &[Less],
        holds: |d| {
            ["max-age", "min-fresh", "max-stale"].iter().any(|name| {
                d.demands(name, |value| {
                    !value.is_some_and(is_number) && (*name != "max-stale" || value.is_some())
                })
            })
        },
    },
    Known {
        why: "5.2.1.2: `max-stale` is met by what is stale for exactly so long",
        ways: &[More],
        holds: |d| d.demands("max-stale", |value| value.is_some()),
    },
    Known {
        why: "4.2.4: `max-stale` does not stand above what forbids to serve stale",
        ways: &[Less],
        holds: |d| {
            d.demands("max-stale", |_| true)
                && ["proxy-revalidate", "s-maxage", "no-cache"]
                    .iter()
                    .any(|name| d.directive(name, |_| true))
        },
    },
    Known {
        why: "5.2.1.7: `only-if-cached` is answered without asking",
        ways: &[Refuses],
        holds: |d| d.demands("only-if-cached", |_| true),
    },
    Known {
        why: "5.2.1.5: a request with `no-store` goes on as it is",
        ways: &[Less],
        holds: |d| d.demands("no-store", |_| true),
    },
    Known {
        why: "4.3.2: who has what is stored already gets a 304, without what describes the body",
        ways: &[Says],
        holds: |d| d.conditional(),
    },
    // What the origin is asked.
    Known {
        why: "4.3.1: a validation has what is stored for its conditions, in the place of the client's",
        ways: &[Conditions],
        holds: |d| d.conditional(),
    },
    Known {
        why: "4.3.5: a HEAD is asked as it is, and its answer compared with what is stored",
        ways: &[Less],
        holds: |d| d.case.exchanges[d.at].1.head,
    },
    // What its answer does.
    Known {
        why: "4.3.4: a 304 that names no validator is about what it was asked for",
        ways: &[Answer],
        holds: |d| {
            !d.answer.contains_key("etag")
                && d.is(|ours, theirs| {
                    matches!(
                        (ours, theirs),
                        (Answered::Validated(..), Answered::AskedAgain)
                    )
                })
        },
    },
    Known {
        why: "4.3.2: a 304 to the client's own condition is the client's",
        ways: &[Answer],
        holds: |d| d.conditional() && d.is(|ours, _| matches!(ours, Answered::With(304, _))),
    },
    Known {
        why: "RFC 9110, 8.8.3.2: a strong tag is not a weak one's",
        ways: &[Answer],
        holds: |d| {
            d.line("etag", |etag| etag.starts_with("W/"))
                && d.is(|ours, theirs| {
                    matches!(
                        (ours, theirs),
                        (Answered::AskedAgain, Answered::Validated(..))
                    )
                })
        },
    },
    Known {
        why: "3.2: a 304 adds the fields that were not there",
        ways: &[Answer],
        holds: |d| {
            d.answer.contains_key("content-type")
                && d.is(|ours, theirs| {
                    matches!(
                        (ours, theirs),
                        (Answered::Validated(..), Answered::Validated(..))
                    )
                })
        },
    },
    Known {
        why: "RFC 5861, 3: `stale-while-revalidate` is served stale",
        ways: &[More],
        holds: |d| d.directive("stale-while-revalidate", |_| true),
    },
    Known {
        why: "RFC 5861, 4: `stale-if-error` is served stale",
        ways: &[Answer],
        holds: |d| d.status >= 500 && d.directive("stale-if-error", |_| true),
    },
    Known {
        why: "5.2.1: what is demanded is advice: where the origin fails, what is fresh will do",
        ways: &[Answer],
        holds: |d| {
            d.status >= 500
                && (d.demands("no-cache", |_| true)
                    || d.demands("max-age", |_| true)
                    || d.demands("min-fresh", |_| true)
                    || d.pragma())
        },
    },
    Known {
        why: "4.2.4: what may be served stale is, while the origin cannot be reached",
        ways: &[Answer],
        holds: |d| d.status == 502,
    },
];

/// Those that the other stores.
const THEIR_STATUSES: [u16; 14] = [
    200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501,
];

/// Whether every value in it is a token or a quoted string.
fn is_well_formed(line: &str) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert("line", line.parse().unwrap());
    let mut values = list(&headers, "line")
        .into_iter()
        .filter_map(|(_, value)| value);
    values.all(|value| {
        let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
        quoted || !value.is_empty() && !value.contains([' ', '"'])
    })
}

/// Digits, in double quotes or not.
fn is_number(value: &str) -> bool {
    let unquoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let digits = unquoted.unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a directive is there with different values. One in quotes is different for the other.
fn contradicts(headers: &HeaderMap) -> bool {
    let all = list(headers, "cache-control");
    all.iter().enumerate().any(|(at, (name, value))| {
        let quoted = value.as_deref().is_some_and(|value| value.contains('"'));
        let again = |(n, v): &(String, _)| n == name && (v != value || quoted);
        all[at + 1..].iter().any(again)
    })
}

fn has_capitals(line: &str) -> bool {
    line.chars().any(|c| c.is_ascii_uppercase())
}

/// Whether it is a date in another form than the one that is to be written.
fn is_odd_date(text: &str) -> bool {
    let is_date = text.contains(":00");
    is_date && !(text.ends_with(" GMT") && text.as_bytes()[3] == b',')
}

/// The members of a list that are separated by commas outside quotes, or by all where a quote is never
/// closed; names in lower case, values as they are. Whitespace around `=` stays with the value.
fn list(headers: &HeaderMap, name: &str) -> Vec<(String, Option<String>)> {
    let mut members = Vec::new();
    for line in lines(headers, name) {
        let closed = is_closed(line);
        let mut start = 0;
        for end in 0..=line.len() {
            let ends = end == line.len() || line.as_bytes()[end] == b',';
            if !ends || closed && !is_closed(&line[start..end]) {
                continue;
            }
            let member = &line[start..end];
            start = end + 1;
            let (name, value) = match member.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (member, None),
            };
            let space = if name.ends_with(' ') { " " } else { "" };
            let value = value.map(|value| format!("{space}{}", value.trim_end()));
            members.push((name.trim().to_lowercase(), value));
        }
    }
    members
}

/// Whether every quote in it is closed.
fn is_closed(text: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

fn lines<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    let lines = headers.get_all(name).iter();
    lines.map(|line| line.to_str().unwrap()).collect()
}
