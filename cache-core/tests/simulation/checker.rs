//! What is promised, and whether it was kept: what a read may get that begins now.
//!
//! An invalidation demands the versions that the rows it covers had when it was called. The demand holds
//!
//! - on the node that called it, from its return on, whatever is cut off;
//! - on all nodes, from the bound after its acknowledgement on; where replicas take over, only once the
//!   faults have ended, and if the process that called it lives;
//! - on all nodes, once the faults have ended and all was delivered, whether it was acknowledged or not,
//!   if its process lives;
//! - for who was given its position, at once.
//!
//! A soft one demands as much of what is not marked stale, and of what is once the window has passed, which opens
//! where a node hears of it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cache_core::Reason;

use crate::faults::Class;
use crate::source::{GROUPS, Key, Kind, ROWS, Value, Versions, WINDOW, row_and_version};

const NOTHING: Versions = [0; ROWS];

/// What an invalidation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Covers {
    Row(usize),
    Group(usize),
    Everything,
    Key(Key),
}

/// What an invalidation demands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) covers: Covers,
    pub(crate) soft: bool,
    versions: Versions,
}

/// The sum of the demands that hold for somebody.
#[derive(Clone, Debug, Default)]
struct Floors {
    hard: Versions,
    soft: Versions,
    /// Of soft ones whose windows have passed.
    past: Versions,
    keys: HashMap<Key, Versions>,
}

/// From when on a demand holds, and for whom.
#[derive(Clone, Copy, Debug)]
struct Holding {
    demand: Demand,
    /// A node's process, or all.
    at: Option<(usize, u32)>,
    past: bool,
}

/// A call of an invalidation.
#[derive(Clone, Copy, Debug)]
struct Called {
    demand: Demand,
    at: Duration,
    by: (usize, u32),
    acknowledged: bool,
    /// Its process is no more, and nobody need have heard of it.
    lost: bool,
}

/// What one read may get.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    key: Key,
    /// Of anything.
    least: Versions,
    /// Of what other nodes dropped: not of what is served on an error to who asked for that.
    elsewhere: Versions,
    /// Of what is not marked stale.
    fresh: Versions,
    /// Of what is.
    stale: Versions,
    /// All was delivered: a node knows what others dropped.
    settled: bool,
}

/// Knows all invalidations.
#[derive(Debug)]
pub(crate) struct Checker {
    bound: Duration,
    /// Whether the bound holds while there are faults.
    at_all_times: bool,
    everywhere: Floors,
    nodes: HashMap<(usize, u32), Floors>,
    coming: BTreeMap<(Duration, u64), Holding>,
    number: u64,
    calls: Vec<Called>,
    settled: bool,
    /// Whether every node hears of everything within the bound.
    all_hear: bool,
}

impl Demand {
    fn raise(self, floors: &mut Versions) {
        for (row, floor) in floors.iter_mut().enumerate() {
            let covered = match self.covers {
                Covers::Row(one) => one == row,
                Covers::Group(group) => row % GROUPS == group,
                Covers::Everything | Covers::Key(_) => true,
            };
            if covered {
                *floor = self.versions[row].max(*floor);
            }
        }
    }
}

impl Floors {
    fn hold(&mut self, demand: Demand, past: bool) {
        match demand.covers {
            Covers::Key(key) => demand.raise(self.keys.entry(key).or_default()),
            _ if past => demand.raise(&mut self.past),
            _ if demand.soft => demand.raise(&mut self.soft),
            _ => demand.raise(&mut self.hard),
        }
    }

    fn of(&self, key: Key) -> Versions {
        let removed = self.keys.get(&key);
        // What a page is made of is not removed with it.
        let removed = removed.filter(|_| key.kind != Kind::Page);
        higher(self.hard, removed.copied().unwrap_or(NOTHING))
    }
}

fn higher(one: Versions, other: Versions) -> Versions {
    std::array::from_fn(|row| one[row].max(other[row]))
}

impl Checker {
    pub(crate) fn new(class: Class, bound: Duration) -> Self {
        Self {
            bound,
            at_all_times: class != Class::Failovers,
            all_hear: class == Class::Calm,
            everywhere: Floors::default(),
            nodes: HashMap::new(),
            coming: BTreeMap::new(),
            number: 0,
            calls: Vec::new(),
            settled: false,
        }
    }

    fn hold_from(&mut self, from: Duration, holding: Holding) {
        self.number += 1;
        self.coming.insert((from, self.number), holding);
    }

