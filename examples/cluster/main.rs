//! A cluster on one machine: three nodes and a `redis-server` of their own, read from and written to while
//! things are killed, stopped and started again. It shows what happens, looks for a read that broke the
//! promise, and ends with a failure if there was one.
//!
//! `cargo run --release --example cluster` takes forty seconds; `SECONDS=120` takes that long.
//! It needs `redis-server` (`apt-get install redis-server`).
//!
//! `truth` is the database: it knows every version of every row, and when each was acknowledged
//! everywhere. `node` is the application that runs three times, in processes of their own; `drive` reads and
//! writes; `fleet` starts, stops and kills.

mod drive;
mod fleet;
mod node;
mod truth;

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::drive::Drive;
use self::fleet::Fleet;
use self::truth::Truth;

/// B: what was acknowledged longer ago than this is seen by every read that begins.
pub(crate) const BOUND: Duration = Duration::from_secs(3);
pub(crate) const NODES: usize = 3;

fn main() -> ExitCode {
    let ran = match env::var("CLUSTER_NODE") {
        Ok(_) => node::main().map(|()| ExitCode::SUCCESS),
        Err(_) => run(),
    };
    ran.unwrap_or_else(|error| {
        eprintln!("cluster: {error}");
        ExitCode::FAILURE
    })
}

/// Something that is done to the fleet.
type Fault = fn(&mut Fleet) -> Result<(), Box<dyn Error>>;

/// What happens, when in tenths of the whole time, and how it is called in the table.
const FAULTS: [(u32, &str, Fault); 9] = [
    (1, "FLUSHALL", Fleet::flush),
    (2, "redis-server stopped", Fleet::stop_server),
    (4, "redis-server goes on", Fleet::continue_server),
    (5, "node 1 frozen", |fleet| fleet.freeze(1)),
    (6, "node 1 goes on", |fleet| fleet.thaw(1)),
    (6, "node 2 killed", |fleet| fleet.kill(2)),
    (7, "node 2 started again", |fleet| fleet.start(2)),
    (7, "redis-server killed", Fleet::kill_server),
    (8, "redis-server started again, empty", Fleet::start_server),
];

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let seconds = match env::var("SECONDS") {
        Ok(seconds) => seconds
            .parse()
            .map_err(|_| format!("SECONDS {seconds}: no number"))?,
        Err(_) => 40,
    };
    let whole = Duration::from_secs(Ord::max(seconds, 10));
    let truth = Arc::new(Truth::new());
    let database = truth::serve(Arc::clone(&truth))?;
    let mut fleet = Fleet::new(database)?;
    println!(
        "{NODES} nodes at {}, redis-server at 127.0.0.1:{}; B is {} s, faults for {} s",
        fleet
            .addresses()
            .map(|address| address.to_string())
            .join(", "),
        fleet.server_port(),
        BOUND.as_secs(),
        whole.as_secs(),
    );
    println!("{}", Drive::HEADING);
    let over = Arc::new(AtomicBool::new(false));
    let mut drive = Drive::begin(fleet.addresses(), &truth, &over);
    let began = Instant::now();
    let mut faults = FAULTS.iter().peekable();
    let mut said = String::new();
    while began.elapsed() < whole {
        std::thread::sleep(Duration::from_secs(1));
        while let Some((_, what, fault)) =
            faults.next_if(|(tenth, ..)| began.elapsed() >= whole * *tenth / 10)
        {
            fault(&mut fleet)?;
            if !said.is_empty() {
                said += ", ";
            }
            said += what;
            drive.know(fleet.addresses());
        }
        println!("{}", drive.row(began.elapsed(), &said));
        said.clear();
    }
    over.store(true, Ordering::SeqCst);
    let summary = drive.end();
    println!("{summary}");
    Ok(if summary.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
