//! The arguments of a cached function: what each one is to the key, and how a load comes to own it.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Expr, FnArg, Pat, PatType, Signature, Type, TypeParamBound};

use crate::borrow;
use crate::diag::Errors;
use crate::item::is_named;
use crate::patterns::{Bindings, Owning, PlainBindings};

/// What an argument gives to the key.
pub(crate) enum Role {
    /// Its value.
    Key,
    /// `#[cache(key = expr)]`.
    KeyExpr(Expr),
    /// `#[cache(skip)]`.
    Skip,
    /// Whatever the expression makes of it that is the whole key.
    Unsaid,
    /// axum's `State`, left out; that it is axum's is checked by the compiler.
    State,
}

/// How the load, a task of its own, gets the argument.
pub(crate) enum Passing {
    /// By value: moved.
    Move,
    /// `&T`: owned on a miss, lent to the body.
    Own(Type),
    /// `impl Into<T>`: converted once, before the look-up.
    Into(Type),
}

pub(crate) struct Arg {
    /// As the user wrote it, for the body.
    pub(crate) pat: Pat,
    pub(crate) ty: Type,
    /// Its name outside of the body.
    pub(crate) name: Ident,
    pub(crate) role: Role,
    pub(crate) passing: Passing,
    /// The names its pattern binds.
    pub(crate) bindings: Vec<Ident>,
    /// A key expression reads it: the companions need it.
    pub(crate) read_by_key: bool,
}

impl Arg {
    /// Whether the companions that name one call take it.
    pub(crate) fn in_companions(&self) -> bool {
        self.read_by_key || matches!(self.role, Role::Key | Role::KeyExpr(_))
    }

    /// Whether the pattern is more than a name.
    pub(crate) fn is_destructured(&self) -> bool {
        !matches!(&self.pat, Pat::Ident(ident) if ident.subpat.is_none())
    }

    /// The pattern to look at the argument through a reference: its bindings are references.
    pub(crate) fn borrowed_pat(&self) -> Pat {
        let mut pat = self.pat.clone();
        PlainBindings.visit_pat_mut(&mut pat);
        pat
    }
}

/// Types that say who is calling. In a key they would give every caller an entry of their own,
/// left out they would show one caller's data to another: neither is right by default.
const IDENTITY_TYPES: &[&str] = &[
    "HeaderMap",
    "Extension",
    "CookieJar",
    "SignedCookieJar",
    "PrivateCookieJar",
    "Cookies",
    "TypedHeader",
    "Authorization",
    "Caller",
    "Identity",
    "Session",
    "AuthSession",
    "Claims",
    "CurrentUser",
    "ConnectInfo",
    "Request",
    "Parts",
    "Principal",
];

/// Argument names that say the same.
const IDENTITY_NAMES: &[&str] = &[
    "caller",
    "headers",
    "cookies",
    "current_user",
    "identity",
    "principal",
];

/// Extractors of axum by name: what says that a function is a handler.
const EXTRACTORS: &[&str] = &[
    "State",
    "Path",
    "Query",
    "Json",
    "Form",
    "RawQuery",
    "RawPathParams",
    "RawForm",
    "OriginalUri",
    "MatchedPath",
    "NestedPath",
    "Multipart",
    "WebSocketUpgrade",
    "Uri",
    "Method",
];

/// The last segment's name of a type, through references, `Option` and `Result`.
fn type_name(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Reference(reference) => type_name(&reference.elem),
        Type::Group(group) => type_name(&group.elem),
        Type::Paren(paren) => type_name(&paren.elem),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            if (last.ident == "Option" || last.ident == "Result")
                && let Some(inner) = first_type_argument(&path.path)
            {
                return type_name(inner);
            }
            Some(&last.ident)
        }
        _ => None,
    }
}

