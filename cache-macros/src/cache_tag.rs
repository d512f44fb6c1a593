//! `#[cache_tag]`: adds tags to whatever load the function is called from. Beside `#[web_method]` the
//! tags are the function's own, whichever of the two stands first.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::{Expr, ReturnType, Token};

use crate::diag::Errors;
use crate::item::{self, Item, is_named};
use crate::tags::Tags;
use crate::template::Scope;
use crate::{patterns, returns};

pub(crate) fn expand(attr: TokenStream, tokens: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let expansion = expand_or_fail(attr, &tokens, &mut errors);
    match expansion {
        Some(expansion) if errors.is_empty() => expansion,
        _ => {
            let item = item::without_helpers(&tokens);
            let errors = errors.into_tokens();
            quote!(#errors #item)
        }
    }
}

fn expand_or_fail(
    attr: TokenStream,
    tokens: &TokenStream,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let mut item = match syn::parse2::<Item>(tokens.clone()) {
        Ok(item) => item,
        Err(error) => {
            errors.at(
                error.span(),
                match syn::parse2::<syn::DeriveInput>(tokens.clone()) {
                    Ok(_) => "`#[cache_tag]` stands on an `async fn`; on a type it is `#[cache_tags(..)]`, below `#[derive(CacheTags)]`".to_owned(),
                    Err(_) => format!("`#[cache_tag]` stands on an `async fn`: {error}"),
                },
            );
            return None;
        }
    };
    // Above `#[web_method]`: step below it, which takes the tags as its own.
    if let Some(at) = item
        .attrs
        .iter()
        .position(|attr| is_named(attr.path(), "web_method"))
    {
        item.attrs
            .insert(at + 1, syn::parse_quote!(#[cache_tag(#attr)]));
        return Some(item.into_token_stream());
    }
    let (krate, listed) = errors.ok(parse.parse2(attr))?;
    let facade = crate::facade::path(krate.as_ref());
    if item.sig.asyncness.is_none() {
        errors.on(
            item.sig.fn_token,
            "`#[cache_tag]` stands on an `async fn`; elsewhere call the function `cache_tag(..)`",
        );
        return None;
    }
    let names = patterns::bindings_of(&item.sig);
    let roots: &[&str] = if item.sig.receiver().is_some() {
        &["result", "self"]
    } else {
        &["result"]
    };
    let scope = Scope {
        names: &names,
        unkeyed: &[],
        what: "argument",
        roots,
    };
    let mut tags = Tags::default();
    tags.add(listed, &scope, errors);
    if !errors.is_empty() {
        item.begin_with(&tags.underlines);
        let item = item::without_helpers(&item.into_token_stream());
        let errors = std::mem::take(errors).into_tokens();
        return Some(quote!(#errors #item));
    }
    Some(wrap(&item, &tags, &facade))
}

/// `crate = path`, anywhere in the list, and the tags.
fn parse(input: syn::parse::ParseStream<'_>) -> syn::Result<(Option<syn::Path>, Vec<Expr>)> {
    let mut krate = None;
    let mut tags = Vec::new();
    while !input.is_empty() {
        if input.peek(Token![crate]) && input.peek2(Token![=]) {
            input.parse::<Token![crate]>()?;
            input.parse::<Token![=]>()?;
            krate = Some(input.call(syn::Path::parse_mod_style)?);
        } else {
            tags.push(input.parse()?);
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok((krate, tags))
}

/// The tags in the attribute of a function that is cached too.
pub(crate) fn listed(attr: &syn::Attribute) -> syn::Result<Vec<Expr>> {
    match &attr.meta {
        syn::Meta::Path(_) => Ok(Vec::new()),
        _ => attr.parse_args_with(parse).map(|(_, tags)| tags),
    }
}

fn wrap(item: &Item, tags: &Tags, facade: &TokenStream) -> TokenStream {
    let Item {
        attrs,
        vis,
        sig,
        body,
        brace,
    } = item;
    let returned = Ident::new("__returned", Span::mixed_site());
    let (early, after) = tags.around(&returned, facade);
    let before = (!tags.is_empty()).then(|| {
        let tags = tags.vec(facade);
        quote!(#facade::__private::add_tags(#tags);)
    });
    // Tells the block's type to `?` and to `return` before the body does.
    let typed = match &sig.output {
        ReturnType::Type(_, ty) if !returns::contains_impl(ty) => quote! {
            #[allow(unreachable_code, clippy::all, clippy::pedantic)]
            if false {
                let __typed: #ty = loop {};
                return __typed;
            }
        },
        _ => TokenStream::new(),
    };
    let mut inner = TokenStream::new();
    brace.surround(&mut inner, |tokens| tokens.extend(quote!(#typed #body)));
    let mut block = TokenStream::new();
    brace.surround(&mut block, |tokens| {
        tokens.extend(quote! {
            #before
            #early
            #[allow(clippy::let_unit_value)]
            let #returned = async move #inner.await;
            #after
            #returned
        });
    });
    quote!(#(#attrs)* #vis #sig #block)
}
