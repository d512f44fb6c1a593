//! Random operations on the public API, checked against a plain reference: every value, every
//! [`Reason`](cache_core::Reason) and what a look at each key shows, after every step.
//!
//! Loaders wait at a gate until they are told what to do, so that which invalidation falls into which
//! load is part of the operations, and found again when a failure is made smaller. `PROPTEST_CASES`
//! is the number of cases.

mod harness;
mod reference;

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use harness::{Harness, Told};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reference::{End, Kind, Model, Plan, Seen};

/// Keys: the last is in a scope of its own.
const KEYS: usize = 3;
const TAGS: [&str; 3] = ["a", "b", "c"];
/// The implicit tag of what is in the scope, as the cache names it.
static SCOPE: LazyLock<String> = LazyLock::new(|| {
    let scope = cache_core::Cache::new().scope("scope");
    let _ = scope.put(0, 0, 1, [""; 0]);
    let tags = scope.explain(0).tags;
    tags.into_iter()
        .find(|tag| tag != "everything")
        .expect("it has one")
});
/// Readers at once; every order in which they can be woken is tried.
const MOST_WAITING: usize = 5;
/// Loads inside loads.
const DEEPEST: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    Read(usize),
    Look(usize),
    /// Tells one of the loads that run.
    Tell(usize, What),
    Invalidate(Kind, Vec<usize>),
    Clear {
        scope: bool,
        local: bool,
    },
    Remove(usize),
    Put(usize, Vec<usize>),
    Begin(usize),
    PutFrom(usize, Vec<usize>),
    Forget(usize),
    Advance(u64),
    Leave(usize),
}

#[derive(Clone, Debug)]
enum What {
    Read(usize),
    Tag(usize),
    End(End),
}

