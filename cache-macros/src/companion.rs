//! The type beside the function, with the functions that name its calls.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use crate::expand;
use crate::keys;
use crate::options::Companion;
use crate::web_method::Model;

pub(crate) fn item(model: &Model, companion: &Ident) -> TokenStream {
    let Model {
        item,
        args,
        facade,
        output,
        ..
    } = model;
    let private = quote!(#facade::__private);
    let quiet = expand::quiet();
    let presence = expand::presence(&item.attrs);
    let vis = &item.vis;
    let sig = &item.sig;
    let (name, generics) = (&sig.ident, &sig.generics);
    let where_clause = &generics.where_clause;
    let result = &output.ty;
    let name_text = {
        use syn::ext::IdentExt;
        name.unraw().to_string()
    };
    let version = model.options.version.as_deref().unwrap_or("");
    let function = quote! {
        #quiet
        #[inline]
        fn __function() -> &'static #private::Function {
            static FUNCTION: #private::Function = #private::Function::new(
                ::core::concat!(::core::module_path!(), "::", #name_text),
                #version,
            )
            .beside::<#companion>();
            &FUNCTION
        }
    };
    let load = expand::load(model);
    if matches!(model.options.companion, Companion::None) {
        return quote! {
            #[allow(missing_debug_implementations)]
            enum #companion {}
            impl #companion { #function #load }
        };
    }
    let key_params: Vec<_> = args
        .iter()
        .filter(|arg| arg.in_companions())
        .map(|arg| {
            let (name, ty) = (&arg.name, &arg.ty);
            quote!(#name: #ty)
        })
        .collect();
    let key_names: Vec<_> = args
        .iter()
        .filter(|arg| arg.in_companions())
        .map(|arg| &arg.name)
        .collect();
    let key_convert = keys::conversions(args.iter().filter(|arg| arg.in_companions()));
    let all_params: Vec<_> = args
        .iter()
        .map(|arg| {
            let (name, ty) = (&arg.name, &arg.ty);
            quote!(#name: #ty)
        })
        .collect();
    let all_names: Vec<_> = args.iter().map(|arg| &arg.name).collect();
    let convert = keys::conversions(args);
    let key = keys::key(model, &format_ident!("Self"));
    let shape = expand::shape(model);
    let plan = expand::plan(model);
    let turbofish = expand::turbofish(generics, None);
    let load_turbofish = expand::turbofish(generics, Some(quote!(_)));
    let body = output.convert(
        quote!(Self::__body #turbofish (#(#all_names),*).await),
        facade,
    );
    let tags = expand::call_tags(model);
    let returned = Ident::new("__returned", proc_macro2::Span::mixed_site());
    let (early, after) = model.tags.around(&returned, facade);
    let early = if early.is_empty() {
        early
    } else {
        let lets = keys::bindings(args);
        quote!(#lets #early)
    };
    let docs = Docs::new(&name_text, key_params.len() == all_params.len());
    let Docs {
        of_type,
        remove_cached,
        of_key,
        clear,
        refresh,
        uncached,
    } = &docs;
    // An error in `refresh` is about what the function returns.
    let load_anew = quote_spanned! {expand::output_span(model)=>
        #key
        let __shape = #shape;
        let __plan = #plan;
        let __call = #private::lookup_anew(&__key);
        Self::__load #load_turbofish (__plan, __call #(, #all_names)*).await
    };
    quote! {
        #(#presence)*
        #[doc = #of_type]
        #[allow(non_camel_case_types, missing_debug_implementations, missing_copy_implementations, dead_code, clippy::all, clippy::pedantic)]
        #vis enum #companion {}

        #(#presence)*
        impl #companion {
            #[doc = #remove_cached]
            #quiet
            #vis fn remove_cached #generics (#(#key_params),*) -> #private::Invalidating #where_clause {
                #private::remove(&Self::__key #turbofish (#(#key_names),*))
            }

            #[doc = #of_key]
            #quiet
            #[must_use]
            #vis fn key #generics (#(#key_params),*) -> #private::Key #where_clause {
                Self::__key #turbofish (#(#key_names),*).key()
            }

            #[doc = #clear]
            #quiet
            #vis fn clear() -> #private::Invalidating {
                #private::clear(Self::__function())
            }

            #[doc = #refresh]
            #quiet
            #vis async fn refresh #generics (#(#all_params),*) -> #result #where_clause {
                #convert
                #load_anew
            }

            #[doc = #uncached]
            #quiet
            #vis async fn uncached #generics (#(#all_params),*) -> #result #where_clause {
                #convert
                #private::add_tags(#tags);
                #early
                let #returned: #result = #body;
                #after
                #returned
            }

            #quiet
            fn __key #generics (#(#key_params),*) -> #private::CallKey #where_clause {
                #key_convert
                #key
                __key
            }

            #function
            #load
        }
    }
}

struct Docs {
    of_type: String,
    remove_cached: String,
    of_key: String,
    clear: String,
    refresh: String,
    uncached: String,
}

impl Docs {
    fn new(name: &str, all_are_key: bool) -> Self {
        let arguments = if all_are_key {
            "Takes the function's arguments."
        } else {
            "Takes the arguments that make the key, and leaves out the others."
        };
        Self {
            of_type: format!(
                "What can be done with the cached calls of the function `{name}` beside it. No value of this type exists."
            ),
            remove_cached: format!(
                "Removes what is cached for one call of `{name}`. {arguments}\n\nApplied when called; awaiting it waits for delivery."
            ),
            of_key: format!(
                "The key of one call of `{name}`, as `Cache::explain` takes it. {arguments}"
            ),
            clear: format!(
                "Removes what is cached for every call of `{name}`.\n\nApplied when called; awaiting it waits for delivery."
            ),
            refresh: format!(
                "Calls `{name}` anew and replaces what is cached for the call.\n\n# Errors\n\nThose of `{name}`."
            ),
            uncached: format!(
                "Calls `{name}` past the cache: nothing is looked up, nothing is stored. Its tags still join the load it is called from, if any.\n\n# Errors\n\nThose of `{name}`."
            ),
        }
    }
}
