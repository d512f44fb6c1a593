//! How long a value lives: fresh for its `ttl`, then stale for its windows, then gone.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::LifeError;

/// The lifetime of a cached value.
///
/// | part | what it does | where nobody says it |
/// |---|---|---|
/// | `ttl` | fresh for this long, counted from when its load *began* | one week |
/// | [`stale_while_revalidate`](Self::stale_while_revalidate) | then served stale for this long while one refresh runs (RFC 5861) | none |
/// | [`stale_if_error`](Self::stale_if_error) | then served for this long when its load fails or times out (RFC 5861) | none |
/// | [`jitter`](Self::jitter) | shortens the `ttl` by a random part of up to this | none |
/// | [`refresh_ahead`](Self::refresh_ahead) | a hit this close to expiry starts the refresh early | none |
/// | [`client`](Self::client) | what HTTP clients are told (`max-age`) | ask each time |
///
/// Both windows run from the earlier of expiry and the first soft invalidation.
///
/// A life need not say every part: [`Life::default`] says none, and each method says one. What it leaves
/// unsaid is taken from the defaults of the [scope](crate::Cache::default_life), then from those of the
/// [cache](crate::CacheBuilder::default_life), part by part ([`over`](Self::over)). What HTTP headers say of a
/// response is whole: it takes nothing from there.
///
/// Made from whole seconds, a [`Duration`], or text: a duration (`"1h30m"`, `"90 s"`) or one of the
/// profiles `seconds minutes hours days weeks max` with the figures of Next.js's `cacheLife`:
///
/// | profile | told to clients | fresh | then stale-while-revalidate until |
/// |---|---|---|---|
/// | `seconds` | 30 s | 1 s | 1 min |
/// | `minutes` | 5 min | 1 min | 1 h |
/// | `hours` | 5 min | 1 h | 1 d |
/// | `days` | 5 min | 1 d | 1 w |
/// | `weeks` | 5 min | 1 w | 30 d |
/// | `max` | 5 min | 30 d | 1 y |
///
/// (For us the last column is added to the `ttl`: `revalidate` becomes the ttl, `expire` the window after it.)
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::Life;
/// use std::time::Duration;
///
/// let life = Life::from("10m").stale_while_revalidate("1h").stale_if_error("1d");
/// assert_eq!(life.ttl(), Duration::from_secs(600));
/// assert_eq!(Life::from(604_800).ttl(), Duration::from_secs(7 * 24 * 3600));
/// assert_eq!(Life::default().stale_if_error("5m").over(life).ttl(), life.ttl());
/// assert!("ten minutes".parse::<Life>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Life {
    ttl: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    jitter: Option<Duration>,
    refresh_ahead: Option<Duration>,
    client: Option<Duration>,
}

/// The ttl that nobody said.
const WEEK: Duration = Duration::from_secs(604_800);

/// A part that may be unsaid.
const fn or(said: Option<Duration>, unsaid: Duration) -> Duration {
    match said {
        Some(said) => said,
        None => unsaid,
    }
}

impl Life {
    /// One week, the lifetime that Wix gives what names none.
    pub const WEEK: Self = Self::from_duration(WEEK);

    /// Its parts, each where it is said, for those who write it down.
    pub(crate) const fn parts(&self) -> [Option<Duration>; 6] {
        [
            self.ttl,
            self.stale_while_revalidate,
            self.stale_if_error,
            self.jitter,
            self.refresh_ahead,
            self.client,
        ]
    }

    /// That of [`parts`](Self::parts).
    pub(crate) const fn of_parts(parts: [Option<Duration>; 6]) -> Self {
        let [
            ttl,
            stale_while_revalidate,
            stale_if_error,
            jitter,
            refresh_ahead,
            client,
        ] = parts;
        Self {
            ttl,
            stale_while_revalidate,
            stale_if_error,
            jitter,
            refresh_ahead,
            client,
        }
    }

