//! The network between nodes and servers: every call is a request and a reply, each with a fate of its own.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cache_core::remote::{Logged, Memory, Position, Remote, RemoteError, Reply, Session, Since};
use tokio::sync::{oneshot, watch};

use crate::session::Wire;
use crate::timeline::{Timeline, lock};

/// What becomes of messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// In microseconds; each message takes some time between them, so they overtake each other.
    pub(crate) fastest: u64,
    pub(crate) slowest: u64,
    /// How many of a hundred are lost.
    pub(crate) lost: u32,
    /// How many requests of a hundred arrive twice.
    pub(crate) twice: u32,
}

pub(crate) const CALM: Weather = Weather {
    fastest: 200,
    slowest: 3_000,
    lost: 0,
    twice: 0,
};

/// How soon a message comes again that a node slept through, in microseconds at most.
const SENT_AGAIN: u64 = 150_000;

/// What does not get through between a node and the server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cut {
    pub(crate) requests: bool,
    pub(crate) replies: bool,
}

pub(crate) struct Network {
    pub(crate) time: Arc<Timeline>,
    /// Counts replies that did not show all of the log.
    pub(crate) more: AtomicU64,
    state: Mutex<State>,
}

struct State {
    weather: Weather,
    cuts: Vec<Cut>,
    /// What comes for a node that sleeps, to be sent again when it is awake.
    asleep: Vec<Option<Vec<Message>>>,
    in_charge: Memory,
    /// Those in charge have a number each.
    number: usize,
    connections: Vec<Weak<Connection>>,
    following: Vec<Following>,
}

/// One connection to one server.
pub(crate) struct Connection {
    network: Arc<Network>,
    node: usize,
    server: usize,
    session: Arc<dyn Session>,
    broken: AtomicBool,
    /// What its calls wait for beside their replies.
    end: watch::Sender<bool>,
}

/// What happens where a message arrives.
type Message = Box<dyn FnOnce() + Send>;

/// A reader of the log who waits at the server.
struct Following {
    connection: Arc<Connection>,
    at: Position,
    until: Duration,
    told: Told<Vec<Logged>>,
}

/// Where a reply goes; the first is the one that counts.
type Told<T> = Arc<Mutex<Option<oneshot::Sender<Result<T, RemoteError>>>>>;

pub(crate) fn unreachable() -> RemoteError {
    RemoteError::Unreachable("the connection is broken".into())
}

/// What a future is that never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a step of the server waited"),
    }
}

impl Network {
    pub(crate) fn new(time: &Arc<Timeline>, nodes: usize, server: Memory) -> Arc<Self> {
        Arc::new(Self {
            time: Arc::clone(time),
            more: AtomicU64::new(0),
            state: Mutex::new(State {
                weather: CALM,
                cuts: vec![Cut::default(); nodes],
                asleep: (0..nodes).map(|_| None).collect(),
                in_charge: server,
                number: 0,
                connections: Vec::new(),
                following: Vec::new(),
            }),
        })
    }

    pub(crate) fn server(&self) -> Memory {
        lock(&self.state).in_charge.clone()
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        lock(&self.state).weather = weather;
    }

    pub(crate) fn cut(&self, node: usize, cut: Cut) {
        lock(&self.state).cuts[node] = cut;
    }

    /// A node sleeps: nothing that is sent to it arrives.
    pub(crate) fn falls_asleep(&self, node: usize) {
        lock(&self.state).asleep[node].get_or_insert_default();
    }

    /// What was sent meanwhile comes once more.
    pub(crate) fn wakes(&self, node: usize) {
        let missed = lock(&self.state).asleep[node].take();
        for message in missed.unwrap_or_default() {
            let again = self.time.pick(|rng| rng.u64(0..SENT_AGAIN));
            self.time.after(Duration::from_micros(again), message);
        }
    }

    fn arrives(&self, node: usize, message: Message) {
        if let Some(missed) = &mut lock(&self.state).asleep[node] {
            return missed.push(message);
        }
        message();
    }

    /// Puts another server in charge; connections to the one before go on until they are broken.
    pub(crate) fn put_in_charge(&self, server: Memory) {
        let mut state = lock(&self.state);
        state.in_charge = server;
        state.number += 1;
    }

