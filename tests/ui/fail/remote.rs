//! How far values go.

use revalidate::web_method;

#[derive(Clone)]
struct Opaque;

impl revalidate::CacheWeight for Opaque {}

#[web_method(cache(remote, ttl = "1h"))]
async fn cannot() -> Opaque {
    Opaque
}

#[web_method(cache(remote, ttl = "1h"))]
async fn cannot_within() -> Result<Option<Opaque>, std::io::Error> {
    Ok(Some(Opaque))
}

#[web_method(cache(remote, local, ttl = "1h"))]
async fn both() -> u64 {
    1
}

#[web_method(cache(remote = true, ttl = "1h"))]
async fn given_a_value() -> u64 {
    1
}

#[web_method(cache(local = "yes", ttl = "1h"))]
async fn given_a_text() -> u64 {
    1
}

fn main() {}
