//! How answers are shown: each is one struct, as text by its `Display` and to programs by its `Serialize`.

use std::error::Error;
use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

/// Shows an answer as one line of JSON, or as text.
pub(crate) fn show(json: bool, answer: &(impl Serialize + Display)) -> Result<(), Box<dyn Error>> {
    let text = match json {
        true => serde_json::to_string(answer)?,
        false => answer.to_string(),
    };
    // Who reads may have read enough: that is no panic.
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

/// Which record of the log, and when it was made.
#[derive(Debug, Serialize)]
pub(crate) struct RecordId {
    pub(crate) id: String,
    pub(crate) time: String,
}

impl From<(u64, u64)> for RecordId {
    fn from((millis, number): (u64, u64)) -> Self {
        // Who writes to the log by hand may give any; years have four digits.
        const LAST: u64 = 253_402_300_799_999;
        let time = UNIX_EPOCH + Duration::from_millis(millis.min(LAST));
        Self {
            id: format!("{millis}-{number}"),
            time: humantime::format_rfc3339_millis(time).to_string(),
        }
    }
}
