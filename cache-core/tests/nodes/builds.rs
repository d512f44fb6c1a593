//! What entries are named by where no version is said.

use std::process::Command;

use cache_core::Cache;
use cache_core::remote::Memory;

/// What names this build, as it stands in an entry.
async fn identity() -> String {
    let server = Memory::new();
    let cache = Cache::builder().remote(server.clone()).build();
    cache.connected().await;
    let _ = cache.put("a", 1_u64, "1h", ["rows"]);
    cache.shutdown().await.unwrap();
    let entries = server.entries();
    let shown = String::from_utf8_lossy(&entries[0]).into_owned();
    let begins = shown.find("build-").expect("it is named by its build");
    shown[begins..][..38].to_owned()
}

/// As where another program loads it: what was started is the loader.
#[tokio::test]
async fn a_build_is_the_same_whatever_started_it() {
    const STARTED: &str = "REVALIDATE_STARTED";
    let identity = identity().await;
    if std::env::var_os(STARTED).is_some() {
        println!("<{identity}>");
        return;
    }
    let started = Command::new("/lib64/ld-linux-x86-64.so.2")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("builds::a_build_is_the_same_whatever_started_it")
        .env(STARTED, "1")
        .output();
    let printed = String::from_utf8(started.unwrap().stdout).unwrap();
    assert!(
        printed.contains(&format!("<{identity}>")),
        "{identity}: {printed}"
    );
}
