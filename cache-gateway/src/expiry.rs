//! How long an entry lives: a number of seconds, until a time of day, or until a date. Pure functions of
//! the time that they are given.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use thiserror::Error;

use crate::{Value, ValueError, Variable, Variables};

/// How long the entries of a policy live: `<ExpirySettings>`.
///
/// Gateways read times of day and dates in the time zone of whatever machine the policy runs on. Here the
/// zone is said; XML that says none means UTC.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::{ExpirySettings, Zone};
/// use std::collections::HashMap;
/// use std::time::{Duration, SystemTime};
///
/// let none: HashMap<&str, &str> = HashMap::new();
/// let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600);
/// let nightly = ExpirySettings::time_of_day("02:30:00", Zone::from("Europe/Berlin"));
/// assert_eq!(nightly.lifetime(noon, &none)?, Duration::from_secs(13 * 3600 + 1800));
/// # Ok::<(), revalidate::gateway::ExpiryError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExpirySettings(When);

#[derive(Clone, Debug, PartialEq)]
enum When {
    Timeout(Value<Timeout>),
    TimeOfDay(Value<TimeOfDay>, Zone),
    Date(Value<ExpiryDate>, Zone),
}

impl ExpirySettings {
    /// So many seconds after it was stored: `<TimeoutInSeconds>`.
    ///
    /// # Panics
    ///
    /// With no seconds.
    #[must_use]
    #[track_caller]
    pub fn timeout(timeout: impl Into<Value<Timeout>>) -> Self {
        Self(When::Timeout(timeout.into()))
    }

    /// When it is next this time of day: `<TimeOfDay>`.
    ///
    /// Where a zone skips that time for summer time, it is as much later as was skipped; where a zone has
    /// it twice, it is the first.
    ///
    /// # Panics
    ///
    /// With a text that is no time of day.
    #[must_use]
    #[track_caller]
    pub fn time_of_day(time: impl Into<Value<TimeOfDay>>, zone: Zone) -> Self {
        Self(When::TimeOfDay(time.into(), zone))
    }

    /// At the beginning of this date: `<ExpiryDate>`. Once it has come nothing is stored; a policy that is deployed
    /// then is so with a warning.
    ///
    /// # Panics
    ///
    /// With a text that is no date.
    #[must_use]
    #[track_caller]
    pub fn date(date: impl Into<Value<ExpiryDate>>, zone: Zone) -> Self {
        Self(When::Date(date.into(), zone))
    }

    /// How long an entry lives that is stored `now`; never zero.
    ///
    /// # Errors
    ///
    /// [`ExpiryError`]: the entry is not stored.
    pub fn lifetime(
        &self,
        now: SystemTime,
        variables: &dyn Variables,
    ) -> Result<Duration, ExpiryError> {
        match &self.0 {
            When::Timeout(timeout) => Ok(timeout.read(variables)?.into()),
            When::TimeOfDay(time, zone) => until_next(time.read(variables)?, zone, now),
            When::Date(date, zone) => until(date.read(variables)?, zone, now),
        }
    }

    /// Why nothing will be stored any more, where that is known whatever the request.
    pub(crate) fn passed(&self, now: SystemTime) -> Option<ExpiryError> {
        match &self.0 {
            When::Date(Value::Literal(date), zone) => until(*date, zone, now).err(),
            _ => None,
        }
    }

    /// The variable that it is read from.
    #[must_use]
    pub const fn variable(&self) -> Option<&Variable> {
        match &self.0 {
            When::Timeout(value) => value.variable(),
            When::TimeOfDay(value, _) => value.variable(),
            When::Date(value, _) => value.variable(),
        }
    }
}

fn until_next(
    TimeOfDay(time): TimeOfDay,
    Zone(zone): &Zone,
    now: SystemTime,
) -> Result<Duration, ExpiryError> {
    let now = instant(now)?;
    let today = zone.to_datetime(now).date();
    // Tomorrow's where today's has passed.
    let days = std::iter::successors(Some(today), |day| day.tomorrow().ok());
    days.take(2)
        .filter_map(|day| zone.to_timestamp(day.to_datetime(time)).ok())
        .find_map(|next| left(now, next))
        .ok_or(ExpiryError::Clock)
}

fn until(date: ExpiryDate, Zone(zone): &Zone, now: SystemTime) -> Result<Duration, ExpiryError> {
    let midnight = date.0.to_datetime(civil::Time::midnight());
    let begins = zone
        .to_timestamp(midnight)
        .map_err(|_| ExpiryError::Clock)?;
    left(instant(now)?, begins).ok_or(ExpiryError::Past { date })
}