    /// Breaks connections: of a node, or to servers that are not in charge, or all.
    pub(crate) fn break_connections(&self, which: impl Fn(usize, bool) -> bool) {
        let (broken, told): (Vec<_>, Vec<_>) = {
            let mut state = lock(&self.state);
            let number = state.number;
            let open = state.connections.iter().filter_map(Weak::upgrade);
            let broken: Vec<_> = open
                .filter(|connection| which(connection.node, connection.server == number))
                .collect();
            for connection in &broken {
                connection.broken.store(true, Ordering::SeqCst);
            }
            let told = state
                .following
                .extract_if(.., |following| following.connection.is_broken())
                .collect();
            state
                .connections
                .retain(|connection| connection.upgrade().is_some_and(|open| !open.is_broken()));
            (broken, told)
        };
        drop::<Vec<Following>>(told);
        for connection in broken {
            connection.end.send_replace(true);
            self.time.wake(connection.node);
        }
    }

    /// How long a message takes; `None` where it is lost.
    fn travels(&self, node: usize, reply: bool) -> Option<Duration> {
        let state = lock(&self.state);
        let Weather {
            fastest,
            slowest,
            lost,
            ..
        } = state.weather;
        let cut = state.cuts[node];
        let (lost, micros) = self
            .time
            .pick(|rng| (rng.u32(0..100) < lost, rng.u64(fastest..=slowest)));
        let lost = lost || if reply { cut.replies } else { cut.requests };
        (!lost).then(|| Duration::from_micros(micros))
    }

    fn arrives_twice(&self) -> bool {
        let twice = lock(&self.state).weather.twice;
        self.time.pick(|rng| rng.u32(0..100) < twice)
    }

    /// Sends a request, or two; `arrived` is what happens at the server.
    fn send(
        self: &Arc<Self>,
        node: usize,
        name: &'static str,
        arrived: impl Fn() + Send + Sync + 'static,
    ) {
        let arrived = Arc::new(arrived);
        let copies = if self.arrives_twice() { 2 } else { 1 };
        for _ in 0..copies {
            match self.travels(node, false) {
                Some(delay) => {
                    let arrived = Arc::clone(&arrived);
                    self.time.after(delay, move || arrived());
                }
                None => self
                    .time
                    .tell(|| format!("n{node}'s {name} is lost on its way")),
            }
        }
    }

    /// Sends a reply back.
    fn reply<T: Send + 'static>(
        self: &Arc<Self>,
        connection: Option<&Arc<Connection>>,
        (node, name): (usize, &'static str),
        reply: Result<T, RemoteError>,
        told: Told<T>,
    ) {
        let Some(delay) = self.travels(node, true) else {
            self.time
                .tell(|| format!("the reply to n{node}'s {name} is lost on its way"));
            return;
        };
        let (network, connection) = (Arc::clone(self), connection.cloned());
        let time = Arc::clone(&self.time);
        let message = move || {
            if connection.is_none_or(|connection| !connection.is_broken())
                && let Some(told) = lock(&told).take()
                && told.send(reply).is_ok()
            {
                time.wake(node);
            }
        };
        self.time
            .after(delay, move || network.arrives(node, Box::new(message)));
    }

    /// Shows who follows a log what there is now.
    fn tell_followers(self: &Arc<Self>) {
        let now = self.time.now();
        let mut over = Vec::new();
        lock(&self.state).following.retain(|following| {
            let shown = at_once(
                following
                    .connection
                    .session
                    .follow(following.at, Duration::ZERO),
            );
            let nothing = shown.as_ref().is_ok_and(Vec::is_empty);
            if nothing && now < following.until {
                return true;
            }
            let connection = Arc::clone(&following.connection);
            over.push((connection, shown, Arc::clone(&following.told)));
            false
        });
        for (connection, shown, told) in over {
            let whose = (connection.node, "follow");
            self.reply(Some(&connection), whose, shown, told);
        }
    }

