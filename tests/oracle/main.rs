//! The layer as a shared proxy against another reading of the same text: `http-cache-semantics`, in
//! exchanges made at random. Where the two differ the difference is one that is known, or a failure.
#![cfg(feature = "axum")]

mod grammar;
#[path = "../http_support/mod.rs"]
mod http_support;
mod known;
mod other;

use std::collections::BTreeMap;
use std::sync::Mutex;

use grammar::{Case, case};
use http::HeaderMap;
use http_support::*;
use known::{Difference, KNOWN};
use other::Other;
use proptest::test_runner::TestCaseError;

/// What becomes of a request, as its client and its origin see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered with what is stored.
    Reused { age: String, content: Content },
    /// The origin is asked, with these conditions.
    Asked {
        etags: Vec<String>,
        since: Vec<String>,
    },
    /// Nobody is asked, and there is no answer.
    Unavailable,
}

/// What becomes of the origin's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The client gets it: this status.
    With(u16, Stored),
    /// The client gets what was stored, of this status and with these fields.
    Validated(u16, Content, Stored),
    /// It was about another response: the origin is asked once more, without conditions.
    AskedAgain,
}

/// Whether it is stored.
pub(crate) type Stored = bool;

/// Fields of a response that tell how it was stored and updated: its type, its encoding, one of the
/// connection's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content([Option<String>; 3]);

impl Content {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(["content-type", "content-encoding", "x-hop"].map(|name| {
            let value = headers.get(name)?.to_str();
            value.ok().map(str::to_owned)
        }))
    }
}

impl Outcome {
    pub(crate) fn asked(headers: &HeaderMap) -> Self {
        let lines = |name: &str| {
            let lines = headers.get_all(name).iter();
            lines
                .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
                .collect()
        };
        Self::Asked {
            etags: lines("if-none-match"),
            since: lines("if-modified-since"),
        }
    }

    pub(crate) const fn is_asked(&self) -> bool {
        matches!(self, Self::Asked { .. })
    }

    pub(crate) fn is_conditional(&self) -> bool {
        matches!(self, Self::Asked { etags, since } if !etags.is_empty() || !since.is_empty())
    }
}

/// How often what was met: a test that never gets there proves nothing.
static MET: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());

fn met(what: &'static str) {
    *MET.lock().unwrap().entry(what).or_default() += 1;
}

/// Sends the requests of a case to both, as long as they agree.
async fn compare(case: &Case) -> Result<(), TestCaseError> {
    let rig = rig(CacheLayer::shared_proxy().obey_request_directives(case.obeys));
    let mut other = Other::new(case.obeys);
    for at in 0..case.exchanges.len() {
        rig.advance(case.exchanges[at].0);
        if !agree(case, at, &rig, &mut other).await? {
            break;
        }
    }
    Ok(())
}

/// Sends one request more to both; `false` where there is nothing more to compare.
async fn agree(
    case: &Case,
    at: usize,
    rig: &Rig,
    other: &mut Other,
) -> Result<bool, TestCaseError> {
    let exchange = &case.exchanges[at].1;
    let theirs = other.ask(rig, exchange);
    // Who asks for the whole is not told that nothing changed.
    let status = match exchange.status {
        304 if !theirs.is_conditional() => 200,
        status => status,
    };
    rig.unscript();
    rig.origin(status, &exchange.response, "second")
        .origin(200, "", "again");
    let before = rig.asked();
    let method = if exchange.head { "HEAD" } else { "GET" };
    let reply = rig.send(method, "/", &exchange.request).await;
    let seen = &rig.seen_all()[before..];
    let ours = if reply.is_hit() {
        Outcome::Reused {
            age: reply.header("age").unwrap_or_default().to_owned(),
            content: Content::of(&reply.headers),
        }
    } else {
        seen.first()
            .map_or(Outcome::Unavailable, |seen| Outcome::asked(&seen.headers))
    };
    let mut difference = Difference {
        case,
        at,
        status,
        ours: ours.clone(),
        theirs,
        answered: None,
        said: other.kept().into_iter().collect(),
        request: rig.headers(&exchange.request),
        answer: rig.headers(&exchange.response),
    };
    if ours != difference.theirs {
        return explain(&difference);
    }
    met(match &ours {
        Outcome::Reused { .. } => "both reuse",
        Outcome::Unavailable => "both refuse",
        Outcome::Asked { .. } if ours.is_conditional() => "both ask by validators",
        Outcome::Asked { .. } => "both ask",
    });
    if !ours.is_asked() {
        // What is refreshed in the background is the layer's alone.
        rig.settle().await;
        return Ok(rig.asked() == before);
    }
    // An answer to a HEAD is no response to keep.
    if exchange.head {
        return Ok(false);
    }
    let expected = other.answer(rig, exchange, status);
    let stored = reply.own().contains("; stored");
    let answered = match (seen, reply.status.as_u16()) {
        ([_, _, ..], _) => Answered::AskedAgain,
        (_, given) if status == 304 && given != 304 => {
            Answered::Validated(given, Content::of(&reply.headers), stored)
        }
        (_, given) => Answered::With(given, stored),
    };
    if answered != expected {
        difference.answered = Some((answered, expected));
        difference.said.extend(other.last());
        return explain(&difference);
    }
    met(match answered {
        Answered::With(_, true) => "both store",
        Answered::With(_, false) => "both pass on",
        Answered::Validated(..) => "both validate",
        Answered::AskedAgain => "both ask again",
    });
    // With us an answer that is not kept takes the place of what was; the other keeps that.
    let replaced = matches!(answered, Answered::With(_, false)) && other.kept().is_some();
    Ok(answered != Answered::AskedAgain && !other.varied && !replaced)
}

/// Ends a case at a difference: it is known, or a failure.
fn explain(difference: &Difference<'_>) -> Result<bool, TestCaseError> {
    if let Some(known) = difference.known() {
        met(known.why);
        return Ok(false);
    }
    let Difference {
        case,
        at,
        ours,
        theirs,
        answered,
        ..
    } = difference;
    Err(TestCaseError::fail(format!(
        "at {at} of {case:?}\nours:   {ours:?}\ntheirs: {theirs:?}\nanswered: {answered:?}"
    )))
}

#[test]
fn the_layer_differs_only_where_it_is_known_to() {
    // Why it fails says the case, too.
    let cases = check_cases(3_000, &case(), compare, |_| String::new());
    let met = MET.lock().unwrap();
    println!("{cases} cases: {met:#?}");
    if cases >= 100_000 {
        let never = KNOWN.iter().filter(|known| !met.contains_key(known.why));
        let never: Vec<_> = never.map(|known| known.why).collect();
        assert!(never.is_empty(), "never met: {never:#?}");
    }
}
