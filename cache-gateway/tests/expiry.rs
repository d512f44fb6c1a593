//! Lifetimes, as functions of the time.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use cache_gateway::{
    ExpiryDate, ExpiryError, ExpirySettings, TimeOfDay, Timeout, Value, ValueError, Zone,
};
use jiff::Timestamp;
use proptest::prelude::*;

type Flow = HashMap<&'static str, &'static str>;

fn at(time: &str) -> SystemTime {
    time.parse::<Timestamp>().unwrap().try_into().unwrap()
}

/// When what is stored `now` expires.
fn expires(expiry: &ExpirySettings, now: &str) -> String {
    let now = at(now);
    let then = now + expiry.lifetime(now, &Flow::new()).unwrap();
    Timestamp::try_from(then).unwrap().to_string()
}

#[test]
fn a_time_of_day_is_the_next_one_in_its_zone() {
    let utc = ExpirySettings::time_of_day("14:30:00", Zone::UTC);
    let berlin = ExpirySettings::time_of_day("14:30:00", "Europe/Berlin".into());
    let samoa = ExpirySettings::time_of_day("00:00:00", "Pacific/Apia".into());
    for (expiry, now, then) in [
        (&utc, "2026-07-01T14:29:59Z", "2026-07-01T14:30:00Z"),
        // An entry stored at that very time is for a day.
        (&utc, "2026-07-01T14:30:00Z", "2026-07-02T14:30:00Z"),
        (&utc, "2026-12-31T23:00:00Z", "2027-01-01T14:30:00Z"),
        (&berlin, "2026-07-01T12:00:00Z", "2026-07-01T12:30:00Z"),
        (&berlin, "2026-01-01T12:00:00Z", "2026-01-01T13:30:00Z"),
        (&samoa, "2026-07-01T10:59:59Z", "2026-07-01T11:00:00Z"),
    ] {
        assert_eq!(expires(expiry, now), then, "{now}");
    }
}

#[test]
fn a_time_that_summer_time_skips_is_later_and_one_that_is_twice_is_the_first() {
    let night = ExpirySettings::time_of_day("02:30:00", "Europe/Berlin".into());
    for (now, then) in [
        // 2026-03-29: 02:00 becomes 03:00, so 02:30 is 03:30 of summer time.
        ("2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
        ("2026-03-29T01:10:00Z", "2026-03-29T01:30:00Z"),
        ("2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"),
        // 2026-10-25: 03:00 becomes 02:00.
        ("2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("2026-10-25T00:45:00Z", "2026-10-26T01:30:00Z"),
    ] {
        assert_eq!(expires(&night, now), then, "{now}");
    }
}

#[test]
fn a_date_is_its_beginning_and_then_has_passed() {
    let utc = ExpirySettings::date("12-31-2030", Zone::UTC);
    let york = ExpirySettings::date("12-31-2030", "America/New_York".into());
    assert_eq!(
        expires(&utc, "2030-12-30T00:00:00Z"),
        "2030-12-31T00:00:00Z"
    );
    assert_eq!(
        expires(&york, "2030-12-31T00:00:00Z"),
        "2030-12-31T05:00:00Z"
    );
    for now in ["2030-12-31T00:00:00Z", "2031-01-01T00:00:00Z"] {
        let date = ExpiryDate::from("12-31-2030");
        assert_eq!(
            utc.lifetime(at(now), &Flow::new()),
            Err(ExpiryError::Past { date })
        );
    }
}

#[test]
fn variables_say_it_at_the_time() {
    let now = at("2026-07-01T12:00:00Z");
    let timeout = ExpirySettings::timeout(Value::of("t"));
    let time = ExpirySettings::time_of_day(Value::of("t"), Zone::UTC);
    let date = ExpirySettings::date(Value::of("t"), Zone::UTC);
    let or = ExpirySettings::timeout(Value::of("t").or(Timeout::from(7)));
    let lifetime = |expiry: &ExpirySettings, text| expiry.lifetime(now, &Flow::from([("t", text)]));
    assert_eq!(lifetime(&timeout, " 60 "), Ok(Duration::from_secs(60)));
    assert_eq!(lifetime(&time, "12:00:01"), Ok(Duration::from_secs(1)));
    assert_eq!(
        lifetime(&date, "07-02-2026"),
        Ok(Duration::from_secs(12 * 3600))
    );
    assert_eq!(lifetime(&or, "60"), Ok(Duration::from_secs(60)));
    assert_eq!(or.lifetime(now, &Flow::new()), Ok(Duration::from_secs(7)));
    for (expiry, text, say) in [
        (&timeout, "0", "whole seconds from 1"),
        (&timeout, "-5", "whole seconds from 1"),
        (&or, "1.5", "whole seconds from 1"),
        (&time, "25:00:00", "hh:mm:ss"),
        (&date, "02-30-2027", "mm-dd-yyyy"),
    ] {
        let error = lifetime(expiry, text).unwrap_err().to_string();
        assert!(
            error.contains(say) && error.contains("variable t") && error.contains(text),
            "{error}"
        );
    }
    let unresolved = timeout.lifetime(now, &Flow::new());
    assert!(matches!(
        unresolved,
        Err(ExpiryError::Value(ValueError::Unresolved { .. }))
    ));
}

#[test]
fn literals_are_of_the_documented_form() {
    for wrong in ["", "0", "-1", "+5", "1.5", "1h", "4294967296"] {
        assert!(wrong.parse::<Timeout>().is_err(), "{wrong}");
    }
    for wrong in [
        "",
        "9:00:00",
        "09:00",
        "24:00:00",
        "09:00:60",
        "09:00:00 ",
        "09:00:00Z",
    ] {
        assert!(wrong.parse::<TimeOfDay>().is_err(), "{wrong}");
    }
    for wrong in [
        "",
        "2030-12-31",
        "31-12-2030",
        "1-1-2030",
        "02-29-2027",
        "12-31-30",
    ] {
        assert!(wrong.parse::<ExpiryDate>().is_err(), "{wrong}");
    }
    assert!("02-29-2028".parse::<ExpiryDate>().is_ok());
    for wrong in ["", "Berlin", "CEST", "+02:00"] {
        assert!(wrong.parse::<Zone>().is_err(), "{wrong}");
    }
}

proptest! {
    /// Whatever the clock and the zone, the next time of day is ahead, and no further than a day and what
    /// zones skip.
    #[test]
    fn the_next_time_is_within_a_day(
        now in 0_u64..4_000_000_000,
        (hour, minute, second) in (0..24, 0..60, 0..60),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]),
    ) {
        let time = TimeOfDay::from(&*format!("{hour:02}:{minute:02}:{second:02}"));
        let expiry = ExpirySettings::time_of_day(time, zone.into());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        let lifetime = expiry.lifetime(now, &Flow::new()).unwrap();
        prop_assert!(!lifetime.is_zero() && lifetime <= Duration::from_secs(49 * 3600), "{lifetime:?}");
    }
}
