//! What is promised, and whether it was kept: what a read may get that begins now.
//!
//! An invalidation demands the versions that the rows it covers had when it was called. The demand holds
//!
//! - on the node that called it, from its return on, whatever is cut off;
//! - on all nodes, from the bound after its acknowledgement on; where replicas take over, only once the
//!   faults have ended, and if the process that called it lives;
//! - on all nodes, once the faults have ended and all was delivered, whether it was acknowledged or not,
//!   if its process lives, or ended when all was told;
//! - for who was given its position, at once.
//!
//! A node whose machine has slept may go on for a moment by what held when it fell asleep.
//!
//! A soft one demands as much of what is not marked stale, and of what is once the window has passed, which opens
//! where a node hears of it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cache_core::Reason;

use crate::faults::Class;
use crate::responses::Given;
use crate::source::{GROUPS, Key, Kind, ROWS, Versions, WINDOW, row_and_version};

const NOTHING: Versions = [0; ROWS];

/// What an invalidation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Covers {
    Row(usize),
    Group(usize),
    Everything,
    Key(Key),
    /// The responses of a kind about a row, or all of them.
    Pages(Kind, Option<usize>),
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
    hard: Floor,
    soft: Floor,
    /// Of soft ones whose windows have passed.
    past: Floor,
}

#[derive(Clone, Debug, Default)]
struct Floor {
    rows: Versions,
    keys: HashMap<Key, Versions>,
    pages: HashMap<(Kind, usize), Versions>,
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

/// The sleep of a node's machine, and the moment after it in which the node has not noticed.
#[derive(Clone, Debug)]
struct Nap {
    fell_asleep: Duration,
    /// When it has noticed.
    until: Duration,
    /// What held everywhere when it fell asleep.
    everywhere: Floors,
    /// What was to hold on it alone; its clock stands still.
    coming: Vec<(Duration, Holding)>,
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
    /// The same of responses that this process made: hard, soft, and past the window.
    here: [Versions; 3],
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
    asleep: HashMap<usize, Nap>,
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
                Covers::Everything | Covers::Key(_) | Covers::Pages(..) => true,
            };
            if covered {
                *floor = self.versions[row].max(*floor);
            }
        }
    }
}

impl Floors {
    fn hold(&mut self, demand: Demand, past: bool) {
        match demand.soft {
            _ if past => self.past.hold(demand),
            true => self.soft.hold(demand),
            false => self.hard.hold(demand),
        }
    }
}

impl Floor {
    fn hold(&mut self, demand: Demand) {
        match demand.covers {
            Covers::Key(key) => demand.raise(self.keys.entry(key).or_default()),
            Covers::Pages(kind, row) => {
                for row in row.map_or(0..ROWS, |row| row..row + 1) {
                    demand.raise(self.pages.entry((kind, row)).or_default());
                }
            }
            _ => demand.raise(&mut self.rows),
        }
    }

