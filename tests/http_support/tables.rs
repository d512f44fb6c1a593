//! Tables of cases, and cases by chance.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseResult, TestError, TestRunner};

use super::Rig;

/// Whether a response is what the next request gets, too, and the origin is not asked.
pub async fn reused(rig: &Rig, status: u16, headers: &str) -> bool {
    let body = if matches!(status, 204 | 205 | 304) {
        ""
    } else {
        "first"
    };
    rig.origin(status, headers, body).origin(200, "", "second");
    let first = rig.get("/", "").await;
    assert_eq!((first.status.as_u16(), first.text()), (status, body));
    let second = rig.get("/", "").await;
    let same = (second.status, second.text()) == (first.status, first.text());
    assert_eq!(same, rig.asked() == 1, "{status} {headers}: {second:?}");
    same
}

/// How a cache errs, unless it reuses a response for exactly so many seconds and then asks.
pub async fn wrong_lifetime(rig: &Rig, status: u16, headers: &str, seconds: u64) -> Option<String> {
    rig.origin(status, headers, "")
        .origin(200, "cache-control: no-store", "asked again");
    rig.get("/", "").await;
    if seconds > 0 {
        rig.advance(seconds - 1);
        let reply = rig.get("/", "").await;
        if rig.asked() != 1 {
            return Some(format!("not fresh after {}: {reply:?}", seconds - 1));
        }
        rig.advance(1);
    }
    let reply = rig.get("/", "").await;
    (rig.asked() != 2).then(|| format!("still fresh after {seconds}: {reply:?}"))
}

/// Checks of each row's section and response whether it is fresh for so many seconds: one less, and no
/// more.
pub async fn check_lifetimes(make: fn() -> Rig, rows: &[(&str, &str, u64)]) {
    let mut failures = Failures::default();
    for (section, headers, seconds) in rows {
        let wrong = wrong_lifetime(&make(), 200, headers, *seconds).await;
        failures.check(wrong.is_none(), || {
            format!("{section}: {headers:?}: {}", wrong.unwrap())
        });
    }
}

/// What went wrong in a table of cases, shown all at once.
#[derive(Debug, Default)]
pub struct Failures(Vec<String>);

impl Failures {
    /// Notes a row that did not do as it should.
    pub fn check(&mut self, holds: bool, row: impl FnOnce() -> String) {
        if !holds {
            self.0.push(row());
        }
    }
}

impl Drop for Failures {
    fn drop(&mut self) {
        if !self.0.is_empty() && !std::thread::panicking() {
            panic!("{} rows failed:\n{}", self.0.len(), self.0.join("\n"));
        }
    }
}

/// Checks cases made at random, so many unless `PROPTEST_CASES` says otherwise; returns how many it
/// were. What fails is made smaller, and `shown`.
pub fn check_cases<S: Strategy>(
    usual: u32,
    cases: &S,
    check: impl AsyncFn(&S::Value) -> TestCaseResult,
    shown: impl Fn(&S::Value) -> String,
) -> u32 {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = usual;
    }
    config.failure_persistence = None;
    let count = config.cases;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match TestRunner::new(config).run(cases, |case| runtime.block_on(check(&case))) {
        Ok(()) => count,
        Err(TestError::Fail(why, case)) => panic!("{why}\n{}", shown(&case)),
        Err(aborted) => panic!("{aborted}"),
    }
}
