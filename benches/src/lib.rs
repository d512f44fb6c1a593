//! The harness of the benchmarks: both sides of a comparison run in one process, turn by turn in
//! rounds shorter than a scheduler's slice, and what is told are medians and the median of the
//! ratios within rounds. A machine that is busy with something else slows both sides of a round.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

pub mod pages;
pub mod server;

/// How long one side runs before the next one's turn.
const TURN: Duration = Duration::from_micros(400);
/// Turns of each side.
const ROUNDS: usize = 401;

/// One side of a comparison: does a thing so many times, and says how long that took. Making ready
/// (building requests, cloning services) stays outside of what it says.
pub struct Side<'a> {
    name: String,
    run: Box<dyn Fn(u64) -> Duration + Sync + 'a>,
}

impl std::fmt::Debug for Side<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<'a> Side<'a> {
    /// A side that measures itself.
    pub fn new(name: &str, run: impl Fn(u64) -> Duration + Sync + 'a) -> Self {
        Self {
            name: name.to_owned(),
            run: Box::new(run),
        }
    }

    /// How many times it fits into a turn.
    fn calibrate(&self) -> u64 {
        (self.run)(64);
        let mut times = 64;
        loop {
            let took = (self.run)(times);
            if took >= TURN / 2 || times > 1 << 24 {
                let scaled = times as u128 * TURN.as_nanos() / took.as_nanos().max(1);
                return u64::try_from(scaled).unwrap_or(1).max(1);
            }
            times *= 2;
        }
    }
}

/// What was measured: nanoseconds for one operation of each side, by round.
#[derive(Debug)]
pub struct Report {
    names: Vec<String>,
    nanos: Vec<Vec<f64>>,
}

fn quantile(mut values: Vec<f64>, at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * at).round() as usize]
}

impl Report {
    /// The median of a side, in nanoseconds for one operation.
    #[must_use]
    pub fn median(&self, side: usize) -> f64 {
        quantile(self.nanos[side].clone(), 0.5)
    }

    /// `side` over `base`, within rounds: the median and the quartiles.
    #[must_use]
    pub fn ratio(&self, side: usize, base: usize) -> [f64; 3] {
        let ratios: Vec<f64> = self.nanos[side]
            .iter()
            .zip(&self.nanos[base])
            .map(|(side, base)| side / base)
            .collect();
        [0.5, 0.25, 0.75].map(|at| quantile(ratios.clone(), at))
    }

    /// Prints a table: medians, and each side over the sides `bases`.
    pub fn print(&self, title: &str, bases: &[usize]) {
        println!("\n### {title}\n");
        print!("| side | ns |");
        bases
            .iter()
            .for_each(|base| print!(" over {} (quartiles) |", self.names[*base]));
        print!("\n|---|---:|");
        bases.iter().for_each(|_| print!("---:|"));
        println!();
        for (side, name) in self.names.iter().enumerate() {
            print!("| {name} | {:.1} |", self.median(side));
            for base in bases {
                let [median, low, high] = self.ratio(side, *base);
                print!(" {median:.2} ({low:.2} to {high:.2}) |");
            }
            println!();
        }
    }
}

/// Runs all sides, turn by turn, on each of `threads` threads; all threads take the same turns.
///
/// # Panics
///
/// Where a side does.
#[must_use]
pub fn compare(runtime: &Runtime, threads: usize, sides: &[Side<'_>]) -> Report {
    let _guard = runtime.enter();
    let times: Vec<u64> = sides.iter().map(Side::calibrate).collect();
    let barrier = Barrier::new(threads);
    let turns = || {
        let mut nanos = vec![Vec::with_capacity(ROUNDS); sides.len()];
        for round in 0..ROUNDS {
            for turn in 0..sides.len() {
                let side = (round + turn) % sides.len();
                if threads > 1 {
                    barrier.wait();
                }
                let took = (sides[side].run)(times[side]);
                nanos[side].push(took.as_nanos() as f64 / times[side] as f64);
            }
        }
        nanos
    };
    let mut all: Vec<Vec<Vec<f64>>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (1..threads)
            .map(|_| {
                scope.spawn(|| {
                    let _guard = runtime.enter();
                    turns()
                })
            })
            .collect();
        let own = turns();
        let others = handles
            .into_iter()
            .map(|handle| handle.join().expect("a side panicked"));
        others.chain([own]).collect()
    });
    let mut nanos = all.pop().unwrap_or_default();
    // Of a round on several threads counts what it took on average.
    for (side, rounds) in nanos.iter_mut().enumerate() {
        for (round, value) in rounds.iter_mut().enumerate() {
            let others: f64 = all.iter().map(|thread| thread[side][round]).sum();
            *value = (*value + others) / threads as f64;
        }
    }
    Report {
        names: sides.iter().map(|side| side.name.clone()).collect(),
        nanos,
    }
}

/// Times `repeat` of an operation.
pub fn timed(repeat: impl FnOnce()) -> Duration {
    let began = Instant::now();
    repeat();
    began.elapsed()
}

/// The runtime that all sides share.
///
/// # Panics
///
/// Where the system gives no threads.
#[must_use]
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime starts")
}

/// `length` numbers below `below`, each as likely.
#[must_use]
pub fn uniform(length: usize, below: u64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..length).map(|_| random.u64(0..below)).collect()
}

/// `length` numbers below `below` by Zipf's law: the n-th most frequent one is 1 / n^`exponent` as
/// frequent as the first. Which number is how frequent is shuffled.
#[must_use]
pub fn zipf(length: usize, below: u64, exponent: f64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(11);
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (1..=below)
        .map(|rank| {
            sum += 1.0 / (rank as f64).powf(exponent);
            sum
        })
        .collect();
    let mut names: Vec<u64> = (0..below).collect();
    random.shuffle(&mut names);
    (0..length)
        .map(|_| {
            let at = random.f64() * sum;
            names[cumulated
                .partition_point(|&upto| upto < at)
                .min(names.len() - 1)]
        })
        .collect()
}
