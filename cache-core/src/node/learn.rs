//! What the log shows is applied here, and what that proves.
//!
//! A node is current as of the moment before it asked, where the answer shows that the last record it had
//! applied is in the log, by id and nonce, and it has applied all that come after. Silence proves nothing:
//! after a loss, an idle log looks healthy from an old position for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Known, Node};
use crate::clock::Offsets;
use crate::engine::Engine;
use crate::marks::Kind;
use crate::remote::{Bookmark, Logged, Position, Session, Since};
use crate::sync::lock;
use crate::tag::TagName;

/// A question to the log, as it was asked.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) session: Arc<dyn Session>,
    pub(crate) at: Option<Position>,
    resets: u64,
    sent: u64,
    offsets: Offsets,
}

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// The node is current as of when it asked.
    Current,
    /// There is more: ask again.
    More,
    /// It says nothing about what is known by now: ask again.
    Nothing,
}

impl Node {
    /// What is asked now, in the session there is.
    pub(crate) fn ask(&self, engine: &Engine) -> Option<Asked> {
        let known = lock(&self.known);
        Some(Asked {
            session: known.session.clone()?,
            at: known.at,
            resets: known.resets,
            sent: engine.clock.now().0,
            offsets: engine.clock.offsets(),
        })
    }

    /// The position from which the log is followed.
    pub(super) fn follow_from(&self) -> Option<Position> {
        let known = lock(&self.known);
        known.last_ahead.or(known.at)
    }

    /// Whether everything up to there has been applied here; `None` where it is no position of the log that
    /// this node goes by.
    pub(crate) fn has_reached(&self, bookmark: &Bookmark) -> Option<bool> {
        let known = lock(&self.known);
        (known.epoch.as_ref() == Some(&bookmark.epoch))
            .then(|| known.at.is_some_and(|at| at.id >= bookmark.at.id))
    }
}

impl Engine {
    /// Goes by a session from now on. Of another server than before nothing is known: all that was is void.
    pub(super) fn adopt(self: &Arc<Self>, node: &Node, session: &Arc<dyn Session>) {
        let mut known = lock(&node.known);
        known.session = Some(Arc::clone(session));
        if known.epoch.as_ref() == Some(session.epoch()) {
            return;
        }
        let before = known.epoch.replace(Arc::clone(session.epoch()));
        known.at = None;
        self.forget(&mut known);
        if before.is_some() {
            node.counters.epochs.count();
            #[cfg(feature = "tracing")]
            tracing::warn!(
                epoch = &**session.epoch(),
                "the remote is another server than before: the cache begins anew"
            );
            // It may have heard nothing of what the former one acknowledged, to this node or to others. And one that
            // was in charge before, was out of reach and did not stop is the same as ever, with all that it held.
            node.outbox.add(Kind::Hard, &[TagName::all()]);
        }
    }

    /// Invalidates everything here. What was asked before says nothing any more.
    fn forget(self: &Arc<Self>, known: &mut Known) {
        known.resets += 1;
        known.ahead.clear();
        known.last_ahead = None;
        self.invalidate_here(Kind::Hard, &[TagName::all()]);
    }

    /// Learns from the answer to a question.
    pub(crate) fn learn(self: &Arc<Self>, node: &Node, asked: &Asked, since: Since) -> Learned {
        let learned = {
            let mut known = lock(&node.known);
            if known.resets != asked.resets {
                return Learned::Nothing;
            }
            let learned = match since {
                Since::After { records, more } => {
                    self.learn_records(node, &mut known, records);
                    if more {
                        Learned::More
                    } else {
                        Learned::Current
                    }
                }
                // Another answer came first.
                Since::Lost { .. } if known.at != asked.at => Learned::Nothing,
                Since::Lost { last } => {
                    if known.at.is_some() {
                        node.counters.resets.count();
                        #[cfg(feature = "tracing")]
                        tracing::warn!(
                            "the log does not reach back to what this node knows: its cache begins anew"
                        );
                    }
                    // The position first, then the mark: what comes after the one is still to be applied, and
                    // what came before it was no later than the other.
                    known.at = Some(last);
                    self.forget(&mut known);
                    Learned::Current
                }
            };
            if learned == Learned::Current {
                node.answers();
            }
            if learned == Learned::Current && !asked.offsets.parted(self.clock.offsets()) {
                self.prove(node, asked.sent);
            }
            learned
        };
        self.store_lets_go();
        node.tell();
        learned
    }

    fn learn_records(self: &Arc<Self>, node: &Node, known: &mut Known, records: Vec<Logged>) {
        for logged in records {
            let applied = known.ahead.remove(&logged.at.nonce);
            if known.at.is_some_and(|at| at.id >= logged.at.id) {
                continue;
            }
            if !applied {
                self.apply(node, &logged);
            }
            // Its marks are set.
            known.at = Some(logged.at);
        }
        if known.last_ahead.is_some_and(|last| known.at >= Some(last)) {
            known.last_ahead = None;
            known.ahead.clear();
        }
    }

    /// Applies records that were followed. They prove nothing: whether one is missing before them is
    /// shown by the next answer to a question.
    pub(super) fn learn_ahead(self: &Arc<Self>, node: &Node, asked: &Asked, records: Vec<Logged>) {
        {
            let mut known = lock(&node.known);
            if known.resets != asked.resets {
                return;
            }
            for logged in records {
                if known.at.is_some_and(|at| at.id >= logged.at.id) {
                    continue;
                }
                if known.ahead.insert(logged.at.nonce) {
                    self.apply(node, &logged);
                }
                known.last_ahead = known.last_ahead.max(Some(logged.at));
            }
        }
        self.store_lets_go();
        node.tell();
    }

    fn prove(&self, node: &Node, sent: u64) {
        let before = node.last_current.fetch_max(sent, Ordering::AcqRel);
        if sent > before && node.is_bounded() {
            let until = sent.saturating_add(node.least_bound());
            self.ledger.prove_until(until);
        }
    }

    /// Takes back what was proven: the machine slept since.
    pub(super) fn disprove(&self, node: &Node) {
        // Proofs are published under this lock.
        let _known = lock(&node.known);
        if node.is_bounded() {
            node.last_current.store(0, Ordering::Release);
            self.ledger.disprove(self.clock.now().0);
        }
    }

    fn apply(self: &Arc<Self>, node: &Node, logged: &Logged) {
        let Some(record) = &logged.record else {
            return self.invalidate_here(Kind::Hard, &[TagName::all()]);
        };
        // One's own were applied before they were sent.
        if record.origin == node.origin {
            return;
        }
        node.counters.learned.count();
        let named = |names: &[Arc<str>]| names.iter().map(TagName::from_raw).collect::<Vec<_>>();
        for (kind, names) in [(Kind::Hard, &record.hard), (Kind::Soft, &record.soft)] {
            if !names.is_empty() {
                self.invalidate_here(kind, &named(names));
            }
        }
        for key in record.keys.iter().filter_map(|place| node.key_of(place)) {
            self.detach_and_remove_held(&key.as_ref());
        }
    }
}
