//! The cached function: the hit path, and the load behind it.
//!
//! ```text
//! async fn name(args) -> R                 key on the stack, look-up, return: nothing is allocated
//! impl companion {
//!     fn __load(plan, call, args)          on a miss: tags, life, owned arguments; boxed too
//!     fn __start(plan, owned)              the load itself: boxed, and its type erased, as it is a task
//!     async fn __body(args)                the function as it was written
//! }
//! ```

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, GenericParam, Generics};

use crate::args::{Arg, Passing};
use crate::companion;
use crate::item::is_named;
use crate::keys::{bindings, by_caller, conversions, key, keyed_on_caller, state_checks};
use crate::options::{Companion, LifeOption, Reach};
use crate::values::duration_tokens;
use crate::web_method::Model;

/// Lints that the expansion trips where the user's code did not.
pub(crate) fn quiet() -> TokenStream {
    quote! {
        #[allow(
            dead_code,
            clippy::all,
            clippy::pedantic,
            clippy::nursery,
            unused_mut,
            unused_qualifications,
            let_underscore_drop,
            trivial_casts
        )]
    }
}

fn mixed(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

pub(crate) fn function(model: &Model) -> TokenStream {
    let Model {
        item, args, facade, ..
    } = model;
    let private = quote!(#facade::__private);
    let (outer_attrs, _) = split_attrs(&item.attrs);
    let (vis, sig) = (&item.vis, &item.sig);
    let (name, generics, output) = (&sig.ident, &sig.generics, &sig.output);
    let where_clause = &generics.where_clause;
    let companion = match &model.options.companion {
        Companion::SameName => name.clone(),
        Companion::Named(other) => other.clone(),
        Companion::None => mixed("__Cached"),
    };
    let companion_item = companion::item(model, &companion);
    let (outside, inside) = match model.options.companion {
        Companion::None => (None, Some(companion_item)),
        _ => (Some(companion_item), None),
    };
    let params = args.iter().map(|arg| {
        let (name, ty) = (&arg.name, &arg.ty);
        quote!(#name: #ty)
    });
    let names: Vec<_> = args.iter().map(|arg| &arg.name).collect();
    let convert = conversions(args);
    let states = state_checks(args, &private);
    let key = key(model, &companion);
    let shape = shape(model);
    let plan = plan(model);
    let turbofish = turbofish(generics, Some(quote!(_)));
    let load = quote!(#companion::__load #turbofish (__plan, __call #(, #names)*));
    // Boxed either way, so that the future of a hit is small and recursive functions compile.
    let load = if model.options.foreground {
        quote!(::std::boxed::Box::pin(#load))
    } else {
        load
    };
    let mut body = TokenStream::new();
    // An error here is about what the function returns.
    let look_up = quote_spanned! {output_span(model)=>
        #inside
        #states
        #convert
        #key
        let __shape = #shape;
        {
            #[allow(unused_imports)]
            use #private::Shape as _;
            __shape.check();
        }
        match #private::lookup(&__key) {
            #private::Looked::Hit(__value) => #private::restore(__shape, __value),
            #private::Looked::Call(__call) => {
                let __plan = #plan;
                #load.await
            }
        }
    };
    item.brace
        .surround(&mut body, |tokens| tokens.extend(look_up));
    let (asyncness, fn_token) = (&sig.asyncness, &sig.fn_token);
    quote! {
        #(#outer_attrs)*
        #vis #asyncness #fn_token #name #generics (#(#params),*) #output #where_clause #body

        #outside
    }
}

/// Attributes for the function, and those for its body: lint levels go to both, and an `expect` can
/// only be met in the body.
pub(crate) fn split_attrs(attrs: &[Attribute]) -> (Vec<TokenStream>, Vec<TokenStream>) {
    let mut outer = Vec::new();
    let mut body = Vec::new();
    for attr in attrs {
        let path = attr.path();
        if path.is_ident("expect") {
            if let syn::Meta::List(list) = &attr.meta {
                let lints = &list.tokens;
                outer.push(quote!(#[allow(#lints)]));
            }
            body.push(attr.to_token_stream());
        } else if ["allow", "warn", "deny", "forbid"]
            .iter()
            .any(|level| path.is_ident(level))
        {
            outer.push(attr.to_token_stream());
            body.push(attr.to_token_stream());
        } else {
            outer.push(attr.to_token_stream());
        }
    }
    (outer, body)
}

/// `::<T, N, extra>`: lifetimes are left to inference, as they may be late bound.
pub(crate) fn turbofish(generics: &Generics, extra: Option<TokenStream>) -> TokenStream {
    let params = generics.params.iter().filter_map(|param| match param {
        GenericParam::Lifetime(_) => None,
        GenericParam::Type(param) => Some(param.ident.to_token_stream()),
        GenericParam::Const(param) => Some(param.ident.to_token_stream()),
    });
    let params: Vec<_> = params.chain(extra).collect();
    if params.is_empty() {
        TokenStream::new()
    } else {
        quote!(::<#(#params),*>)
    }
}

/// Where the return type stands.
pub(crate) fn output_span(model: &Model) -> Span {
    let span = match &model.item.sig.output {
        syn::ReturnType::Type(_, ty) => ty.span(),
        syn::ReturnType::Default => model.item.sig.ident.span(),
    };
    Span::call_site().located_at(span)
}

/// What the return type is to the cache.
pub(crate) fn shape(model: &Model) -> TokenStream {
    let (facade, ty) = (&model.facade, &model.output.ty);
    quote_spanned! {output_span(model)=> {
        let __returned = #facade::__private::Returned::<#ty>::new();
        #[allow(unused_imports)]
        use #facade::__private::dispatch::*;
        (&&&&&__returned).shape()
    }}
}

/// What a load needs to know of the type; wants `__shape`.
pub(crate) fn plan(model: &Model) -> TokenStream {
    let facade = &model.facade;
    let private = quote!(#facade::__private);
    let weigh = match &model.options.weight {
        Some(weight) => {
            let span = Span::call_site().located_at(weight.span());
            // A call, so that a function of `&[T]` may weigh a `Vec<T>`.
            let weight = match weight {
                syn::Expr::Closure(closure) => quote!(#closure),
                path => quote!(|__value| #path(__value)),
            };
            quote_spanned!(span=> #private::weigher(&__shape, #weight))
        }
        None => quote! {{
            let __weighing = #private::weighing(&__shape);
            #[allow(unused_imports)]
            use #private::dispatch::*;
            (&&&__weighing).weigher()
        }},
    };
    let timed_out = match model.options.timeout {
        Some((_, span)) => {
            let span = Span::call_site().located_at(span);
            quote_spanned!(span=> #private::timed_out(&__shape))
        }
        None => quote!(#private::no_time_limit(&__shape)),
    };
    let none = match model.options.none {
        Some((limit, span)) => {
            let span = Span::call_site().located_at(span);
            let limit = duration_tokens(limit);
            quote_spanned!(span=> ::core::option::Option::Some(#private::none_limit(&__shape, #limit)))
        }
        None => quote!(::core::option::Option::None),
    };
    let sharing = match model.options.reach {
        Reach::Remote(span) => {
            let span = Span::call_site().located_at(span);
            quote_spanned!(span=> #private::shared(&__shape))
        }
        Reach::Local => quote!(#private::local(&__shape)),
        // What is read from bytes cannot lend what it holds.
        Reach::IfItCan if model.output.borrows() => quote!(#private::local(&__shape)),
        Reach::IfItCan => quote! {{
            let __sharable = #private::sharable(&__shape);
            #[allow(unused_imports)]
            use #private::dispatch::*;
            (&&__sharable).sharing()
        }},
    };
    quote_spanned!(output_span(model)=> #private::Plan::new(__shape, #weigh, #timed_out, #none, #sharing))
}

/// `CallOptions` of a call; wants the arguments in scope.
fn options(model: &Model) -> TokenStream {
    let facade = &model.facade;
    let private = quote!(#facade::__private);
    let options = &model.options;
    let none = quote!(::core::option::Option::None);
    let some = |value: TokenStream| quote!(::core::option::Option::Some(#value));
    let windows = [
        ("stale_while_revalidate", options.stale_while_revalidate),
        ("stale_if_error", options.stale_if_error),
    ];
    let windows = windows.into_iter().filter_map(|(name, window)| {
        let (name, window) = (mixed(name), duration_tokens(window?));
        Some(quote!(.#name(#window)))
    });
    let (life, profile) = match &options.life {
        LifeOption::Unsaid => (none.clone(), none.clone()),
        LifeOption::Ttl(ttl) => {
            let ttl = duration_tokens(*ttl);
            (
                some(quote!(#private::Life::from_duration(#ttl) #(#windows)*)),
                none.clone(),
            )
        }
        LifeOption::Profile(name) => (none.clone(), some(quote!(#name))),
        LifeOption::Expr(life) => {
            let lets = bindings(&model.args);
            let span = Span::call_site().located_at(life.span());
            let life = if lets.is_empty() {
                quote!(#life)
            } else {
                quote!({ #lets #life })
            };
            (
                some(quote_spanned!(span=> #private::life(#life))),
                none.clone(),
            )
        }
    };
    let timeout = options
        .timeout
        .map_or(none, |(limit, _)| some(duration_tokens(limit)));
    let tags = call_tags(model);
    let by_caller = by_caller(&model.args, &private);
    let keyed_on_caller = keyed_on_caller(options, &model.item.sig, &private);
    quote!(__plan.options(#life, #profile, #timeout, #tags, #by_caller, #keyed_on_caller))
}

/// The tags of a call; wants the arguments in scope.
pub(crate) fn call_tags(model: &Model) -> TokenStream {
    let tags = model.tags.vec(&model.facade);
    if model.tags.is_empty() {
        return quote!(::std::vec::Vec::new());
    }
    let lets = bindings(&model.args);
    quote!({ #lets #tags })
}

/// `__load`, `__start` and `__body`, inside the companion.
pub(crate) fn load(model: &Model) -> TokenStream {
    let Model {
        item,
        args,
        facade,
        output,
        ..
    } = model;
    let private = quote!(#facade::__private);
    let generics = &item.sig.generics;
    let where_clause = &generics.where_clause;
    let result = &output.ty;
    let stored = mixed("__V");
    let with_stored = {
        let params = generics.params.iter();
        quote!(<#(#params,)* #stored: #private::Storable>)
    };
    let options = options(model);
    let params: Vec<_> = args
        .iter()
        .map(|arg| {
            let name = &arg.name;
            let ty = match &arg.passing {
                Passing::Into(target) => target,
                _ => &arg.ty,
            };
            quote!(#name: #ty)
        })
        .collect();
    let names: Vec<_> = args.iter().map(|arg| &arg.name).collect();
    let body_turbofish = turbofish(generics, None);
    let returned = mixed("__returned");
    let (early, after) = model.tags.around(&returned, facade);
    let early = if early.is_empty() {
        early
    } else {
        let lets = bindings(args);
        quote!(#lets #early)
    };
    let run = |arguments: &[TokenStream]| {
        let value = output.convert(
            quote!(Self::__body #body_turbofish (#(#arguments),*).await),
            facade,
        );
        quote! {
            #early
            // Nothing of the output is held across the last await.
            let __later = {
                let #returned: #result = #value;
                #after
                let __verdict = {
                    #[allow(unused_imports)]
                    use #private::dispatch::*;
                    (&&#private::Probe(&#returned)).verdict()
                };
                match __plan.finish(#returned, __verdict) {
                    #private::Finishing::Now(__finished) => return __finished,
                    #private::Finishing::Later(__later) => __later,
                }
            };
            __later.await
        }
    };
    let run = run(&names
        .iter()
        .map(ToTokens::to_token_stream)
        .collect::<Vec<_>>());
    let (quiet, body) = (quiet(), body(model));
    if model.options.foreground {
        return quote! {
            #quiet
            async fn __load #with_stored (
                __plan: #private::Plan<#stored, #result>,
                __call: #private::Call<#stored>,
                #(#params),*
            ) -> #result #where_clause {
                let __options = #options;
                // Boxed: what waits for it is moved about, and foreground loads nest on one stack.
                let __start = move || ::std::boxed::Box::pin(async move { #run });
                let __load = ::std::boxed::Box::pin(__call.load_here(__options, __start));
                __plan.output(__load.await)
            }

            #body
        };
    }
    let lend =
        |way: &str, lent: fn(&Ident) -> TokenStream| {
            let way = mixed(way);
            let lets = args.iter().filter_map(|arg| {
            let Passing::Own(ty) = &arg.passing else { return None };
            let (name, lent) = (&arg.name, lent(&arg.name));
            let span = Span::call_site().located_at(ty.span());
            Some(quote_spanned!(span=> let #name = <#ty as #private::OwnedArgument>::#way(#lent);))
        });
            quote!(#(#lets)*)
        };
    let own = lend("own", |name| quote!(#name));
    let lent = lend("lend", |name| quote!(&#name));
    let owned_params = args.iter().map(owned_param(&private));
    let start_turbofish = turbofish(generics, Some(quote!(_)));
    let span = Span::call_site().located_at(item.sig.ident.span());
    let boxed = quote_spanned!(span=> ::std::boxed::Box::pin);
    let load = quote_spanned! {output_span(model)=>
        #[allow(unused_imports)]
        use #private::dispatch::LoadUnsendable as _;
        __plan.load(__call, __options, move || {
            Self::__start #start_turbofish (__plan #(, #names)*)
        })
    };
    quote! {
        #quiet
        fn __load #with_stored (
            __plan: #private::Plan<#stored, #result>,
            __call: #private::Call<#stored>,
            #(#params),*
        ) -> #private::Awaited<#result> #where_clause {
            let __options = #options;
            #own
            #load
        }

        #quiet
        fn __start #with_stored (
            __plan: #private::Plan<#stored, #result>,
            #(#owned_params),*
        ) -> #private::Loading<#stored, #result> #where_clause {
            #boxed(async move {
                #lent
                #run
            })
        }

        #body
    }
}

fn owned_param(private: &TokenStream) -> impl Fn(&Arg) -> TokenStream {
    move |arg| {
        let name = &arg.name;
        match &arg.passing {
            Passing::Move => {
                let ty = &arg.ty;
                quote!(#name: #ty)
            }
            Passing::Into(target) => quote!(#name: #target),
            Passing::Own(ty) => {
                let span = Span::call_site().located_at(ty.span());
                quote_spanned!(span=> #name: <#ty as #private::OwnedArgument>::Owned)
            }
        }
    }
}

/// The function as it was written.
fn body(model: &Model) -> TokenStream {
    let item = &model.item;
    let (_, attrs) = split_attrs(&item.attrs);
    let (generics, output) = (&item.sig.generics, &item.sig.output);
    let where_clause = &generics.where_clause;
    let params = model.args.iter().map(|arg| {
        let (pat, ty) = (&arg.pat, &arg.ty);
        quote!(#pat: #ty)
    });
    let mut block = TokenStream::new();
    item.brace
        .surround(&mut block, |tokens| tokens.extend(item.body.clone()));
    let (asyncness, fn_token) = (&item.sig.asyncness, &item.sig.fn_token);
    // The user's lint levels come after ours, and win.
    quote! {
        #[allow(clippy::unused_async, clippy::needless_pass_by_value)]
        #(#attrs)*
        #asyncness #fn_token __body #generics (#(#params),*) #output #where_clause #block
    }
}

/// Attributes that decide whether the function exists, for what stands beside it.
pub(crate) fn presence(attrs: &[Attribute]) -> Vec<&Attribute> {
    attrs
        .iter()
        .filter(|attr| {
            let hidden = || {
                matches!(&attr.meta, syn::Meta::List(list)
                    if is_named(&list.path, "doc") && list.tokens.to_string() == "hidden")
            };
            attr.path().is_ident("cfg") || hidden()
        })
        .collect()
}
