//! A Cluster for tests: three masters with a third of the slots each, whose slots move, and replicas of them.
#![allow(dead_code, reason = "each test file uses some of it")]

use cache_redis::Redis;

use crate::support::{Server, until};

/// Of the slots.
const THIRD: usize = 5462;

/// The masters, and what was added to them.
pub(crate) struct Cluster(pub(crate) Vec<Server>);

/// A text that was answered.
fn text(answer: &str) -> String {
    answer.lines().nth(1).unwrap_or(answer).to_owned()
}

/// What answered `OK`.
fn done(answer: &str) {
    assert!(answer.starts_with("+OK"), "{answer}");
}

fn start() -> Server {
    Server::with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1000",
        // Whatever it lacks, a replica takes over.
        "--cluster-replica-validity-factor",
        "0",
    ])
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        let cluster = Self((0..3).map(|_| start()).collect());
        for (number, server) in cluster.0.iter().enumerate() {
            done(&server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]));
            let third = number * THIRD..16_384.min((number + 1) * THIRD);
            let slots: Vec<_> = third.map(|slot| slot.to_string()).collect();
            let mut add = vec!["CLUSTER", "ADDSLOTS"];
            add.extend(slots.iter().map(String::as_str));
            done(&server.command(&add));
            cluster.meets_the_first(server);
        }
        cluster.knows_itself().await;
        cluster
    }

    fn meets_the_first(&self, server: &Server) {
        let port = self.0[0].port.to_string();
        done(&server.command(&["CLUSTER", "MEET", "127.0.0.1", &port]));
    }

    /// Waits until each knows all others and what they are.
    async fn knows_itself(&self) {
        let replicas = self.0.len() - 3;
        until("every server knows the others", async || {
            self.0.iter().all(|server| {
                let info = server.command(&["CLUSTER", "INFO"]);
                let nodes = server.command(&["CLUSTER", "NODES"]);
                info.contains("cluster_state:ok")
                    && info.contains("cluster_size:3")
                    && nodes.matches("slave ").count() == replicas
            })
        })
        .await;
    }

    /// Adds a replica of each of these masters.
    pub(crate) async fn add_replicas(&mut self, masters: [usize; 2]) {
        for master in masters {
            let (id, replica) = (self.id(master), start());
            self.meets_the_first(&replica);
            until("the replica knows its master", async || {
                replica.command(&["CLUSTER", "NODES"]).contains(&id)
            })
            .await;
            done(&replica.command(&["CLUSTER", "REPLICATE", &id]));
            replica.waits_for("replication", "master_link_status:up");
            self.0.push(replica);
        }
        self.knows_itself().await;
    }

    pub(crate) fn redis(&self) -> Redis {
        Redis::cluster(self.0.iter().map(Server::url)).unwrap()
    }

    fn id(&self, server: usize) -> String {
        text(&self.0[server].command(&["CLUSTER", "MYID"]))
    }

    pub(crate) fn slot(&self, name: &str) -> String {
        let slot = self.0[0].command(&["CLUSTER", "KEYSLOT", name]);
        slot.trim().trim_start_matches(':').to_owned()
    }

    /// The master that the slots were given to in which that name is.
    pub(crate) fn place(&self, name: &str) -> usize {
        self.slot(name).parse::<usize>().unwrap() / THIRD
    }

    /// The names of all that a server has.
    pub(crate) fn names(&self, server: usize) -> Vec<String> {
        let names = self.0[server].command(&["KEYS", "rv:*"]);
        let names = names.lines().filter(|line| line.starts_with("rv:"));
        names.map(str::to_owned).collect()
    }

    /// Has a slot begin to move: what is not there any more is asked for at the other.
    pub(crate) fn begin_move(&self, slot: &str, from: usize, to: usize) {
        let (source, target) = (self.id(from), self.id(to));
        done(&self.0[to].command(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &source]));
        done(&self.0[from].command(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &target]));
    }

    /// Moves what is in the slot.
    pub(crate) fn move_keys(&self, slot: &str, from: usize, to: usize) {
        let port = self.0[to].port.to_string();
        loop {
            let found = self.0[from].command(&["CLUSTER", "GETKEYSINSLOT", slot, "100"]);
            let found: Vec<_> = found
                .lines()
                .filter(|line| line.starts_with("rv:"))
                .collect();
            if found.is_empty() {
                return;
            }
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            migrate.extend(found);
            let moved = self.0[from].command(&migrate);
            // What expired meanwhile is no error.
            assert!(
                moved.starts_with("+OK") || moved.starts_with("+NOKEY"),
                "{moved}"
            );
        }
    }

    /// Puts the other in charge of the slot.
    pub(crate) fn end_move(&self, slot: &str, from: usize, to: usize) {
        let target = self.id(to);
        for server in [to, from] {
            done(&self.0[server].command(&["CLUSTER", "SETSLOT", slot, "NODE", &target]));
        }
    }

    pub(crate) fn move_slot(&self, slot: &str, from: usize, to: usize) {
        self.begin_move(slot, from, to);
        self.move_keys(slot, from, to);
        self.end_move(slot, from, to);
    }

    /// Waits until a replica is in charge.
    pub(crate) async fn is_in_charge(&self, server: usize) {
        until("the replica is in charge", async || {
            let said = self.0[server].command(&["INFO", "replication"]);
            said.contains("role:master")
        })
        .await;
    }
}
