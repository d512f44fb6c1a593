//! What the log costs a server and its nodes, by their number: many nodes in this process, each with connections of its
//! own, against a `redis-server` of this machine; at rest, and with invalidations at a steady rate.
//!
//!     ulimit -n 20000; target/release/log 10 100 1000
//!
//! Then it reckons what it did not measure, from what one node, one invalidation and one delivery took. Two
//! connections a node, here and there: a process may open as many files as `ulimit -n` says.

use std::fs;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use benches::server::{Info, Server};
use redis::aio::MultiplexedConnection;
use revalidate::Cache;

/// How long each of the costs is measured.
const MEASURED: Duration = Duration::from_secs(10);
/// How many invalidations are followed to the last node.
const FOLLOWED: u32 = 200;
/// Invalidations in a second.
const RATES: [u32; 3] = [0, 10, 100];
/// Numbers of nodes that are reckoned.
const RECKONED: [f64; 4] = [10.0, 100.0, 1_000.0, 10_000.0];

/// What was used, in one second.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Invalidations that were acknowledged.
    rate: f64,
    /// Of the server, in cores.
    server: f64,
    /// Of all nodes together, in cores.
    nodes: f64,
    commands: f64,
    received: f64,
    sent: f64,
}

/// How much of a core's time this process has used, in seconds.
fn used_here() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// The memory that this process has now, in bytes.
fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

fn learned(node: &Cache) -> u64 {
    node.stats().remote.map_or(0, |remote| remote.learned)
}

/// Invalidates at a steady rate for a while, each time once the one before is acknowledged, as those that wait go as
/// one; returns how many that were.
async fn invalidate(node: &Cache, rate: u32, lasting: Duration) -> u32 {
    let over = Instant::now() + lasting;
    if rate == 0 {
        tokio::time::sleep(lasting).await;
        return 0;
    }
    let mut due = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut times = 0;
    while Instant::now() < over {
        due.tick().await;
        let told = node.invalidate_cache(format!("tag:{times}")).everywhere();
        told.await.expect("the server keeps up");
        times += 1;
    }
    times
}

/// The commands that nodes sent; the server's own count has those of scripts in it.
fn asked(info: &Info) -> f64 {
    let commands = ["evalsha", "xread"].map(|name| info.command(name).0);
    commands.iter().sum()
}

async fn cost(server: &mut MultiplexedConnection, nodes: &[Cache], rate: u32) -> Cost {
    let (info, used, began) = (Info::of(server).await, used_here(), Instant::now());
    let times = invalidate(&nodes[0], rate, MEASURED).await;
    let took = began.elapsed().as_secs_f64();
    let nodes_used = used_here() - used;
    let after = Info::of(server).await;
    let grown = |name: &str| (after.number(name) - info.number(name)) / took;
    Cost {
        rate: f64::from(times) / took,
        server: grown("used_cpu_user") + grown("used_cpu_sys"),
        nodes: nodes_used / took,
        commands: (asked(&after) - asked(&info)) / took,
        received: grown("total_net_input_bytes"),
        sent: grown("total_net_output_bytes"),
    }
}

