//! `#[derive(CacheKey)]`: every field, in order; an enum's variant by index and name.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, GenericParam, Generics, parse_quote};

use crate::diag::Errors;

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input = match syn::parse2::<DeriveInput>(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let mut krate = None;
    read_attrs(&input.attrs, true, &mut krate, &mut errors);
    let facade = crate::facade::path(krate.as_ref());
    let private = quote!(#facade::__private);
    let body = match &input.data {
        Data::Struct(data) => {
            check_fields(&data.fields, &mut errors);
            let (pattern, writes) = fields(&data.fields, &private);
            quote!(let Self #pattern = self; #writes)
        }
        Data::Enum(data) => {
            let arms = data.variants.iter().enumerate().map(|(index, variant)| {
                read_attrs(&variant.attrs, false, &mut None, &mut errors);
                check_fields(&variant.fields, &mut errors);
                let (pattern, writes) = fields(&variant.fields, &private);
                let name = &variant.ident;
                let text = name.to_string();
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                quote!(Self::#name #pattern => { __key.variant(#index, #text); #writes })
            });
            let arms: Vec<_> = arms.collect();
            if arms.is_empty() {
                quote!(match *self {})
            } else {
                quote!(match self { #(#arms)* })
            }
        }
        Data::Union(data) => {
            errors.at(
                data.union_token.span,
                "a union cannot be a cache key: which of its fields holds is not known",
            );
            TokenStream::new()
        }
    };
    if !errors.is_empty() {
        return errors.into_tokens();
    }
    let name = &input.ident;
    let generics = bounded(input.generics.clone(), &quote!(#private::CacheKey));
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #private::CacheKey for #name #type_generics #where_clause {
            #[allow(unused_variables, clippy::all, clippy::pedantic)]
            fn encode(&self, __key: &mut #private::KeyWriter<'_>) {
                #body
            }
        }
    }
}

/// `T: bound` for every type parameter.
pub(crate) fn bounded(mut generics: Generics, bound: &TokenStream) -> Generics {
    for param in &mut generics.params {
        if let GenericParam::Type(param) = param {
            param.bounds.push(parse_quote!(#bound));
        }
    }
    generics
}

/// The pattern that takes all fields, and what writes them.
fn fields(fields: &Fields, private: &TokenStream) -> (TokenStream, TokenStream) {
    let names: Vec<Ident> = (0..fields.len())
        .map(|index| format_ident!("__field{index}"))
        .collect();
    let pattern = match fields {
        Fields::Named(named) => {
            let fields = named.named.iter().map(|field| &field.ident);
            quote!({ #(#fields: #names),* })
        }
        Fields::Unnamed(_) => quote!((#(#names),*)),
        Fields::Unit => TokenStream::new(),
    };
    let writes = fields.iter().zip(&names).map(|(field, name)| {
        let span = proc_macro2::Span::call_site().located_at(field.ty.span());
        quote_spanned! {span=> {
            #[allow(unused_imports)]
            use #private::dispatch::*;
            let __part = #name;
            (&&&&#private::Probe(__part)).key_kind().write_field(__part, __key);
        }}
    });
    (pattern, quote!(#(#writes)*))
}

fn check_fields(fields: &Fields, errors: &mut Errors) {
    for field in fields {
        read_attrs(&field.attrs, false, &mut None, errors);
    }
}

fn read_attrs(
    attrs: &[syn::Attribute],
    on_type: bool,
    krate: &mut Option<syn::Path>,
    errors: &mut Errors,
) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("cache")) {
        let parsed = attr.parse_nested_meta(|meta| {
            if on_type && meta.path.is_ident("crate") {
                *krate = Some(meta.value()?.call(syn::Path::parse_mod_style)?);
                return Ok(());
            }
            if meta.path.is_ident("skip") {
                return Err(meta.error("every field is part of a derived key: two values that differ in a field left out would share an entry. Implement `CacheKey` by hand, or decide where the value is an argument: `#[cache(key = expr)]`"));
            }
            Err(meta.error("`#[derive(CacheKey)]` takes `#[cache(crate = path)]` on the type only"))
        });
        errors.ok(parsed);
    }
}
