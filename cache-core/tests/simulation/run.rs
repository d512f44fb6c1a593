//! Runs of many seeds, on all cores; of one, with all that happened in it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::faults::Class;
use crate::timeline::lock;
use crate::world::{Ended, Seen, run};

/// Of all classes together, where nothing else is said: an unoptimised build takes its time.
const SEEDS: u64 = 40;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// Runs the seeds that are of a class, or the one of `SEED`.
pub(crate) fn explore(class: Class) {
    if let Some(seed) = number("SEED") {
        if Class::of(seed) == class {
            replay(class, seed);
        }
        return;
    }
    let first = number("FIRST_SEED").unwrap_or(0);
    let end = first + number("SEEDS").unwrap_or(SEEDS);
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let failed = Mutex::new(None::<(u64, String)>);
    let all = Mutex::new((0, Seen::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || lock(&failed).is_some() {
                return;
            }
            if Class::of(seed) != class {
                continue;
            }
            match attempt(class, seed) {
                Ok(seen) => {
                    let mut all = lock(&all);
                    all.0 += 1;
                    all.1.add(&seen);
                }
                Err(why) => drop(lock(&failed).get_or_insert((seed, why))),
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    if let Some((seed, why)) = lock(&failed).take() {
        panic!("seed {seed}: {why}\n\n    SEED={seed} ./scripts/test simulation\n");
    }
    let (seeds, seen) = &*lock(&all);
    println!(
        "{class:?}: {seeds} seeds in {:.1?}: {seen:?}",
        began.elapsed()
    );
    if *seeds >= 1000 {
        seen.check(class);
    }
}

fn attempt(class: Class, seed: u64) -> Result<Seen, String> {
    let ended = catch_unwind(AssertUnwindSafe(|| run(class, seed, false)));
    match ended {
        Ok(Ended {
            failure: Some(why), ..
        }) => Err(why),
        Ok(Ended { seen, .. }) => Ok(seen),
        Err(_) => Err("it panicked".into()),
    }
}

fn replay(class: Class, seed: u64) {
    let ended = run(class, seed, true);
    for line in &ended.told {
        println!("{line}");
    }
    println!("{:?}", ended.seen);
    if let Some(why) = ended.failure {
        panic!("seed {seed}: {why}");
    }
}

impl Seen {
    fn each(&self) -> [(&'static str, &AtomicU64); 14] {
        [
            ("reads", &self.reads),
            ("stale", &self.stale),
            ("timeouts", &self.timeouts),
            ("queued", &self.queued),
            ("hits", &self.hits),
            ("shared", &self.shared),
            ("refused", &self.refused),
            ("learned", &self.learned),
            ("epochs", &self.epochs),
            ("resets", &self.resets),
            ("ended", &self.ended),
            ("more", &self.more),
            ("heads", &self.heads),
            ("pages", &self.pages),
        ]
    }

    fn add(&self, other: &Self) {
        for ((_, sum), (_, more)) in self.each().into_iter().zip(other.each()) {
            sum.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// What never happened was not tested.
    fn check(&self, class: Class) {
        for (name, count) in self.each() {
            let only_with_faults = ["queued", "epochs", "resets", "ended", "more"].contains(&name);
            assert!(
                count.load(Ordering::Relaxed) > 0 || (only_with_faults && class == Class::Calm),
                "{name}: never in all seeds of {class:?}"
            );
        }
    }
}