    /// An invalidation was called, and has returned.
    pub(crate) fn called(
        &mut self,
        now: Duration,
        by: (usize, u32),
        covers: Covers,
        soft: bool,
        versions: Versions,
    ) -> usize {
        let demand = Demand {
            covers,
            soft,
            versions,
        };
        self.nodes.entry(by).or_default().hold(demand, false);
        if soft {
            let at = Some(by);
            let past = true;
            self.hold_from(now + WINDOW, Holding { demand, at, past });
        }
        self.calls.push(Called {
            demand,
            at: now,
            by,
            acknowledged: false,
            lost: false,
        });
        self.calls.len() - 1
    }

    /// The acknowledgement of a call was received.
    pub(crate) fn acknowledged(&mut self, now: Duration, call: usize) -> Demand {
        self.calls[call].acknowledged = true;
        let demand = self.calls[call].demand;
        if self.at_all_times || self.settled {
            self.hold_everywhere(now + self.bound, demand);
        }
        demand
    }

    fn hold_everywhere(&mut self, from: Duration, demand: Demand) {
        let at = None;
        let past = false;
        self.hold_from(from, Holding { demand, at, past });
        // The window opens where a node hears of it, which it may long after.
        if demand.soft && self.all_hear {
            let past = true;
            self.hold_from(from + WINDOW, Holding { demand, at, past });
        }
    }

    /// A process is no more: what it had not told is lost with it.
    pub(crate) fn crashed(&mut self, process: (usize, u32)) {
        self.nodes.remove(&process);
        for call in self.calls.iter_mut().filter(|call| call.by == process) {
            call.lost = !(self.at_all_times && call.acknowledged);
        }
    }

    /// The faults have ended, and all had the time to hear of what was called before then.
    pub(crate) fn settle(&mut self, now: Duration, called_before: Duration) {
        self.settled = true;
        self.all_hear = true;
        let all = self.calls.iter();
        let kept = all.filter(|call| !call.lost && call.at < called_before);
        let demands: Vec<_> = kept.map(|call| call.demand).collect();
        for demand in demands {
            self.hold_everywhere(now, demand);
        }
    }

    /// A read begins. `told`: of what its reader was given the position.
    pub(crate) fn begins(
        &mut self,
        now: Duration,
        on: (usize, u32),
        key: Key,
        told: Option<Demand>,
    ) -> Allowed {
        while let Some(first) = self.coming.first_entry()
            && first.key().0 < now
        {
            let Holding { demand, at, past } = first.remove();
            match at {
                None => self.everywhere.hold(demand, past),
                Some(process) => {
                    if let Some(floors) = self.nodes.get_mut(&process) {
                        floors.hold(demand, past);
                    }
                }
            }
        }
        let here = self.nodes.entry(on).or_default();
        let mut elsewhere = self.everywhere.of(key);
        if let Some(told) = told.filter(|told| !told.soft) {
            match told.covers {
                Covers::Key(other) if other != key || key.kind == Kind::Page => {}
                _ => told.raise(&mut elsewhere),
            }
        }
        Allowed {
            key,
            least: here.of(key),
            elsewhere,
            fresh: higher(here.soft, self.everywhere.soft),
            stale: higher(here.past, self.everywhere.past),
            settled: self.settled,
        }
    }
}

impl Allowed {
    /// What is wrong with what was read, if anything.
    pub(crate) fn wrong(&self, value: &Value, reason: Reason) -> Option<String> {
        let (window, on_error) = match self.key.kind {
            Kind::Window => (true, false),
            Kind::Fallback => (false, true),
            _ => (false, false),
        };
        // A value is also said to be stale that was proven again before its load ended.
        let stale = reason == Reason::Stale && (window || on_error);
        let mut least = self.least;
        if !(stale && on_error) || self.settled {
            least = higher(least, self.elsewhere);
        }
        if !stale {
            least = higher(least, self.fresh);
        } else if window {
            least = higher(least, self.stale);
        }
        value.iter().find_map(|read| {
            let (row, version) = row_and_version(*read);
            (version < least[row]).then(|| {
                let of = |which: &str, floors: Versions| match floors[row] {
                    floor if floor > version => format!(", {which} {floor}"),
                    _ => String::new(),
                };
                format!(
                    "version {version} of row {row} was given as {reason}{}{}{}{}",
                    of("after this node dropped all before", self.least),
                    of("after another dropped all before", self.elsewhere),
                    of("after a soft invalidation of all before", self.fresh),
                    of("past the window of all before", self.stale),
                )
            })
        })
    }
}
