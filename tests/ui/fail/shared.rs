//! What is said of values that not everybody may have.
#![deny(deprecated)]

use revalidate::{Caller, Permissions, web_method};

#[web_method(Permissions::SiteMember, cache(ttl = 60))]
async fn unsaid(id: u32) -> u32 {
    id
}

#[web_method(Permissions::SiteMember, cache(ttl = 60, shared))]
async fn said(id: u32) -> u32 {
    id
}

#[web_method(Permissions::Admin, cache(ttl = 60, key = (Caller::current(), id)))]
async fn keyed(id: u32) -> u32 {
    id
}

fn main() {}