    /// Fresh for `seconds`; nothing else is said.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self::from_duration(Duration::from_secs(seconds))
    }

    /// Fresh for `ttl`; nothing else is said.
    #[must_use]
    pub const fn from_duration(ttl: Duration) -> Self {
        Self {
            ttl: Some(ttl),
            stale_while_revalidate: None,
            stale_if_error: None,
            jitter: None,
            refresh_ahead: None,
            client: None,
        }
    }

    /// What this life says, and where it says nothing, what `defaults` says.
    ///
    /// A ttl of zero is said of the whole: what is not to be kept takes no window from elsewhere.
    ///
    /// ```
    /// # use cache_core as revalidate;
    /// use revalidate::Life;
    ///
    /// let everywhere = Life::from("1m").stale_if_error("5m").jitter("5s");
    /// let of_users = Life::from("10m").over(everywhere);
    /// assert_eq!(of_users, Life::from("10m").stale_if_error("5m").jitter("5s"));
    /// assert_eq!(Life::default().jitter(0).over(of_users), Life::from("10m").stale_if_error("5m").jitter(0));
    /// ```
    #[must_use]
    pub fn over(self, defaults: Self) -> Self {
        if self.ttl == Some(Duration::ZERO) {
            return self;
        }
        Self {
            ttl: self.ttl.or(defaults.ttl),
            stale_while_revalidate: self
                .stale_while_revalidate
                .or(defaults.stale_while_revalidate),
            stale_if_error: self.stale_if_error.or(defaults.stale_if_error),
            jitter: self.jitter.or(defaults.jitter),
            refresh_ahead: self.refresh_ahead.or(defaults.refresh_ahead),
            client: self.client.or(defaults.client),
        }
    }

    /// The same, but nothing is served for longer than `limit`, its windows included.
    pub(crate) fn at_most(mut self, limit: Duration) -> Self {
        let ttl = self.ttl().min(limit);
        let left = Some(limit - ttl);
        self.ttl = Some(ttl);
        self.stale_while_revalidate = self.stale_while_revalidate.min(left);
        self.stale_if_error = self.stale_if_error.min(left);
        self
    }

    /// Whether it says how long the value is fresh.
    pub(crate) const fn says_ttl(&self) -> bool {
        self.ttl.is_some()
    }

    /// The built-in profile of this name.
    #[must_use]
    pub const fn profile(name: &str) -> Option<Self> {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let (client, revalidate, expire) = match name.as_bytes() {
            b"seconds" => (30, 1, MINUTE),
            b"minutes" => (5 * MINUTE, MINUTE, HOUR),
            b"hours" => (5 * MINUTE, HOUR, DAY),
            b"days" => (5 * MINUTE, DAY, 7 * DAY),
            b"weeks" => (5 * MINUTE, 7 * DAY, 30 * DAY),
            b"max" => (5 * MINUTE, 30 * DAY, 365 * DAY),
            _ => return None,
        };
        let mut life = Self::from_secs(revalidate);
        life.stale_while_revalidate = Some(Duration::from_secs(expire));
        life.client = Some(Duration::from_secs(client));
        Some(life)
    }

    /// Sets how long the value is served stale while it is refreshed, after its ttl.
    #[must_use]
    #[track_caller]
    pub fn stale_while_revalidate(mut self, window: impl Into<Span>) -> Self {
        self.stale_while_revalidate = Some(window.into().0);
        self
    }

    /// Sets how long the value is served when its load fails or times out, after its ttl.
    #[must_use]
    #[track_caller]
    pub fn stale_if_error(mut self, window: impl Into<Span>) -> Self {
        self.stale_if_error = Some(window.into().0);
        self
    }

    /// Shortens each entry's ttl by a random part of up to `most`, so that what was stored together
    /// does not expire together. Never lengthens it.
    #[must_use]
    #[track_caller]
    pub fn jitter(mut self, most: impl Into<Span>) -> Self {
        self.jitter = Some(most.into().0);
        self
    }

    /// Refreshes in the background when a hit finds less than `lead` of the ttl left.
    #[must_use]
    #[track_caller]
    pub fn refresh_ahead(mut self, lead: impl Into<Span>) -> Self {
        self.refresh_ahead = Some(lead.into().0);
        self
    }

    /// What HTTP clients may keep without asking (`Cache-Control: max-age`). They hear of no invalidation meanwhile.
    #[must_use]
    #[track_caller]
    pub fn client(mut self, max_age: impl Into<Span>) -> Self {
        self.client = Some(max_age.into().0);
        self
    }

    /// The same life with another ttl.
    #[must_use]
    #[track_caller]
    pub fn with_ttl(mut self, ttl: impl Into<Span>) -> Self {
        self.ttl = Some(ttl.into().0);
        self
    }

    /// How long the value is fresh: one week, where nobody says it.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        or(self.ttl, WEEK)
    }

    /// How long it is then served stale while one refresh runs.
    #[must_use]
    pub const fn stale_while_revalidate_window(&self) -> Duration {
        or(self.stale_while_revalidate, Duration::ZERO)
    }

    /// How long it is then served when a load fails.
    #[must_use]
    pub const fn stale_if_error_window(&self) -> Duration {
        or(self.stale_if_error, Duration::ZERO)
    }

    /// How much a random draw may shorten the ttl.
    #[must_use]
    pub const fn jitter_bound(&self) -> Duration {
        or(self.jitter, Duration::ZERO)
    }

    /// How close to expiry a hit starts the refresh.
    #[must_use]
    pub const fn refresh_ahead_lead(&self) -> Duration {
        or(self.refresh_ahead, Duration::ZERO)
    }

    /// What HTTP clients may keep without asking; `None`: they ask each time.
    #[must_use]
    pub const fn client_max_age(&self) -> Option<Duration> {
        self.client
    }

    /// Whether no value of this life could ever be served, fresh or stale.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.ttl().is_zero()
            && self.stale_while_revalidate_window().is_zero()
            && self.stale_if_error_window().is_zero()
    }
}