    /// Connects a node to the server that is in charge when the request arrives.
    fn connect(self: &Arc<Self>, node: usize, namespace: &str) -> Reply<'static, Arc<dyn Session>> {
        let (network, namespace) = (Arc::clone(self), namespace.to_owned());
        Box::pin(async move {
            let (tell, answer) = oneshot::channel();
            let told = Arc::new(Mutex::new(Some(tell)));
            let here = Arc::clone(&network);
            network.send(node, "connect", move || {
                let (server, number) = {
                    let state = lock(&here.state);
                    (state.in_charge.clone(), state.number)
                };
                let session = at_once(server.connect(&namespace)).map(|session| {
                    let connection = Arc::new(Connection {
                        network: Arc::clone(&here),
                        node,
                        server: number,
                        session,
                        broken: AtomicBool::new(false),
                        end: watch::Sender::new(false),
                    });
                    lock(&here.state)
                        .connections
                        .push(Arc::downgrade(&connection));
                    Arc::new(Wire::new(connection)) as Arc<dyn Session>
                });
                here.reply(None, (node, "connect"), session, Arc::clone(&told));
            });
            answer.await.unwrap_or_else(|_| Err(unreachable()))
        })
    }
}

impl Connection {
    /// Notes what a reply showed of the log.
    pub(crate) fn saw(&self, since: &Since) {
        if let Since::After { more: true, .. } = since {
            self.network.more.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }

    pub(crate) fn epoch(&self) -> &Arc<str> {
        self.session.epoch()
    }

    /// Whether a request that arrives is still carried out: when the connection broke it may have been on its way.
    fn carries_out(&self) -> bool {
        !self.is_broken() || self.network.time.pick(fastrand::Rng::bool)
    }

    /// Waits for a reply, or for the end of the connection.
    async fn answer<T>(
        &self,
        answer: oneshot::Receiver<Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        let mut end = self.end.subscribe();
        tokio::select! {
            biased;
            answer = answer => answer.unwrap_or_else(|_| Err(unreachable())),
            _ = end.wait_for(|ended| *ended) => Err(unreachable()),
        }
    }

    /// One call: sent, carried out as one step when it arrives, answered.
    pub(crate) fn call<T, F>(self: &Arc<Self>, name: &'static str, step: F) -> Reply<'static, T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a dyn Session) -> Reply<'a, T> + Send + Sync + 'static,
    {
        let connection = Arc::clone(self);
        Box::pin(async move {
            if connection.is_broken() {
                return Err(unreachable());
            }
            let (tell, answer) = oneshot::channel();
            let told = Arc::new(Mutex::new(Some(tell)));
            let there = Arc::clone(&connection);
            let network = Arc::clone(&connection.network);
            network.send(connection.node, name, move || {
                if !there.carries_out() {
                    return;
                }
                let reply = at_once(step(&*there.session));
                there.network.tell_followers();
                let whose = (there.node, name);
                there
                    .network
                    .reply(Some(&there), whose, reply, Arc::clone(&told));
            });
            connection.answer(answer).await
        })
    }

    /// Waits at the server for records.
    pub(crate) fn follow(
        self: &Arc<Self>,
        at: Position,
        limit: Duration,
    ) -> Reply<'static, Vec<Logged>> {
        let connection = Arc::clone(self);
        Box::pin(async move {
            if connection.is_broken() {
                return Err(unreachable());
            }
            let (tell, answer) = oneshot::channel();
            let told = Arc::new(Mutex::new(Some(tell)));
            let there = Arc::clone(&connection);
            let network = Arc::clone(&connection.network);
            network.send(connection.node, "follow", move || {
                if !there.carries_out() {
                    return;
                }
                let network = Arc::clone(&there.network);
                lock(&network.state).following.push(Following {
                    connection: Arc::clone(&there),
                    at,
                    until: network.time.now() + limit,
                    told: Arc::clone(&told),
                });
                network.tell_followers();
                let at_the_end = Arc::clone(&network);
                network
                    .time
                    .after(limit, move || at_the_end.tell_followers());
            });
            connection.answer(answer).await
        })
    }
}

/// A node's way to the servers.
pub(crate) struct Link {
    pub(crate) network: Arc<Network>,
    pub(crate) node: usize,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link of n{}", self.node)
    }
}

impl Remote for Link {
    fn connect<'a>(&'a self, namespace: &'a str) -> Reply<'a, Arc<dyn Session>> {
        self.network.connect(self.node, namespace)
    }
}
