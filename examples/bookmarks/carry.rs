//! A bookmark in a cookie: whoever wrote on one node reads that on every node, and nobody else waits for it.

use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use axum::middleware::Next;
use axum::response::Response;
use revalidate::{Cache, remote::Bookmark};

/// Of this host and over TLS alone: browsers refuse the prefix otherwise.
const COOKIE_IS: &str = "__Host-bookmark=";
/// By then every node has heard of it, or serves nothing that it cannot prove: four times the cache's `proof_bound`.
const LASTING: Duration = Duration::from_secs(20);

/// Who carries bookmarks: the node's cache, and a secret that is the same on every node.
#[derive(Clone)]
pub(crate) struct Bookmarks(pub(crate) Cache, pub(crate) [u8; 32]);

/// The middleware, around every `CacheLayer`: what is inside neither sees the cookie nor stores it.
pub(crate) async fn carry(
    State(own): State<Bookmarks>,
    mut request: Request,
    next: Next,
) -> Response {
    let bookmark = own.take(request.headers_mut());
    let answer = next.run(request);
    let mut response = match &bookmark {
        Some(bookmark) => own.0.read_after(bookmark, answer).await,
        None => own.0.enter(answer).await,
    };
    if let Some(bookmark) = response.extensions_mut().remove::<Bookmark>() {
        own.give(&bookmark, response.headers_mut());
    }
    response
}

impl Bookmarks {
    /// Another in each stretch of time: a bookmark that somebody keeps does not send reads past the caches for ever.
    fn secret(&self, stretches_ago: u64) -> Vec<u8> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let stretch = now.unwrap_or_default().as_secs() / LASTING.as_secs();
        let stretch = stretch.saturating_sub(stretches_ago);
        [&self.1[..], &stretch.to_be_bytes()].concat()
    }

    /// Takes the cookie out of a request, which is then as everybody's. One that is old, or of another's making, is none.
    fn take(&self, headers: &mut HeaderMap) -> Option<Bookmark> {
        let (mut found, mut others) = (None, Vec::new());
        for cookies in headers.get_all(COOKIE) {
            let pairs = cookies.as_bytes().split(|byte| *byte == b';');
            for pair in pairs.map(<[u8]>::trim_ascii) {
                match pair.strip_prefix(COOKIE_IS.as_bytes()) {
                    Some(text) => found = found.or_else(|| self.verify(text)),
                    None => others.push(pair),
                }
            }
        }
        let others = HeaderValue::from_bytes(&others.join(&b"; "[..])).ok();
        headers.remove(COOKIE);
        if let Some(others) = others.filter(|others| !others.is_empty()) {
            headers.insert(COOKIE, others);
        }
        found
    }

    fn verify(&self, text: &[u8]) -> Option<Bookmark> {
        let text = std::str::from_utf8(text).ok()?;
        let mut secrets = [0, 1].into_iter().map(|ago| self.secret(ago));
        secrets.find_map(|secret| Bookmark::verify(text, &secret))
    }

    fn give(&self, bookmark: &Bookmark, headers: &mut HeaderMap) {
        let (text, age) = (bookmark.sign(&self.secret(0)), LASTING.as_secs());
        let how = format!("Path=/; Max-Age={age}; HttpOnly; Secure; SameSite=Lax");
        if let Ok(cookie) = HeaderValue::try_from(format!("{COOKIE_IS}{text}; {how}")) {
            headers.append(SET_COOKIE, cookie);
            // It is one client's: no cache on the way may give it to others.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}
