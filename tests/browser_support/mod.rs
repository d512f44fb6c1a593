//! Pages as a browser shows them: headless Chromium, which ends when a page's scripts have nothing more to do.
#![allow(dead_code, unreachable_pub)]

use std::env;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longer than a page here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The document at `url` once its scripts and their requests are done, as HTML.
///
/// Virtual time stands still while a request is out, so its budget is spent by timers alone, and nothing here waits
/// for it by the clock.
pub fn document(url: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let profile = format!(
        "chromium-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(profile);
    let mut browser = Command::new(chromium())
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--no-first-run",
            "--no-proxy-server",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut pipe = browser.stdout.take().unwrap();
    let (done, document) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = pipe.read_to_string(&mut text);
        let _ = done.send(read.map(|_| text));
    });
    let document = document.recv_timeout(PATIENCE);
    let _ = browser.kill();
    let _ = browser.wait();
    let _ = std::fs::remove_dir_all(profile);
    document
        .unwrap_or_else(|_| panic!("Chromium has not shown {url} within {PATIENCE:?}"))
        .unwrap()
}

/// The text of the element with this `id`, which has no elements inside.
#[track_caller]
pub fn text_of(document: &str, id: &str) -> String {
    let text = document
        .split_once(&format!("id=\"{id}\""))
        .and_then(|(_, rest)| rest.split_once('>'))
        .and_then(|(_, rest)| rest.split_once("</"))
        .unwrap_or_else(|| panic!("no element {id} in {document}"))
        .0;
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

fn chromium() -> PathBuf {
    if let Some(named) = env::var_os("CHROMIUM") {
        return named.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome-stable",
        "google-chrome",
    ];
    names
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .expect("Missing: Chromium. Install it (Debian: apt-get install chromium; ./scripts/test does), or name its file in CHROMIUM")
}
