//! What goes wrong in a run, and when.

use std::time::Duration;

use fastrand::Rng;

use crate::network::{CALM, Cut, Weather};
use crate::node::{Habits, Settings};
use crate::source::{KINDS, ROWS};

/// What may go wrong at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Calm,
    SingleServer,
    Failovers,
}

impl Class {
    /// The class of a seed.
    pub(crate) const fn of(seed: u64) -> Self {
        match seed % 8 {
            0 => Self::Calm,
            1..=4 => Self::SingleServer,
            _ => Self::Failovers,
        }
    }

    /// After an acknowledgement everybody knows by then.
    pub(crate) fn promised(self, bound: Duration) -> Duration {
        match self {
            // The log is followed: that takes a few messages.
            Self::Calm => Duration::from_millis(30),
            Self::SingleServer | Self::Failovers => bound,
        }
    }
}

/// A node's clock runs ahead of others by no more in the end.
const MOST_AHEAD: u64 = 2_000;
/// A sleep is noticed that is longer than a second.
const NAP: std::ops::Range<u64> = 1_050..2_000;

/// One thing that goes wrong, or is well again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Weather(Weather),
    Cut(usize, Cut),
    /// Its connections break.
    Broken(usize),
    Freeze(usize),
    Thaw(usize),
    Crash(usize),
    Start(usize),
    /// A node's clock goes on by so much at once.
    Jump(usize, Duration),
    /// A node's machine sleeps for so long: its clock stands still.
    Sleep(usize, Duration),
    /// It wakes, where it has slept for as long.
    Wake(usize),
    /// Somebody sets a node's wall time, by so many milliseconds.
    Wall(usize, i64),
    /// The server's clock goes on by so much at once.
    ServerAhead(Duration),
    /// A node's process is told to end: its clients do, and what it has to tell is told.
    Stop(usize),
    /// Nobody can connect, and connections break.
    Down,
    Up,
    /// The server starts anew with what it had, or with nothing; `unseen`: behind a proxy, which keeps the
    /// connections.
    Restart {
        keeping: bool,
        unseen: bool,
    },
    /// A copy of what the server holds is kept.
    Snapshot,
    /// The server starts anew with what the last copy holds.
    RestartOlder {
        unseen: bool,
    },
    /// The last copy takes over.
    Failover,
    /// Who is still connected to a server that is not in charge is no longer.
    OldEnds,
    Flush,
    /// So many of a hundred entries and records are evicted; by a number of its own.
    Evict(u32, u64),
    LogLength(usize),
    /// The server shows so many records of the log at once.
    AtOnce(usize),
}

/// What a run is like.
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) settings: Settings,
    pub(crate) faults: Vec<(Duration, Fault)>,
    /// When all is well again.
    pub(crate) until: Duration,
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Habits {
    fn of(rng: &mut Rng, until: Duration) -> Self {
        let some = rng.usize(1..=KINDS.len());
        Self {
            kinds: rng.choose_multiple(KINDS, some),
            rows: rng.choice([1, 2, ROWS]).unwrap_or(ROWS),
            changes: rng.u8(2..35),
            changes_until: until.mul_f64(rng.choice([0.4, 0.8, 1.0, 2.0]).unwrap_or(1.0)),
            slow: rng.choice([1, 5, 25]).unwrap_or(5),
            pause: rng.choice([20_000, 60_000, 150_000]).unwrap_or(60_000),
        }
    }
}

