//! The macros of `revalidate`: `#[web_method]`, `#[cache_tag]` and the derives `CacheKey` and
//! `CacheTags`. Use them through the facade, which re-exports them.
//!
//! Each is parsed into a model, checked, and expanded: `item` reads a function without looking into
//! its body, `args` and `options` are the model, `around` looks for what stands in the way, `expand` and `companion` write the tokens. What an
//! expansion refers to lives in the facade's hidden module `__private`.

mod args;
mod around;
mod borrow;
mod cache_tag;
mod companion;
mod derive_key;
mod derive_tags;
mod diag;
mod expand;
mod facade;
mod item;
mod keys;
mod mounted;
mod options;
mod patterns;
mod returns;
mod tags;
mod template;
mod values;
mod web_method;

use proc_macro::TokenStream;

#[doc = include_str!("../docs/web_method.md")]
#[proc_macro_attribute]
pub fn web_method(attr: TokenStream, item: TokenStream) -> TokenStream {
    web_method::expand(attr.into(), item.into()).into()
}

#[doc = include_str!("../docs/cache_tag.md")]
#[proc_macro_attribute]
pub fn cache_tag(attr: TokenStream, item: TokenStream) -> TokenStream {
    cache_tag::expand(attr.into(), item.into()).into()
}

#[doc = include_str!("../docs/cache_key.md")]
#[proc_macro_derive(CacheKey, attributes(cache))]
pub fn derive_cache_key(input: TokenStream) -> TokenStream {
    derive_key::expand(input.into()).into()
}

#[doc = include_str!("../docs/cache_tags.md")]
#[proc_macro_derive(CacheTags, attributes(cache_tags))]
pub fn derive_cache_tags(input: TokenStream) -> TokenStream {
    derive_tags::expand(input.into()).into()
}