fn instant(now: SystemTime) -> Result<Timestamp, ExpiryError> {
    now.try_into().map_err(|_| ExpiryError::Clock)
}

/// The time from `now` to `then`, if any is left.
fn left(now: Timestamp, then: Timestamp) -> Option<Duration> {
    let left = then.duration_since(now);
    Duration::try_from(left).ok().filter(|left| !left.is_zero())
}

/// A time zone, by its name in the IANA database: `Europe/Berlin`, `America/New_York`, `UTC`.
///
/// Converting from text that names none panics at the caller's line; parse what comes from elsewhere. The
/// machine's database is asked first, so that its updates count, then one that is built in.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(TimeZone::UTC);
}

/// A text names no time zone.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no time zone: write a name of the IANA database, such as Europe/Berlin or UTC")]
pub struct ZoneError(String);

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(name: &str) -> Result<Self, ZoneError> {
        TimeZone::get(name)
            .map(Self)
            .map_err(|_| ZoneError(shortened(name)))
    }
}

/// A number of seconds, from 1 to `u32::MAX`: about 136 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeout(u32);

/// A text or number is no number of seconds to live.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no timeout: write whole seconds from 1 to 4294967295")]
pub struct TimeoutError(String);

impl FromStr for Timeout {
    type Err = TimeoutError;

    fn from_str(text: &str) -> Result<Self, TimeoutError> {
        match text.parse() {
            Ok(seconds) if seconds > 0 && !text.starts_with('+') => Ok(Self(seconds)),
            _ => Err(TimeoutError(shortened(text))),
        }
    }
}

impl From<u32> for Timeout {
    /// # Panics
    ///
    /// With 0.
    #[track_caller]
    fn from(seconds: u32) -> Self {
        assert!(seconds > 0, "{}", TimeoutError("0".into()));
        Self(seconds)
    }
}

impl From<Timeout> for Duration {
    fn from(timeout: Timeout) -> Self {
        Self::from_secs(timeout.0.into())
    }
}

/// A time of day, `hh:mm:ss`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeOfDay(civil::Time);

/// A text is no time of day.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no time of day: write hh:mm:ss, such as 14:30:00")]
pub struct TimeOfDayError(String);

impl FromStr for TimeOfDay {
    type Err = TimeOfDayError;

    fn from_str(text: &str) -> Result<Self, TimeOfDayError> {
        civil::Time::strptime("%H:%M:%S", text)
            .map(Self)
            .ok()
            .filter(|time| time.to_string() == text)
            .ok_or_else(|| TimeOfDayError(shortened(text)))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.strftime("%H:%M:%S").fmt(f)
    }
}

/// A date, `mm-dd-yyyy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExpiryDate(civil::Date);

/// A text is no date.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no date: write mm-dd-yyyy, such as 12-31-2030")]
pub struct ExpiryDateError(String);

impl FromStr for ExpiryDate {
    type Err = ExpiryDateError;

    fn from_str(text: &str) -> Result<Self, ExpiryDateError> {
        civil::Date::strptime("%m-%d-%Y", text)
            .map(Self)
            .ok()
            .filter(|date| date.to_string() == text)
            .ok_or_else(|| ExpiryDateError(shortened(text)))
    }
}

impl fmt::Display for ExpiryDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.strftime("%m-%d-%Y").fmt(f)
    }
}

/// Literals, in code.
macro_rules! from_literal {
    ($($setting:ty),+) => { $(
        impl From<&str> for $setting {
            #[track_caller]
            fn from(text: &str) -> Self {
                match text.parse() {
                    Ok(setting) => setting,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    )+ };
}
from_literal!(Zone, TimeOfDay, ExpiryDate);

impl From<&str> for Value<TimeOfDay> {
    #[track_caller]
    fn from(text: &str) -> Self {
        Self::Literal(text.into())
    }
}

impl From<&str> for Value<ExpiryDate> {
    #[track_caller]
    fn from(text: &str) -> Self {
        Self::Literal(text.into())
    }
}

impl From<u32> for Value<Timeout> {
    #[track_caller]
    fn from(seconds: u32) -> Self {
        Self::Literal(seconds.into())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// There is no lifetime: the entry is not stored.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpiryError {
    /// A variable says it, and has no value, or one that is no lifetime.
    #[error("the expiry is read from a variable: {0}")]
    Value(#[from] ValueError),
    /// The date has come.
    #[error("the expiry date {date} has passed: nothing is stored any more")]
    Past {
        /// The date.
        date: ExpiryDate,
    },
    /// The clock, or the expiry, is beyond the years that can be reckoned with (to 9999).
    #[error("the expiry is beyond the years that can be reckoned with; is the clock right?")]
    Clock,
}