fn tags() -> impl Strategy<Value = Vec<usize>> {
    proptest::sample::subsequence((0..TAGS.len()).collect::<Vec<_>>(), 0..=TAGS.len())
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        3 => (0..KEYS).prop_map(What::Read),
        2 => (0..TAGS.len()).prop_map(What::Tag),
        6 => Just(What::End(End::Value)),
        2 => Just(What::End(End::Error)),
        1 => Just(What::End(End::Panic)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![Just(Kind::Soft), Just(Kind::Hard)];
    let seconds = prop_oneof![4 => Just(1_u64), 3 => 2..8_u64, 1 => Just(31_u64)];
    prop_oneof![
        8 => (0..KEYS).prop_map(Op::Read),
        1 => (0..KEYS).prop_map(Op::Look),
        12 => (0..8_usize, what()).prop_map(|(load, what)| Op::Tell(load, what)),
        4 => (kind, tags()).prop_map(|(kind, tags)| Op::Invalidate(kind, tags)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(scope, local)| Op::Clear { scope, local }),
        1 => (0..KEYS).prop_map(Op::Remove),
        1 => (0..KEYS, tags()).prop_map(|(key, tags)| Op::Put(key, tags)),
        1 => (0..KEYS).prop_map(Op::Begin),
        1 => (0..4_usize, tags()).prop_map(|(pending, tags)| Op::PutFrom(pending, tags)),
        1 => (0..4_usize).prop_map(Op::Forget),
        2 => seconds.prop_map(Op::Advance),
        1 => (0..8_usize).prop_map(Op::Leave),
    ]
}

fn plan(scope: bool) -> impl Strategy<Value = Plan> {
    let all = "everything".to_owned();
    let implied = if scope {
        vec![SCOPE.clone(), all]
    } else {
        vec![all]
    };
    (
        2..6_u64,
        prop_oneof![Just(0_u64), 3..9_u64],
        prop_oneof![Just(0_u64), 3..12_u64],
        prop_oneof![3 => Just(0_u64), 1 => Just(1_u64)],
        tags(),
    )
        .prop_map(move |(ttl, while_revalidate, if_error, ahead, tags)| Plan {
            ttl,
            stale_while_revalidate: while_revalidate,
            stale_if_error: if_error,
            refresh_ahead: ahead,
            tags: named(&tags),
            implied: implied.clone(),
        })
}

fn named(tags: &[usize]) -> Vec<String> {
    tags.iter().map(|tag| TAGS[*tag].to_owned()).collect()
}

/// The reference and the cache, side by side.
struct Run {
    harness: Harness,
    /// What the cache may be in: more than one where the runtime chose an order that did not show.
    models: Vec<Model>,
    next: usize,
    keys_of_pending: Vec<(usize, usize)>,
}

impl Run {
    fn new(plans: Vec<Plan>) -> Self {
        Self {
            harness: Harness::new(plans.clone()),
            models: vec![Model::new(plans)],
            next: 1,
            keys_of_pending: Vec::new(),
        }
    }

    fn id(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    /// Does `change` to every model in every order, and keeps those that agree with what was seen.
    fn check(&mut self, change: impl Fn(&mut Model)) {
        let mut seen = self.harness.settle();
        count(&seen);
        seen.sort_by_key(Seen::sort_key);
        let mut agreeing = Vec::<Model>::new();
        let mut predicted = Vec::new();
        for model in &self.models {
            let mut first = model.clone();
            change(&mut first);
            let orders = permutations(&first.woken);
            for order in orders {
                let mut next = model.clone();
                next.order = order;
                change(&mut next);
                next.order.clear();
                next.woken.clear();
                let mut expected = std::mem::take(&mut next.seen);
                expected.sort_by_key(Seen::sort_key);
                if expected == seen && self.shows(&next) {
                    if !agreeing.contains(&next) {
                        agreeing.push(next);
                    }
                } else {
                    let shown: Vec<_> = (0..KEYS).map(|key| next.show(key)).collect();
                    predicted.push((expected, shown));
                }
            }
        }
        if agreeing.is_empty() {
            let shown: Vec<_> = (0..KEYS).map(|key| self.harness.show(key)).collect();
            panic!(
                "the cache did {seen:?} and shows {shown:#?},\nexpected was one of {predicted:#?}"
            );
        }
        self.models = agreeing;
    }

    fn shows(&self, model: &Model) -> bool {
        (0..KEYS).all(|key| model.show(key) == self.harness.show(key))
    }

    fn model(&self) -> &Model {
        &self.models[0]
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Read(key) => {
                if self.model().waiting().len() < MOST_WAITING {
                    let id = self.id();
                    self.harness.read(id, key);
                    self.check(|model| model.read(id, key, None));
                }
            }
            Op::Look(key) => {
                let (expected, got) = (self.model().look(key), self.harness.look(key));
                assert_eq!(got, expected, "a look at {key}");
            }
            Op::Tell(load, what) => {
                let idle = self.model().idle_loads();
                if !idle.is_empty() {
                    self.tell(idle[load % idle.len()], &what);
                }
            }
            Op::Invalidate(kind, tags) => {
                let tags = named(&tags);
                let cache = self.harness.view(false);
                drop(match kind {
                    Kind::Soft => cache.revalidate_tag(&tags[..]),
                    _ => cache.invalidate_cache(&tags[..]),
                });
                self.check(|model| model.invalidate(kind, &tags));
            }
            Op::Clear { scope, local } => {
                let view = self.harness.view(scope);
                let kind = if local { Kind::Local } else { Kind::Hard };
                if local {
                    drop(view.clear_memory());
                } else {
                    drop(view.clear());
                }
                let tag = if scope {
                    SCOPE.clone()
                } else {
                    "everything".to_owned()
                };
                self.check(|model| model.invalidate(kind, std::slice::from_ref(&tag)));
            }
            Op::Remove(key) => {
                self.harness.remove(key);
                self.check(|model| model.remove(key));
            }
            Op::Put(key, tags) => {
                let (id, tags) = (self.id(), named(&tags));
                self.harness.put(key, id as u64, &tags[..]);
                self.check(|model| model.put(key, id as u64, &tags));
            }
            Op::Begin(key) => {
                let id = self.id();
                self.harness.begin(key, id);
                self.keys_of_pending.push((id, key));
                self.check(|model| model.begin(key, id));
            }
            Op::PutFrom(pending, tags) => {
                if let Some((id, key)) = self.pending(pending) {
                    let tags = named(&tags);
                    let value = self.id() as u64;
                    let got = self.harness.put_from(id, key, value, &tags[..]);
                    let expected = self.model().clone().put_from(id, value, &tags);
                    assert_eq!(got, expected, "why a begun value was not stored");
                    self.check(|model| {
                        let _ = model.put_from(id, value, &tags);
                    });
                }
            }
            Op::Forget(pending) => {
                if let Some((id, _)) = self.pending(pending) {
                    self.harness.forget(id);
                    self.check(|model| model.forget(id));
                }
            }
            Op::Advance(seconds) => {
                self.harness.advance(seconds);
                self.check(|model| model.advance(seconds));
            }
            Op::Leave(reader) => {
                let waiting = self.model().waiting();
                if !waiting.is_empty() {
                    let reader = waiting[reader % waiting.len()];
                    self.harness.leave(reader);
                    self.check(|model| model.leave(reader));
                }
            }
        }
    }

    fn pending(&self, at: usize) -> Option<(usize, usize)> {
        let ids = self.model().pendings();
        let id = *ids.get(at % ids.len().max(1))?;
        let key = self
            .keys_of_pending
            .iter()
            .find(|(pending, _)| *pending == id);
        key.copied()
    }

    fn tell(&mut self, load: usize, what: &What) {
        match *what {
            What::Read(key) => {
                if self.model().depth(load) < DEEPEST {
                    let id = self.id();
                    self.harness.tell(load, Told::Read { reader: id, key });
                    self.check(|model| model.read(id, key, Some(load)));
                }
            }
            What::Tag(tag) => {
                let tag = TAGS[tag];
                self.harness.tell(load, Told::Tag(tag.to_owned()));
                self.check(|model| model.tag(load, tag));
            }
            What::End(end) => {
                self.harness.tell(load, Told::End(end));
                self.check(|model| model.end(load, end));
            }
        }
    }

    /// Everything ends, and nobody is left waiting.
    fn finish(mut self) {
        while let Some(load) = self.model().idle_loads().pop() {
            self.tell(load, &What::End(End::Value));
        }
        assert_eq!(self.model().waiting(), [0_usize; 0], "left waiting");
        for pending in self.model().pendings() {
            self.harness.forget(pending);
        }
        assert_eq!(self.harness.running(), 0, "left running");
    }
}

fn permutations(of: &[usize]) -> Vec<Vec<usize>> {
    if of.len() < 2 {
        return vec![of.to_vec()];
    }
    let mut all = Vec::new();
    for (i, first) in of.iter().enumerate() {
        let mut rest = of.to_vec();
        rest.remove(i);
        for mut tail in permutations(&rest) {
            tail.insert(0, *first);
            all.push(tail);
        }
    }
    all
}

fn config() -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2_000;
    }
    if std::env::var_os("PROPTEST_MAX_SHRINK_ITERS").is_none() {
        config.max_shrink_iters = 20_000;
    }
    config.failure_persistence = None;
    config
}