/// A length of time as the API takes it: whole seconds, a [`Duration`], or text such as `"1h30m"`.
///
/// Converting from text that is no duration panics at the caller's line, as a bad route does in
/// axum: such texts are literals. Parse what comes from elsewhere: `"5m".parse::<Span>()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub(crate) Duration);

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = LifeError;

    fn from_str(text: &str) -> Result<Self, LifeError> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|error| LifeError::new(text, &error))
    }
}

impl FromStr for Life {
    type Err = LifeError;

    fn from_str(text: &str) -> Result<Self, LifeError> {
        match Self::profile(text) {
            Some(life) => Ok(life),
            None => text
                .parse::<Span>()
                .map(|span| Self::from_duration(span.0))
                .map_err(LifeError::nor_a_profile),
        }
    }
}

macro_rules! from_time {
    ($to:ty, $of:expr) => {
        impl From<Duration> for $to {
            fn from(duration: Duration) -> Self {
                $of(duration)
            }
        }
        impl From<u64> for $to {
            fn from(seconds: u64) -> Self {
                $of(Duration::from_secs(seconds))
            }
        }
        impl From<u32> for $to {
            fn from(seconds: u32) -> Self {
                $of(Duration::from_secs(seconds.into()))
            }
        }
        /// Negative seconds are none.
        impl From<i32> for $to {
            fn from(seconds: i32) -> Self {
                $of(Duration::from_secs(seconds.try_into().unwrap_or(0)))
            }
        }
        impl From<&str> for $to {
            #[track_caller]
            fn from(text: &str) -> Self {
                match text.parse() {
                    Ok(parsed) => parsed,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
}
from_time!(Span, Span);
from_time!(Life, Life::from_duration);

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.ttl()))?;
        for (name, part) in [
            (
                "stale-while-revalidate",
                self.stale_while_revalidate_window(),
            ),
            ("stale-if-error", self.stale_if_error_window()),
        ] {
            if !part.is_zero() {
                write!(f, ", {name} {}", humantime::format_duration(part))?;
            }
        }
        Ok(())
    }
}