    /// What a read of a key may get at least. `here`: of what was made where the demands were called.
    fn of(&self, key: Key, here: bool) -> Versions {
        let removed = self.keys.get(&key);
        // What a page is made of is not removed with it.
        let removed = removed.filter(|_| key.kind != Kind::Page);
        let removed = removed.copied().unwrap_or(NOTHING);
        let page = self.pages.get(&(key.kind, key.row()));
        let mut page = page.copied().unwrap_or(NOTHING);
        if !here {
            // Elsewhere the values that a response is made of may be from before.
            let own = key.rows();
            let others = page.iter_mut().enumerate();
            let others = others.filter(|(row, _)| !own.contains(row));
            others.for_each(|(_, floor)| *floor = 0);
        }
        higher(self.rows, higher(removed, page))
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
            asleep: HashMap::new(),
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

    /// A process has told all it had to tell, and ends.
    pub(crate) fn drained(&mut self, now: Duration, process: (usize, u32)) {
        let calls = self.calls.iter().enumerate();
        let told = calls.filter(|(_, call)| call.by == process && !call.acknowledged);
        let told: Vec<_> = told.map(|(number, _)| number).collect();
        for call in told {
            self.acknowledged(now, call);
        }
    }

    /// A node's machine falls asleep.
    pub(crate) fn falls_asleep(&mut self, now: Duration, node: usize) {
        self.hold_what_is_due(now);
        let all = std::mem::take(&mut self.coming).into_iter();
        let of_it = |(_, holding): &(_, Holding)| holding.at.is_some_and(|(at, _)| at == node);
        let (coming, others): (BTreeMap<_, _>, _) = all.partition(of_it);
        self.coming = others;
        let coming = coming.into_iter();
        // It has not noticed yet that it slept before.
        let before = self.asleep.remove(&node).filter(|nap| now <= nap.until);
        let nap = Nap {
            fell_asleep: now,
            until: Duration::MAX,
            everywhere: before.map_or_else(|| self.everywhere.clone(), |nap| nap.everywhere),
            coming: coming.map(|((from, _), holding)| (from, holding)).collect(),
        };
        self.asleep.insert(node, nap);
    }

    /// It wakes; it notices once it runs.
    pub(crate) fn wakes(&mut self, now: Duration, node: usize) {
        let Some(nap) = self.asleep.get_mut(&node) else {
            return;
        };
        let slept = now - nap.fell_asleep;
        for (from, holding) in std::mem::take(&mut nap.coming) {
            self.hold_from(from + slept, holding);
        }
    }

    /// A node freezes: it notices nothing.
    pub(crate) fn freezes(&mut self, now: Duration, node: usize) {
        let nap = self.asleep.get_mut(&node);
        if let Some(nap) = nap.filter(|nap| now <= nap.until) {
            nap.until = Duration::MAX;
        }
    }

    /// A node runs, and has noticed by then that it slept.
    pub(crate) fn runs(&mut self, node: usize, noticed: Duration) {
        if let Some(nap) = self.asleep.get_mut(&node) {
            nap.until = nap.until.min(noticed);
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

    fn hold_what_is_due(&mut self, now: Duration) {
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
    }

    /// A read begins. `told`: of what its reader was given the position.
    pub(crate) fn begins(
        &mut self,
        now: Duration,
        on: (usize, u32),
        key: Key,
        told: Option<Demand>,
    ) -> Allowed {
        self.hold_what_is_due(now);
        let here = self.nodes.entry(on).or_default();
        let nap = self.asleep.get(&on.0).filter(|nap| now <= nap.until);
        let everywhere = nap.map_or(&self.everywhere, |nap| &nap.everywhere);
        let mut elsewhere = everywhere.hard.of(key, false);
        if let Some(told) = told.filter(|told| !told.soft) {
            let mut floor = Floor::default();
            floor.hold(told);
            elsewhere = higher(elsewhere, floor.of(key, false));
        }
        Allowed {
            key,
            least: here.hard.of(key, false),
            elsewhere,
            fresh: higher(here.soft.of(key, false), everywhere.soft.of(key, false)),
            stale: higher(here.past.of(key, false), everywhere.past.of(key, false)),
            here: [&here.hard, &here.soft, &here.past].map(|floor| floor.of(key, true)),
            settled: self.settled,
        }
    }
}

impl Allowed {
    /// What is wrong with what was read, if anything.
    pub(crate) fn wrong(&self, given: &Given) -> Option<String> {
        let Given {
            ref value,
            reason,
            here,
        } = *given;
        let (window, on_error) = match self.key.kind {
            Kind::Window | Kind::View | Kind::Overview => (true, false),
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
        let [hard, soft, past] = self.here;
        let made = higher(hard, if stale { past } else { soft });
        if here {
            least = higher(least, made);
        }
        value.iter().find_map(|read| {
            let (row, version) = row_and_version(*read);
            (version < least[row]).then(|| {
                let of = |which: &str, floors: Versions| match floors[row] {
                    floor if floor > version => format!(", {which} {floor}"),
                    _ => String::new(),
                };
                format!(
                    "version {version} of row {row} was given as {reason}{}{}{}{}{}",
                    of("after this node dropped all before", self.least),
                    of("after another dropped all before", self.elsewhere),
                    of("after a soft invalidation of all before", self.fresh),
                    of("past the window of all before", self.stale),
                    of("made here after its path was dropped of all before", made),
                )
            })
        })
    }
}
