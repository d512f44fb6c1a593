use std::sync::{Arc, Mutex};

use axum::Extension as Ext;
use axum::extract::State as S;
use axum::http::HeaderMap;
use revalidate::web_method;

#[derive(Clone)]
struct Opaque;

type Db = S<Opaque>;
type Headers = HeaderMap;

#[web_method(cache(ttl = 60))]
async fn state(S(_db): S<Opaque>) -> u32 {
    3
}

#[web_method(cache(ttl = 60))]
async fn state_alias(_db: Db) -> u32 {
    3
}

#[web_method(cache(ttl = 60))]
async fn headers(_all: Headers) -> u32 {
    3
}

#[web_method(cache(ttl = 60))]
async fn extension(_user: Ext<Opaque>) -> u32 {
    3
}

#[web_method(cache(ttl = 60))]
async fn shared(_shared: Arc<Mutex<Opaque>>) -> u32 {
    3
}

fn main() {}
