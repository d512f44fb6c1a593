use std::fmt::Display;

use revalidate::web_method;

struct Desk;

impl Desk {
    #[web_method(cache(ttl = 60))]
    async fn method(&self, id: u32) -> u32 {
        id
    }
}

#[web_method(cache(ttl = 60))]
fn not_async(id: u32) -> u32 {
    id
}

#[web_method(cache(ttl = 60))]
struct NotAFunction;

#[web_method(cache(ttl = 60))]
async unsafe fn unsound(id: u32) -> u32 {
    id
}

#[web_method(cache(ttl = 60))]
async fn changes(list: &mut Vec<u32>) {}

#[web_method(cache(ttl = 60))]
async fn opaque(shown: impl Display) {}

#[web_method(cache(ttl = 60))]
async fn holds_a_borrow(words: Vec<&str>, cow: std::borrow::Cow<'_, str>, lists: &[&str]) {}

#[web_method(cache(ttl = 60))]
async fn binds_both(all @ (a, _): (u8, u8)) {}

#[web_method(cache(ttl = 60))]
async fn hides<T>(value: T) -> T {
    value
}

#[web_method(cache(ttl = 60))]
async fn shows(id: u32) -> impl Display {
    id
}

#[web_method(cache(ttl = 60))]
async fn lends<'a>(text: &'a str) -> &'a str {
    text
}

#[web_method]
async fn not_cached(#[cache(skip)] id: u32) -> u32 {
    id
}

fn main() {}