impl Plan {
    pub(crate) fn of(class: Class, rng: &mut Rng) -> Self {
        let until = millis(if class == Class::Calm { 1_000 } else { 2_500 });
        let nodes = rng.usize(2..4);
        let bound = millis(500);
        let settings = Settings {
            bound,
            remote_timeout: millis(60),
            delivery_limit: millis(150),
            wait_limit: millis(400),
            max_local_age: millis(rng.choice([300, 1_500, 60_000]).unwrap_or(300)),
            lease: millis(rng.choice([0, 0, 30]).unwrap_or(0)),
            loads: rng.choice([2, 8, 1024]).unwrap_or(8),
            clients: rng.usize(2..4),
            habits: Habits::of(rng, until),
        };
        let mut plan = Self {
            nodes,
            settings,
            faults: Vec::new(),
            until,
        };
        if class != Class::Calm {
            if rng.bool() {
                let short = Fault::LogLength(rng.usize(1..8));
                plan.faults.push((Duration::ZERO, short));
            }
            if rng.u8(0..4) == 0 {
                let few = Fault::AtOnce(rng.usize(1..4));
                plan.faults.push((Duration::ZERO, few));
            }
            for _ in 0..rng.usize(1..9) {
                plan.add(class, rng);
            }
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    fn add(&mut self, class: Class, rng: &mut Rng) {
        let at = millis(rng.u64(50..self.until.as_millis() as u64 - 100));
        let node = rng.usize(0..self.nodes);
        // Some are shorter than the bound, some longer.
        let end = at + millis(rng.u64(10..1_200));
        let mut add = |at: Duration, fault| self.faults.push((at.min(self.until), fault));
        match rng.u8(0..if class == Class::Failovers { 28 } else { 24 }) {
            0..2 => {
                let cut = match rng.u8(0..3) {
                    0 => (true, true),
                    1 => (true, false),
                    _ => (false, true),
                };
                let (requests, replies) = cut;
                add(at, Fault::Cut(node, Cut { requests, replies }));
                add(end, Fault::Cut(node, Cut::default()));
            }
            2 => {
                for node in 0..self.nodes {
                    self.faults.push((at, Fault::Broken(node)));
                }
            }
            3 => add(at, Fault::Broken(node)),
            4..6 => {
                add(at, Fault::Freeze(node));
                add(end, Fault::Thaw(node));
            }
            6 => {
                add(at, Fault::Crash(node));
                add(end, Fault::Start(node));
            }
            7 => add(at, Fault::Jump(node, millis(rng.u64(1..MOST_AHEAD)))),
            8..10 => {
                let slow = Weather {
                    slowest: rng.u64(20_000..150_000),
                    ..CALM
                };
                add(at, Fault::Weather(slow));
                add(end, Fault::Weather(CALM));
            }
            10..12 => {
                let bad = Weather {
                    slowest: 30_000,
                    lost: rng.u32(1..40),
                    twice: rng.u32(0..30),
                    ..CALM
                };
                add(at, Fault::Weather(bad));
                add(end, Fault::Weather(CALM));
            }
            12 => {
                add(at, Fault::Down);
                add(end, Fault::Up);
            }
            13 => {
                let (keeping, unseen) = (rng.bool(), rng.bool());
                add(at, Fault::Restart { keeping, unseen });
            }
            14 => {
                add(at, Fault::Snapshot);
                let unseen = rng.bool();
                add(end, Fault::RestartOlder { unseen });
            }
            15 => add(at, Fault::Flush),
            16 => add(at, Fault::Evict(rng.u32(10..100), rng.u64(..))),
            17 => add(at, Fault::LogLength(rng.usize(1..8))),
            18..21 => {
                // Long enough before all is well.
                let at = at.min(self.until - millis(NAP.start + 50));
                let nap = millis(rng.u64(NAP));
                add(at, Fault::Sleep(node, nap));
                add(at + nap, Fault::Wake(node));
                // Mostly it is a while until its network is back.
                let back = at + nap + millis(rng.u64(0..900));
                match rng.u8(0..4) {
                    0 => add(at, Fault::Broken(node)),
                    1 => {}
                    _ => {
                        let (requests, replies) = (true, true);
                        add(at, Fault::Cut(node, Cut { requests, replies }));
                        add(back, Fault::Cut(node, Cut::default()));
                    }
                }
            }
            21 => {
                let by = rng.i64(-120_000..120_000);
                add(at, Fault::Wall(node, by));
            }
            22 => add(at, Fault::ServerAhead(millis(rng.u64(1_000..180_000)))),
            23 => {
                add(at, Fault::Stop(node));
                add(end, Fault::Crash(node));
                add(end + millis(rng.u64(0..500)), Fault::Start(node));
            }
            _ => {
                // The replica lags a little, and the old one does not know at once.
                let after = at + millis(rng.u64(0..200));
                add(at, Fault::Snapshot);
                add(after, Fault::Failover);
                add(after + millis(rng.u64(0..600)), Fault::OldEnds);
            }
        }
    }
}
