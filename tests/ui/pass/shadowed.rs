//! Names of the prelude and of the expansion may mean something else where the function stands.
#![no_implicit_prelude]
#![allow(dead_code)]

struct Option;
struct Result;
struct Box;
struct Vec;
struct Some;
struct Call;
struct Probe;
struct Send;
trait KeyKind {}
trait Shape {}

mod std {}
mod core {}

#[::revalidate::web_method(cache(tags = ["n:{n}", "m:{m}"], ttl = 3, none = 1, timeout = 3))]
async fn cached(
    n: u32,
    m: &str,
) -> ::core::result::Result<::core::option::Option<u32>, ::revalidate::LoadTimeout> {
    let _ = m;
    ::core::result::Result::Ok(::core::option::Option::Some(n))
}

#[::revalidate::cache_tag("tag:{n}")]
async fn tagged(n: u32) -> u32 {
    n
}

fn main() {
    let _ = cached(3, "");
    let _ = tagged(3);
    let _ = cached::key(3, "");
}
