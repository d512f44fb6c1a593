//! Example applications live beside this file, one folder each. What several of them need is here.

pub mod stop;

use std::fmt::Display;
use std::process::ExitCode;

use tokio::runtime::Runtime;

/// Runs an example to its end, or to what stops it, which is said on stderr.
pub fn run<E: Display>(name: &str, example: impl Future<Output = Result<(), E>>) -> ExitCode {
    let ended = match Runtime::new() {
        Ok(runtime) => runtime.block_on(example).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