/// How often each outcome was seen: a test that never gets there proves nothing.
static OUTCOMES: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn count(seen: &[Seen]) {
    let mut outcomes = OUTCOMES.lock().unwrap();
    for seen in seen {
        let Seen::Done { reason, joined, .. } = seen else {
            continue;
        };
        let reason = reason.map_or("panic", cache_core::Reason::as_str);
        let outcome = if *joined {
            format!("{reason}, joined")
        } else {
            reason.to_owned()
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
}

#[test]
fn the_cache_does_what_the_reference_does() {
    let config = config();
    let cases = config.cases;
    let plans = (plan(false), plan(false), plan(true));
    let ops = proptest::collection::vec(op(), 1..60);
    let ran = TestRunner::new(config).run(&(plans, ops), |(plans, ops)| {
        let mut run = Run::new(vec![plans.0, plans.1, plans.2]);
        for op in ops {
            run.run(op);
        }
        run.finish();
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
    let outcomes = OUTCOMES.lock().unwrap();
    println!("{cases} cases: {outcomes:#?}");
    if cases >= 1_000 {
        for wanted in [
            "hit",
            "stale",
            "never-stored",
            "expired",
            "tag",
            "removed",
            "load-raced",
            "error",
            "panicked",
            "inner-failed",
            "panic",
            "tag, joined",
            "expired, joined",
            "stale, joined",
        ] {
            assert!(
                outcomes.contains_key(wanted),
                "no {wanted:?} among {outcomes:?}"
            );
        }
    }
}
