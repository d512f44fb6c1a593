//! HTTP dates as a cache reads them: in any of their three forms (RFC 9110, section 5.6.7), and
//! whatever the case of their letters (RFC 9111, section 4.2).

use std::time::SystemTime;

use http::HeaderMap;
use http::header::HeaderName;

/// The date of a field; `None` where it is absent or none. `now` tells which century a year of two
/// digits is in.
pub(crate) fn date(headers: &HeaderMap, name: HeaderName, now: SystemTime) -> Option<SystemTime> {
    parse(headers.get(name)?.as_bytes(), now)
}

/// A date.
pub(crate) fn parse(text: &[u8], now: SystemTime) -> Option<SystemTime> {
    let text = in_its_case(std::str::from_utf8(text).ok()?);
    let text = with_whole_year(&text, now).unwrap_or(text);
    httpdate::parse_http_date(&text).ok()
}

/// `Sun`, `Nov`, `GMT`, as they are meant to be written.
fn in_its_case(text: &str) -> String {
    let mut inside = false;
    let cased: String = text
        .chars()
        .map(|char| {
            let first = char.is_ascii_alphabetic() && !inside;
            inside = char.is_ascii_alphabetic();
            match first {
                true => char.to_ascii_uppercase(),
                false => char.to_ascii_lowercase(),
            }
        })
        .collect();
    match cased.strip_suffix(" Gmt") {
        Some(rest) => format!("{rest} GMT"),
        None => cased,
    }
}

/// `Sunday, 06-Nov-94 08:49:37 GMT` with the year that it means: no more than 50 years ahead.
fn with_whole_year(text: &str, now: SystemTime) -> Option<String> {
    let (weekday, rest) = text.split_once("day, ")?;
    let (date, time) = rest.split_once(' ')?;
    let mut parts = date.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let two_digits = year.len() == 2 && day.len() == 2 && parts.next().is_none();
    let year: u32 = year.parse().ok().filter(|_| two_digits)?;
    let this_year: u32 = httpdate::fmt_http_date(now).get(12..16)?.parse().ok()?;
    let in_this_century = this_year / 100 * 100 + year;
    let year = if in_this_century > this_year + 50 {
        in_this_century - 100
    } else {
        in_this_century
    };
    let weekday = ["Sun", "Mon", "Tues", "Wednes", "Thurs", "Fri", "Satur"]
        .contains(&weekday)
        .then(|| &weekday[..3])?;
    Some(format!("{weekday}, {day} {month} {year} {time}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn forms() {
        // Thu, 01 Jan 2026 00:00:00 GMT
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("SUN, 06 NOV 1994 08:49:37 gmt", Some(784_111_777)),
            ("sunday, 06-nov-94 08:49:37 gmt", Some(784_111_777)),
            ("SUN NOV  6 08:49:37 1994", Some(784_111_777)),
            ("Wednesday, 01-Jan-70 00:00:00 GMT", Some(3_155_760_000)),
            ("Friday, 01-Jan-77 00:00:00 GMT", None),
            ("Saturday, 01-Jan-77 00:00:00 GMT", Some(220_924_800)),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 94 08:49:37 GMT", None),
            ("Sun, 06-Nov-1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun,  06 Nov 1994 08:49:37 GMT", None),
            ("0", None),
            ("", None),
            ("day, ", None),
            ("\u{e9}day, 06-Nov-94 08:49:37 GMT", None),
        ] {
            let expected =
                expected.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(parse(text.as_bytes(), now), expected, "{text}");
        }
    }
}
