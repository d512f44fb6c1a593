//! A function as it is written: its signature parsed, its body left as tokens, so that editors keep
//! working in code that does not parse yet.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Signature, Visibility};

#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// What stands between the braces.
    pub(crate) body: TokenStream,
    pub(crate) brace: syn::token::Brace,
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        if input.peek(syn::Token![;]) {
            return Err(input.error("a function without a body cannot be cached or tagged"));
        }
        let inner;
        let brace = syn::braced!(inner in input);
        Ok(Self {
            attrs,
            vis,
            sig,
            body: inner.parse()?,
            brace,
        })
    }
}

impl Item {
    /// Takes out the attributes that the expansion understands itself.
    pub(crate) fn take_attrs(&mut self, is: impl Fn(&Attribute) -> bool) -> Vec<Attribute> {
        let (taken, kept) = std::mem::take(&mut self.attrs).into_iter().partition(is);
        self.attrs = kept;
        taken
    }

    /// Puts statements before the body.
    pub(crate) fn begin_with(&mut self, statements: &TokenStream) {
        let body = &self.body;
        self.body = quote!(#statements #body);
    }
}

impl ToTokens for Item {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            attrs,
            vis,
            sig,
            body,
            ..
        } = self;
        let mut block = TokenStream::new();
        self.brace
            .surround(&mut block, |inside| inside.extend(body.clone()));
        tokens.extend(quote!(#(#attrs)* #vis #sig #block));
    }
}

/// Whether the last segment of a path is `name`: macros cannot resolve names.
pub(crate) fn is_named(path: &syn::Path, name: &str) -> bool {
    path.segments
        .last()
        .is_some_and(|segment| segment.ident == name)
}

/// What can be kept of an item that is wrong: itself, without the attributes only this crate knows,
/// so that the only errors shown are ours.
pub(crate) fn without_helpers(item: &TokenStream) -> TokenStream {
    match syn::parse2::<Item>(item.clone()) {
        Ok(mut item) => {
            item.attrs
                .retain(|attr| !is_named(attr.path(), "cache_tag"));
            strip_argument_attrs(&mut item.sig);
            item.into_token_stream()
        }
        Err(_) => item.clone(),
    }
}

/// Removes `#[cache(..)]` from the arguments.
pub(crate) fn strip_argument_attrs(sig: &mut Signature) {
    for input in &mut sig.inputs {
        match input {
            syn::FnArg::Typed(arg) => arg.attrs.retain(|attr| !attr.path().is_ident("cache")),
            syn::FnArg::Receiver(receiver) => {
                receiver.attrs.retain(|attr| !attr.path().is_ident("cache"));
            }
        }
    }
}
