//! `#[web_method]`: reads the attribute and the function, checks them against each other, and hands
//! the model to the expansion.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Expr, FnArg};

use crate::args::{self, Arg};
use crate::around;
use crate::diag::Errors;
use crate::item::{self, Item, is_named};
use crate::keys;
use crate::mounted;
use crate::options::{CacheOptions, Companion, WebMethod};
use crate::returns::{self, Output};
use crate::tags::Tags;
use crate::template::Scope;

/// All that the expansion needs to know.
pub(crate) struct Model {
    pub(crate) item: Item,
    pub(crate) options: CacheOptions,
    pub(crate) args: Vec<Arg>,
    pub(crate) output: Output,
    pub(crate) tags: Tags,
    pub(crate) facade: TokenStream,
}

pub(crate) fn expand(attr: TokenStream, tokens: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    match expand_or_fail(attr, &tokens, &mut errors) {
        Some(expansion) if errors.is_empty() => expansion,
        // The function as it was: uses of it elsewhere then give no errors of their own.
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
    let parsed =
        (|input: syn::parse::ParseStream<'_>| WebMethod::parse(input, errors)).parse2(attr);
    let method = match parsed {
        Ok(method) => method,
        Err(error) => {
            errors.push(error);
            return None;
        }
    };
    let facade = crate::facade::path(method.krate.as_ref());
    let mut item = match syn::parse2::<Item>(tokens.clone()) {
        Ok(item) => item,
        Err(error) => {
            errors.at(
                error.span(),
                format!("`#[web_method]` stands on an `async fn`: {error}"),
            );
            return None;
        }
    };
    let permission = permission(&method, &item, &facade, errors);
    if item.sig.asyncness.is_none() {
        errors.on(
            item.sig.fn_token,
            "`#[web_method]` stands on an `async fn`; add `async`",
        );
        return None;
    }
    let Some(options) = &method.cache else {
        for input in &item.sig.inputs {
            let FnArg::Typed(arg) = input else { continue };
            for attr in arg
                .attrs
                .iter()
                .filter(|attr| attr.path().is_ident("cache"))
            {
                errors.on(attr, "this function is not cached, so its arguments make no key: add `cache(..)` to `#[web_method]`");
            }
        }
        let mounted = mounted(&method, &item, &facade, errors);
        return Some(quote!(#permission #item #mounted));
    };
    if let Some(unsafety) = not_cacheable(&item) {
        errors.on(
            unsafety,
            "a cached function is a plain `async fn`: not `unsafe`, `extern` or variadic",
        );
    }
    if let Some(companion) = options.companion.name(&item.sig.ident) {
        around::check(&item, companion, errors);
    }
    let warning = shared(&method, options, &item, errors);
    let args = args::parse(&item.sig, options.key.as_ref(), options.foreground, errors);
    let output = returns::parse(&item.sig, &facade, errors);
    let tags = tags(&mut item, options, &args, errors);
    if !errors.is_empty() {
        item.begin_with(&tags.underlines);
        let item = item::without_helpers(&item.into_token_stream());
        let errors = std::mem::take(errors).into_tokens();
        return Some(quote!(#errors #item));
    }
    let mounted = match (&method.permission, companion_name(options, &item)) {
        (Some(permission), Some(companion)) if mounted::can_be(&item.sig) => {
            mounted::method(&item, &companion, permission, true, &facade)
        }
        _ => TokenStream::new(),
    };
    let model = Model {
        item,
        options: method.cache?,
        args,
        output: output?,
        tags,
        facade,
    };
    let expansion = crate::expand::function(&model);
    Some(quote!(#permission #warning #expansion #mounted))
}

fn companion_name(options: &CacheOptions, item: &Item) -> Option<Ident> {
    options.companion.name(&item.sig.ident).cloned()
}

/// The companion of a function that is not cached: of a web method, to be mounted by.
fn mounted(
    method: &WebMethod,
    item: &Item,
    facade: &TokenStream,
    errors: &mut Errors,
) -> TokenStream {
    let companion = match &method.companion {
        Some((companion, _)) => companion,
        None => &Companion::SameName,
    };
    let (Some(permission), Some(name)) = (&method.permission, companion.name(&item.sig.ident))
    else {
        return TokenStream::new();
    };
    if !mounted::can_be(&item.sig) {
        return TokenStream::new();
    }
    around::check(item, name, errors);
    let mut item = item.clone();
    item.attrs
        .retain(|attr| !is_named(attr.path(), "cache_tag"));
    let companion = mounted::companion(&item, name);
    let method = mounted::method(&item, name, permission, false, facade);
    quote!(#companion #method)
}

/// Warns where several callers are given one value that not everybody may have, unless that is meant.
fn shared(
    method: &WebMethod,
    options: &CacheOptions,
    item: &Item,
    errors: &mut Errors,
) -> TokenStream {
    let guarded = method.permission.as_ref().filter(
        |permission| !matches!(permission, Expr::Path(path) if is_named(&path.path, "Anyone")),
    );
    let keyed = !keys::named_callers(options, &item.sig).is_empty();
    match (guarded, options.shared) {
        (None, Some(at)) => errors.at(at, "`shared` says that all who may call are given one value, and here everybody may: leave it out"),
        (Some(_), Some(at)) if keyed => errors.at(at, "`shared` says that all who may call are given one value, and the key holds who calls: leave out one of them"),
        (Some(permission), None) if !keyed => {
            // A deprecated item that is used is a warning that says what is to be said.
            return quote_spanned! {permission.span()=>
                const _: () = {
                    #[deprecated(note = "whoever may call this is given the same cached value: say so, `cache(shared)`, or put who calls into the key, `cache(key = (Caller::current(), ..))`")]
                    const ONE_VALUE_FOR_ALL_CALLERS: () = ();
                    ONE_VALUE_FOR_ALL_CALLERS
                };
            };
        }
        _ => {}
    }
    TokenStream::new()
}

/// The function's own tags: those of `cache(tags = ..)` and of `#[cache_tag(..)]` below.
fn tags(item: &mut Item, options: &CacheOptions, args: &[Arg], errors: &mut Errors) -> Tags {
    let bound = |keyed: &dyn Fn(&Arg) -> bool| -> Vec<_> {
        let args = args.iter().filter(|arg| keyed(arg));
        args.flat_map(|arg| arg.bindings.iter().cloned()).collect()
    };
    let (names, unkeyed) = (bound(&|_| true), bound(&|arg| !arg.in_companions()));
    let scope = Scope {
        names: &names,
        unkeyed: &unkeyed,
        what: "argument",
        roots: &["result"],
    };
    let mut tags = Tags::default();
    tags.add(options.tags.iter().cloned(), &scope, errors);
    for attr in item.take_attrs(|attr| is_named(attr.path(), "cache_tag")) {
        if let Some(listed) = errors.ok(crate::cache_tag::listed(&attr)) {
            tags.add(listed, &scope, errors);
        }
    }
    tags
}

fn not_cacheable(item: &Item) -> Option<TokenStream> {
    let sig = &item.sig;
    let unsafety = match &sig.safety {
        syn::Safety::Default => None,
        other => Some(other.to_token_stream()),
    };
    unsafety
        .or_else(|| sig.abi.as_ref().map(ToTokens::to_token_stream))
        .or_else(|| sig.variadic.as_ref().map(ToTokens::to_token_stream))
        .or_else(|| sig.constness.as_ref().map(ToTokens::to_token_stream))
}

/// Checks the permission, and emits what makes the compiler check its type.
fn permission(
    method: &WebMethod,
    item: &Item,
    facade: &TokenStream,
    errors: &mut Errors,
) -> TokenStream {
    let Some(permission) = &method.permission else {
        return TokenStream::new();
    };
    let Expr::Path(path) = permission else {
        errors.on(
            permission,
            "the permission is a value of `Permissions`, such as `Permissions::Anyone`; options go into `cache(..)`",
        );
        return TokenStream::new();
    };
    let is_handler = item.sig.inputs.iter().any(|input| match input {
        FnArg::Typed(arg) => args::is_extractor(arg),
        FnArg::Receiver(_) => false,
    });
    if is_handler && !is_named(&path.path, "Anyone") {
        errors.on(
            permission,
            "a permission is checked where a function is called over HTTP as a web method, and this one takes extractors, so a router calls it directly and nothing would check: write `Permissions::Anyone`, or leave it out, and guard the route",
        );
    }
    quote_spanned!(permission.span()=> const _: fn() = || { let _: #facade::Permissions = #permission; };)
}
