//! Time as the engine sees it: a coarse monotonic clock for lifetimes, wall time for HTTP dates,
//! and a manual clock for tests.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

/// A moment of a [`Clock`], in nanoseconds from an origin of that clock's own.
///
/// Moments of two clocks cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub(crate) u64);

impl Timestamp {
    /// The time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `duration` after this one.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

/// Nanoseconds of a duration; longer than 584 years counts as 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where a cache reads the time.
///
/// [`Clock::system`] reads the kernel's coarse monotonic clock (a resolution of 1 to 10 ms on Linux,
/// at a fifth of the price of a precise one); lifetimes are judged by nothing else.
/// [`Clock::manual`] moves only when told to, so that no test sleeps for a lifetime:
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::{Cache, Clock};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let clock = Clock::manual();
/// let cache = Cache::builder().clock(clock.clone()).build();
/// cache.put("greeting", "hello", "1m", ["texts"]);
/// assert_eq!(cache.get::<&str>("greeting").await, Some("hello"));
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(cache.get::<&str>("greeting").await, None);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<Manual>),
}

struct Manual {
    now: AtomicU64,
    /// How long the machine has slept, which the other clocks count.
    slept: AtomicU64,
    sleepers: Mutex<Vec<(u64, Waker)>>,
}

/// Where a manual clock starts: far enough from zero that ages can be subtracted, and a wall time
/// that HTTP dates can express.
const MANUAL_START: u64 = 1_000_000_000_000_000;
const MANUAL_EPOCH: Duration = Duration::from_secs(1_767_225_600);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`advance`](Self::advance) is called. Its copies move together.
    #[must_use]
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(Manual {
            now: AtomicU64::new(MANUAL_START),
            slept: AtomicU64::new(0),
            sleepers: Mutex::new(Vec::new()),
        })))
    }

    /// Moves a manual clock on, and wakes what slept until a moment now passed.
    ///
    /// # Panics
    ///
    /// On the system clock, which nobody moves.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        let Source::Manual(manual) = &self.0 else {
            panic!("only a clock made by `Clock::manual()` can be advanced");
        };
        let mut sleepers = manual.sleepers();
        let now = manual.now.load(Ordering::SeqCst).saturating_add(nanos(by));
        manual.now.store(now, Ordering::SeqCst);
        let due: Vec<_> = sleepers.extract_if(.., |(at, _)| *at <= now).collect();
        drop(sleepers);
        for (_, waker) in due {
            waker.wake();
        }
    }

    /// Has the machine of a manual clock sleep: wall time goes on, and the clock stands still meanwhile.
    ///
    /// # Panics
    ///
    /// On the system clock.
    #[track_caller]
    pub fn suspend(&self, lasting: Duration) {
        let Source::Manual(manual) = &self.0 else {
            panic!("only the machine of a clock made by `Clock::manual()` can be suspended");
        };
        manual.slept.fetch_add(nanos(lasting), Ordering::SeqCst);
    }

    /// How long until a manual clock wakes the next who sleeps on it; `None` where nobody does. For who drives
    /// several clocks, and goes from one moment at which something happens to the next.
    ///
    /// # Panics
    ///
    /// On the system clock, which does not say.
    #[must_use]
    #[track_caller]
    pub fn next_wake(&self) -> Option<Duration> {
        let Source::Manual(manual) = &self.0 else {
            panic!("only a clock made by `Clock::manual()` knows who sleeps on it");
        };
        let next = manual.sleepers().iter().map(|(at, _)| *at).min()?;
        Some(Timestamp(next).since(self.now()))
    }

    /// The present moment.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp(coarse_nanos()),
            Source::Manual(manual) => Timestamp(manual.now.load(Ordering::SeqCst)),
        }
    }

    /// The present moment as wall time, for HTTP's `Date` and `Expires`; nothing is kept or dropped by it.
    #[must_use]
    pub fn system_time(&self) -> SystemTime {
        match &self.0 {
            Source::System => SystemTime::now(),
            Source::Manual(manual) => {
                let awake = self.now().since(Timestamp(MANUAL_START));
                SystemTime::UNIX_EPOCH + MANUAL_EPOCH + awake + manual.slept()
            }
        }
    }

    /// How far other clocks of the machine are ahead of this one: they part when the machine sleeps, or when
    /// somebody sets the time.
    pub(crate) fn offsets(&self) -> Offsets {
        let now = i128::from(self.now().0);
        let wall = self.system_time().duration_since(SystemTime::UNIX_EPOCH);
        let wall = wall.map_or(0, |wall| i128::from(nanos(wall)));
        let boot = match &self.0 {
            Source::System => boot_nanos().map_or(now, i128::from),
            Source::Manual(manual) => now + i128::from(nanos(manual.slept())),
        };
        Offsets {
            wall: wall - now,
            boot: boot - now,
        }
    }

    /// Completes once `duration` has passed on this clock. Cancel-safe.
    ///
    /// # Panics
    ///
    /// The system clock's needs a tokio runtime with its time driver enabled.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep(match &self.0 {
            Source::System => Timer::System(Box::pin(tokio::time::sleep(duration))),
            Source::Manual(manual) => Timer::Manual {
                deadline: self.now().plus(duration).0,
                clock: Arc::clone(manual),
            },
        })
    }
}

/// How far the wall's and the boot's clock are ahead of the one by which lifetimes are judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offsets {
    wall: i128,
    boot: i128,
}

impl Offsets {
    /// Whether the clocks have parted by more than a second since.
    pub(crate) fn parted(self, now: Self) -> bool {
        let apart = |then: i128, now: i128| (now - then).unsigned_abs() > 1_000_000_000;
        apart(self.wall, now.wall) || apart(self.boot, now.boot)
    }
}

impl Manual {
    fn slept(&self) -> Duration {
        Duration::from_nanos(self.slept.load(Ordering::SeqCst))
    }

    fn sleepers(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Waker)>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock::system()",
            Source::Manual(_) => "Clock::manual()",
        })
    }
}

#[cfg(target_os = "linux")]
#[inline]
fn coarse_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    (time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64
}

/// Counts while the machine sleeps, too.
#[cfg(target_os = "linux")]
fn boot_nanos() -> Option<u64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Some((time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64)
}

#[cfg(not(target_os = "linux"))]
const fn boot_nanos() -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
fn coarse_nanos() -> u64 {
    static ORIGIN: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    // The origin is shifted so that a lifetime can be subtracted from the first reading.
    nanos(ORIGIN.elapsed()) + MANUAL_START
}

/// The future of [`Clock::sleep`].
#[must_use = "futures do nothing unless polled"]
pub struct Sleep(Timer);

enum Timer {
    System(Pin<Box<tokio::time::Sleep>>),
    Manual { deadline: u64, clock: Arc<Manual> },
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Timer::System(sleep) => sleep.as_mut().poll(cx),
            Timer::Manual { deadline, clock } => {
                // Under the lock that `advance` holds, so that no advance falls between look and wait.
                let mut sleepers = clock.sleepers();
                if clock.now.load(Ordering::SeqCst) >= *deadline {
                    return Poll::Ready(());
                }
                match sleepers
                    .iter_mut()
                    .find(|(at, waker)| at == deadline && waker.will_wake(cx.waker()))
                {
                    Some(_) => {}
                    None => sleepers.push((*deadline, cx.waker().clone())),
                }
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sleep")
    }
}