/// From the call to the last node, in milliseconds, ten times a second; sorted.
async fn to_the_last(nodes: &[Cache]) -> Vec<f64> {
    let (calls, called) = mpsc::channel::<Instant>();
    let watched = nodes.to_vec();
    let before: Vec<_> = nodes.iter().map(learned).collect();
    // A thread of its own, which sleeps between two looks: it takes little from the nodes while they wait.
    let watching = std::thread::spawn(move || {
        let mut took = Vec::new();
        for (times, began) in (1_u64..).zip(called) {
            for (node, before) in watched.iter().zip(&before).skip(1) {
                while learned(node) < before + times {
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        took.sort_by(f64::total_cmp);
        took
    });
    let mut due = tokio::time::interval(Duration::from_millis(100));
    for time in 0..FOLLOWED {
        due.tick().await;
        let began = Instant::now();
        let told = nodes[0].invalidate_cache(format!("followed:{time}"));
        let _ = calls.send(began);
        told.everywhere().await.expect("the server keeps up");
    }
    drop(calls);
    let watched = tokio::task::spawn_blocking(move || watching.join()).await;
    watched
        .ok()
        .and_then(Result::ok)
        .expect("it does not panic")
}

/// What so many nodes cost.
struct Measured {
    nodes: f64,
    costs: [Cost; RATES.len()],
    /// Of one question to the log, in the server.
    question: f64,
    connections: f64,
    /// Bytes of the server, for one node.
    memory_there: f64,
    /// Bytes of this process, for one node.
    memory_here: f64,
    to_the_last: Vec<f64>,
}

async fn measure(count: u32) -> Measured {
    eprintln!("{count} nodes");
    let server = Server::start(&["--maxclients", "19000"]);
    let mut connection = server.connection().await;
    let (before, here) = (Info::of(&mut connection).await, resident());
    let nodes: Vec<_> = (0..count)
        .map(|_| server.cache(Cache::builder().max_bytes(1 << 20)))
        .collect();
    for node in &nodes {
        node.connected().await;
    }
    // Each has followed the log by then, and has a second connection.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let info = Info::of(&mut connection).await;
    let of_each = |now: f64, before: f64| (now - before) / f64::from(count);
    let memory_there = of_each(info.number("used_memory"), before.number("used_memory"));
    let memory_here = of_each(resident(), here);
    let connections = info.number("connected_clients") - before.number("connected_clients");
    let mut costs = Vec::new();
    let mut question = 0.0;
    for rate in RATES {
        let before = Info::of(&mut connection).await.command("evalsha");
        costs.push(cost(&mut connection, &nodes, rate).await);
        if rate == 0 {
            let after = Info::of(&mut connection).await.command("evalsha");
            question = (after.1 - before.1) / (after.0 - before.0);
        }
        // What was late has come by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Measured {
        nodes: f64::from(count),
        costs: costs.try_into().expect("one for each rate"),
        question,
        connections,
        memory_there,
        memory_here,
        to_the_last: to_the_last(&nodes).await,
    }
}

impl Measured {
    fn print(&self) {
        for cost in self.costs {
            println!(
                "| {:.0} | {:.1} | {:.2} | {:.0} | {:.1} | {:.1} | {:.2} |",
                self.nodes,
                cost.rate,
                100.0 * cost.server,
                cost.commands,
                cost.received / 1e3,
                cost.sent / 1e3,
                100.0 * cost.nodes,
            );
        }
    }

    fn print_rest(&self) {
        let at = |part: usize| self.to_the_last[(self.to_the_last.len() - 1) * part / 100];
        println!(
            "| {:.0} | {:.0} | {:.1} | {:.1} | {:.0} | {:.2} | {:.2} |",
            self.nodes,
            self.connections,
            self.memory_there / 1e3,
            self.memory_here / 1e3,
            self.question,
            at(50),
            at(99)
        );
    }
}

/// What one thing takes of each kind: of the server's core, of its network in and out.
#[derive(Clone, Copy, Debug)]
struct Each {
    server: f64,
    nodes: f64,
    received: f64,
    sent: f64,
}

impl Each {
    fn of(cost: impl Fn(fn(&Cost) -> f64) -> f64) -> Self {
        Self {
            server: cost(|cost| cost.server),
            nodes: cost(|cost| cost.nodes),
            received: cost(|cost| cost.received),
            sent: cost(|cost| cost.sent),
        }
    }

    fn print(&self, what: &str) {
        println!(
            "| {what} | {:.1} | {:.1} | {:.0} | {:.0} |",
            1e6 * self.server,
            1e6 * self.nodes,
            self.received,
            self.sent
        );
    }
}

/// One node at rest, one invalidation, one delivery of it to one node.
fn coefficients(all: &[Measured]) -> [Each; 3] {
    let (least, most) = (&all[0], &all[all.len() - 1]);
    // Past what the machine holds, nodes are late and read several records at once, which is cheaper.
    let kept_up = |measured: &&Measured| measured.costs[1].rate > 0.95 * f64::from(RATES[1]);
    let delivered = all.iter().rev().find(kept_up).unwrap_or(least);
    let grown = |measured: &Measured, at: usize, part: fn(&Cost) -> f64| {
        (part(&measured.costs[at]) - part(&measured.costs[0])) / measured.costs[at].rate
    };
    // What an idle server takes is no node's.
    let at_rest = |part: fn(&Cost) -> f64| match most.nodes - least.nodes {
        0.0 => part(&most.costs[0]) / most.nodes,
        more => (part(&most.costs[0]) - part(&least.costs[0])) / more,
    };
    let one = |part: fn(&Cost) -> f64| grown(delivered, 1, part) / delivered.nodes;
    [
        Each::of(at_rest),
        Each::of(|part| grown(least, 2, part) - least.nodes * one(part)),
        Each::of(one),
    ]
}

fn main() {
    let counts: Vec<u32> = std::env::args()
        .skip(1)
        .map(|count| {
            count
                .parse()
                .expect("numbers of nodes, such as 10 100 1000")
        })
        .collect();
    let counts = if counts.is_empty() {
        vec![10, 100, 1000]
    } else {
        counts
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime starts");
    let all: Vec<_> = counts
        .iter()
        .map(|count| runtime.block_on(measure(*count)))
        .collect();
    println!(
        "### What was measured, in one second\n\n| nodes | invalidations | server, % of a core | commands | KB received | KB sent | all nodes, % of a core |\n|---:|---:|---:|---:|---:|---:|---:|"
    );
    all.iter().for_each(Measured::print);
    println!(
        "\n| nodes | connections | KB of the server, each | KB here, each | one question, µs | to the last, ms, median | 99 of 100 |\n|---:|---:|---:|---:|---:|---:|---:|"
    );
    all.iter().for_each(Measured::print_rest);
    let [node, invalidation, delivery] = coefficients(&all);
    println!(
        "\n### What one takes\n\n| | server, µs | node, µs | bytes received | bytes sent |\n|---|---:|---:|---:|---:|"
    );
    node.print("a node at rest, in one second");
    invalidation.print("an invalidation");
    delivery.print("its delivery to one node");
    println!(
        "\n### Reckoned\n\n| nodes | invalidations in a second | server, % of a core | MB received in a second | MB sent in a second |\n|---:|---:|---:|---:|---:|"
    );
    for nodes in RECKONED {
        for rate in RATES {
            let rate = f64::from(rate);
            let all = |part: fn(&Each) -> f64| {
                nodes * part(&node) + rate * (part(&invalidation) + nodes * part(&delivery))
            };
            println!(
                "| {nodes} | {rate} | {:.1} | {:.2} | {:.2} |",
                100.0 * all(|each| each.server),
                all(|each| each.received) / 1e6,
                all(|each| each.sent) / 1e6
            );
        }
    }
}