pub(crate) fn first_type_argument(path: &syn::Path) -> Option<&Type> {
    let syn::PathArguments::AngleBracketed(arguments) = &path.segments.last()?.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        syn::GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// What of an argument must be decided where the key is an expression that does not name it.
fn must_be_decided(ty: &Type, bindings: &[Ident]) -> Option<String> {
    let listed = |names: &[&str], name: &Ident| names.iter().any(|listed| name == listed);
    let by_type =
        type_name(ty).filter(|name| listed(EXTRACTORS, name) || listed(IDENTITY_TYPES, name));
    let by_name = || bindings.iter().find(|name| listed(IDENTITY_NAMES, name));
    by_type.or_else(by_name).map(ToString::to_string)
}

/// Whether an argument looks like axum's: by its type's name or by a pattern such as `Path(id)`.
pub(crate) fn is_extractor(arg: &PatType) -> bool {
    type_name(&arg.ty).is_some_and(|name| {
        EXTRACTORS.iter().any(|e| name == e) || IDENTITY_TYPES.iter().any(|e| name == e)
    })
}

/// Reads the arguments of a cached function.
pub(crate) fn parse(
    sig: &Signature,
    whole_key: Option<&Expr>,
    foreground: bool,
    errors: &mut Errors,
) -> Vec<Arg> {
    let mut args: Vec<Arg> = Vec::new();
    for input in &sig.inputs {
        match input {
            FnArg::Receiver(receiver) => errors.on(
                receiver,
                "a cached function has no `self`: write a free function that takes what it needs as arguments, and call it from the method",
            ),
            FnArg::Typed(arg) => args.extend(one(arg, &args, whole_key.is_some(), foreground, errors)),
        }
    }
    let mut expressions = TokenStream::new();
    whole_key.to_tokens(&mut expressions);
    for arg in &args {
        if let Role::KeyExpr(expr) = &arg.role {
            expr.to_tokens(&mut expressions);
        }
    }
    let mut names = Vec::new();
    mentioned(expressions, &mut names);
    for arg in &mut args {
        arg.read_by_key = arg
            .bindings
            .iter()
            .any(|binding| names.contains(&binding.to_string()));
    }
    if let Some(key) = whole_key {
        whole(key, &args, errors);
    }
    args
}

/// Checks that an expression which is the whole key says enough, and of every argument that matters.
fn whole(key: &Expr, args: &[Arg], errors: &mut Errors) {
    if !args.is_empty() && !args.iter().any(|arg| arg.read_by_key) {
        let known: Vec<_> = args
            .iter()
            .flat_map(|a| &a.bindings)
            .map(Ident::to_string)
            .collect();
        let known = crate::diag::list(known.iter().map(String::as_str), "none");
        errors.on(
            key,
            format!(
                "this key names no argument, so all calls would share one entry; arguments: {known}"
            ),
        );
        return;
    }
    for arg in args {
        let (pat, ty) = (&arg.pat, &arg.ty);
        match arg.role {
            Role::Skip if arg.read_by_key => errors.on(
                ty,
                "`#[cache(skip)]` leaves out what `key = ..` in `cache(..)` reads: remove one of them",
            ),
            Role::Unsaid if !arg.read_by_key => {
                if let Some(name) = must_be_decided(ty, &arg.bindings) {
                    errors.on(
                        quote::quote!(#pat: #ty),
                        format!("`key = ..` in `cache(..)` does not read this `{name}`, so that requests which differ in it would share one cached value: read it there, or say `#[cache(skip)]` here"),
                    );
                }
            }
            _ => {}
        }
    }
}

fn one(
    arg: &PatType,
    before: &[Arg],
    whole_key: bool,
    foreground: bool,
    errors: &mut Errors,
) -> Option<Arg> {
    let ty = &*arg.ty;
    let decision = decision(arg, errors)?;
    let passing = passing(ty, foreground, errors)?;
    let mut bindings = Bindings(Vec::new());
    bindings.visit_pat_mut(&mut arg.pat.clone());
    let bindings = bindings.0;
    let mut pat = (*arg.pat).clone();
    if let Pat::Ident(ident) = &mut pat {
        ident.attrs.clear();
    }
    if let Some(subpat) = Owning::find(&pat) {
        errors.at(
            subpat,
            "a cached function cannot bind both a value and its parts (`@`); bind one of them",
        );
        return None;
    }
    let name = match &pat {
        Pat::Ident(ident) if ident.subpat.is_none() => ident.ident.clone(),
        _ => fresh_name(ty, before),
    };
    let is_state = matches!(ty, Type::Path(path) if is_named(&path.path, "State"));
    let role = match decision {
        Some(Role::KeyExpr(_)) if whole_key => {
            errors.on(
                ty,
                "`key = ..` in `cache(..)` is the whole key already; decide either there or here",
            );
            return None;
        }
        Some(decision) => decision,
        None if is_state => Role::State,
        None if whole_key => Role::Unsaid,
        None => {
            identity(arg, &bindings, errors)?;
            Role::Key
        }
    };
    Some(Arg {
        pat,
        ty: ty.clone(),
        name,
        role,
        passing,
        bindings,
        read_by_key: false,
    })
}

/// `#[cache(key = expr)]` or `#[cache(skip)]` on the argument.
fn decision(arg: &PatType, errors: &mut Errors) -> Option<Option<Role>> {
    let mut role = None;
    for attr in arg
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cache"))
    {
        let parsed = attr.parse_nested_meta(|meta| {
            let next = if meta.path.is_ident("key") {
                if !meta.input.peek(syn::Token![=]) {
                    return Err(meta.error("write `#[cache(key = expr)]`, the expression that stands for this argument in the key"));
                }
                Role::KeyExpr(meta.value()?.parse()?)
            } else if meta.path.is_ident("skip") {
                Role::Skip
            } else {
                return Err(meta.error("an argument takes `#[cache(key = expr)]` or `#[cache(skip)]`"));
            };
            if role.replace(next).is_some() {
                return Err(meta.error("one decision per argument: either `key = expr` or `skip`"));
            }
            Ok(())
        });
        errors.ok(parsed)?;
    }
    Some(role)
}

fn identity(arg: &PatType, bindings: &[Ident], errors: &mut Errors) -> Option<()> {
    let by_type = type_name(&arg.ty).filter(|name| IDENTITY_TYPES.iter().any(|i| name == i));
    let by_name = bindings
        .iter()
        .find(|name| IDENTITY_NAMES.iter().any(|i| name == i));
    let Some(name) = by_type.or(by_name) else {
        return Some(());
    };
    errors.on(
        arg_tokens(arg),
        format!(
            "`{name}` says who is calling: decide what it is to the key. `#[cache(key = expr)]` puts what the result depends on into the key; `#[cache(skip)]` leaves it out, and every caller is given the same cached value. A `CacheLayer` outside does not see this key: send a `Vary` that names the header which the result depends on"
        ),
    );
    None
}

/// The argument without its attributes.
fn arg_tokens(arg: &PatType) -> TokenStream {
    let (pat, colon, ty) = (&arg.pat, &arg.colon_token, &arg.ty);
    quote::quote!(#pat #colon #ty)
}

fn passing(ty: &Type, foreground: bool, errors: &mut Errors) -> Option<Passing> {
    match ty {
        Type::Group(group) => passing(&group.elem, foreground, errors),
        Type::Paren(paren) => passing(&paren.elem, foreground, errors),
        Type::Reference(reference) if reference.mutability.is_some() => {
            errors.on(ty, "a cached function cannot change its argument: a hit would not. Take it by value or by `&`");
            None
        }
        Type::Reference(reference)
            if reference
                .lifetime
                .as_ref()
                .is_some_and(|l| l.ident == "static") =>
        {
            Some(Passing::Move)
        }
        Type::Reference(reference) => {
            if !foreground && borrow::of(&reference.elem).is_some() {
                errors.on(ty, OWNED);
                return None;
            }
            if foreground {
                Some(Passing::Move)
            } else {
                Some(Passing::Own((*reference.elem).clone()))
            }
        }
        Type::ImplTrait(bounds) => {
            let into = bounds.bounds.iter().find_map(|bound| match bound {
                TypeParamBound::Trait(bound) if is_named(&bound.path, "Into") => {
                    first_type_argument(&bound.path)
                }
                _ => None,
            });
            match into {
                Some(target) => Some(Passing::Into(target.clone())),
                None => {
                    errors.on(ty, "of `impl ..` arguments a cached function takes `impl Into<T>`: the key is made from the `T`. Name the type, or make it a type parameter");
                    None
                }
            }
        }
        _ => {
            if !foreground && borrow::of(ty).is_some() {
                errors.on(ty, OWNED);
                return None;
            }
            Some(Passing::Move)
        }
    }
}

const OWNED: &str = "on a miss the load is a task of its own and must own its arguments, and this one holds a borrow that cannot be owned: take an owned type, or a plain `&T`; or let the load run in the caller with `cache(foreground)`";

/// A name for documentation: `path` for `Path(id): Path<i64>`.
fn fresh_name(ty: &Type, before: &[Arg]) -> Ident {
    let mut base = String::new();
    for c in type_name(ty)
        .map(ToString::to_string)
        .unwrap_or_default()
        .chars()
    {
        if c.is_uppercase() && !base.is_empty() {
            base.push('_');
        }
        base.extend(c.to_lowercase());
    }
    if syn::parse_str::<Ident>(&base).is_err() {
        base = "arg".to_owned();
    }
    let taken = |name: &str| before.iter().any(|arg| arg.name == name);
    let name = (1..)
        .map(|n| {
            if n == 1 {
                base.clone()
            } else {
                format!("{base}{n}")
            }
        })
        .find(|name| !taken(name))
        .unwrap_or_default();
    format_ident!("{name}", span = Span::mixed_site().located_at(ty.span()))
}

/// The identifiers in an expression, those captured in its string literals too.
pub(crate) fn mentioned(tokens: TokenStream, names: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => names.push(ident.to_string()),
            TokenTree::Group(group) => mentioned(group.stream(), names),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                names.extend(
                    text.split('{')
                        .skip(1)
                        .filter_map(|hole| hole.split(['}', ':']).next())
                        .map(str::to_owned),
                );
            }
            TokenTree::Punct(_) => {}
        }
    }
}
