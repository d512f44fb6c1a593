//! The key of a call: arguments converted once, looked at through their patterns, and written.

use std::iter::once;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprPath, FnArg, GenericParam, Path, Signature, Type};

use crate::args::{Arg, Passing, Role, first_type_argument};
use crate::options::CacheOptions;
use crate::web_method::Model;

/// `impl Into<T>` becomes `T`, once.
pub(crate) fn conversions<'a>(args: impl IntoIterator<Item = &'a Arg>) -> TokenStream {
    let lets = args.into_iter().filter_map(|arg| {
        let Passing::Into(target) = &arg.passing else { return None };
        let name = &arg.name;
        Some(quote_spanned!(arg.ty.span()=> let #name: #target = ::core::convert::Into::into(#name);))
    });
    quote!(#(#lets)*)
}

/// The bindings of patterns, as references to what the arguments hold.
pub(crate) fn bindings<'a>(args: impl IntoIterator<Item = &'a Arg>) -> TokenStream {
    let lets = args
        .into_iter()
        .filter(|arg| arg.is_destructured())
        .map(|arg| {
            let (pat, name) = (arg.borrowed_pat(), &arg.name);
            quote!(#[allow(unused_variables, clippy::all, clippy::pedantic)] let #pat = &#name;)
        });
    quote!(#(#lets)*)
}

pub(crate) fn state_checks(args: &[Arg], private: &TokenStream) -> TokenStream {
    let checks = args
        .iter()
        .filter(|arg| matches!(arg.role, Role::State))
        .map(|arg| {
            let name = &arg.name;
            let span = Span::call_site().located_at(arg.ty.span());
            quote_spanned! {span=> {
                #[allow(unused_imports)]
                use #private::dispatch::*;
                (&&#private::Probe(&#name)).state_kind().check(&#name);
            }}
        });
    quote!(#(#checks)*)
}

/// Whether what is in the key says who is calling, as the compiler finds by the arguments' types; the
/// states of a handler are those that it names.
pub(crate) fn by_caller(args: &[Arg], private: &TokenStream) -> TokenStream {
    let states = args
        .iter()
        .filter(|arg| matches!(arg.role, Role::State))
        .filter_map(|arg| match &arg.ty {
            Type::Path(path) => first_type_argument(&path.path),
            _ => None,
        });
    let states: Vec<_> = once(quote!(()))
        .chain(states.map(ToTokens::to_token_stream))
        .collect();
    let asked = args.iter().filter(|arg| arg.in_companions()).map(|arg| {
        let (name, ty) = (&arg.name, &arg.ty);
        let value = match ty {
            Type::Reference(_) => quote!(#name),
            _ => quote!(&#name),
        };
        let span = Span::call_site().located_at(ty.span());
        quote_spanned! {span=>
            #(|| (&&&&#private::CallerProbe::new(#value, ::core::marker::PhantomData::<fn() -> #states>)).says_who_calls())*
        }
    });
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() {
        return quote!(false);
    }
    quote! {{
        #[allow(unused_imports)]
        use #private::dispatch::*;
        false #(#asked)*
    }}
}

/// Whether the key holds who calls a web method, as the compiler finds by the types that it names.
pub(crate) fn keyed_on_caller(
    options: &CacheOptions,
    sig: &Signature,
    private: &TokenStream,
) -> TokenStream {
    let named = named_callers(options, sig);
    quote!(false #(|| #private::is_caller::<#named>())*)
}

/// The types named `Caller` whose `current()` is the key or one of its parts. What is only made of it, such
/// as whether that is an administrator, tells two callers apart no more than it says.
pub(crate) fn named_callers(options: &CacheOptions, sig: &Signature) -> Vec<Path> {
    let attributes = sig.inputs.iter().flat_map(|input| match input {
        FnArg::Typed(arg) => arg.attrs.as_slice(),
        FnArg::Receiver(_) => &[],
    });
    let of_arguments = attributes
        .filter(|attr| attr.path().is_ident("cache"))
        .filter_map(|attr| attr.parse_args::<syn::MetaNameValue>().ok())
        .filter(|pair| pair.path.is_ident("key"))
        .map(|pair| pair.value);
    let mut named = Vec::new();
    for key in of_arguments.chain(options.key.clone()) {
        name_callers(&key, &mut named);
    }
    named
}

fn name_callers(key: &Expr, named: &mut Vec<Path>) {
    match key {
        Expr::Tuple(parts) => parts
            .elems
            .iter()
            .for_each(|part| name_callers(part, named)),
        Expr::Paren(inner) => name_callers(&inner.expr, named),
        Expr::Group(inner) => name_callers(&inner.expr, named),
        Expr::Call(call) if call.args.is_empty() => named.extend(current_of_caller(&call.func)),
        _ => {}
    }
}

/// The path of `Caller` in one of `Caller::current`.
fn current_of_caller(function: &Expr) -> Option<Path> {
    let Expr::Path(ExprPath {
        qself: None, path, ..
    }) = function
    else {
        return None;
    };
    let mut of = path.clone();
    let current = of.segments.pop()?;
    of.segments.pop_punct()?;
    let named = current.ident == "current" && of.segments.last()?.ident == "Caller";
    named.then_some(of)
}

/// Statements that leave the encoded call in `__key`.
pub(crate) fn key(model: &Model, companion: &Ident) -> TokenStream {
    let private = {
        let facade = &model.facade;
        quote!(#facade::__private)
    };
    let generics = model
        .item
        .sig
        .generics
        .params
        .iter()
        .filter_map(|param| match param {
            GenericParam::Lifetime(_) => None,
            GenericParam::Type(param) => {
                let ident = &param.ident;
                Some(quote!(#private::write_type::<#ident>(&mut __writer);))
            }
            GenericParam::Const(param) => {
                let ident = &param.ident;
                Some(quote!(#private::CacheKey::encode(&#ident, &mut __writer);))
            }
        });
    let whole = model.options.key.as_ref().map(|key| {
        let lets = bindings(model.args.iter().filter(|arg| arg.read_by_key));
        encode(lets, key.to_token_stream(), key.span(), &private)
    });
    let parts = model.args.iter().filter_map(|arg| match &arg.role {
        Role::Key => Some(encode(
            TokenStream::new(),
            arg.name.to_token_stream(),
            arg.ty.span(),
            &private,
        )),
        Role::KeyExpr(expr) => {
            let lets = bindings(model.args.iter().filter(|arg| arg.read_by_key));
            Some(encode(lets, expr.to_token_stream(), expr.span(), &private))
        }
        Role::Skip | Role::Unsaid | Role::State => None,
    });
    let parts: Vec<_> = generics.chain(whole).chain(parts).collect();
    if parts.is_empty() {
        return quote!(let __key = #private::CallKey::new(#companion::__function()););
    }
    quote! {
        let mut __key = #private::CallKey::new(#companion::__function());
        {
            let mut __writer = __key.writer();
            #(#parts)*
        }
    }
}

/// Writes one value: as the compiler finds that it can be. `span` is what an error underlines.
/// The traits are imported where no token of the user's stands.
fn encode(lets: TokenStream, value: TokenStream, span: Span, private: &TokenStream) -> TokenStream {
    let span = Span::call_site().located_at(span);
    quote_spanned! {span=> {
        #lets
        #[allow(unused_parens)]
        let __value = &(#value);
        {
            #[allow(unused_imports)]
            use #private::dispatch::*;
            let __part = (&&#private::Probe(__value)).peel();
            (&&&&#private::Probe(&__part)).key_kind().write(&__part, &mut __writer);
        }
    }}
}
