//! `#[derive(CacheTags)]`: the tags of a value, from `#[cache_tags("booking:{id}")]` on the type or a
//! variant, and from fields marked `#[cache_tags]`.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Expr, Fields, GenericParam, Meta, Token};

use crate::derive_key::bounded;
use crate::diag::Errors;
use crate::template::{Scope, Template};
use crate::values::literal;

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input = match syn::parse2::<DeriveInput>(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let mut krate = None;
    let listed = literals(&input.attrs, &mut krate, &mut errors);
    let facade = crate::facade::path(krate.as_ref());
    let private = quote!(#facade::__private);
    let mut any = !listed.is_empty();
    let body = match &input.data {
        Data::Struct(data) => {
            let part = Part::new(&data.fields, &listed, &private, &mut errors);
            any |= part.any;
            let Part { pattern, tags, .. } = part;
            quote!(let Self #pattern = self; #tags)
        }
        Data::Enum(data) => {
            let arms = data.variants.iter().map(|variant| {
                let own = literals(&variant.attrs, &mut None, &mut errors);
                // Those on the enum are for every variant.
                let all: Vec<Expr> = listed.iter().cloned().chain(own).collect();
                let part = Part::new(&variant.fields, &all, &private, &mut errors);
                any |= part.any;
                let (name, Part { pattern, tags, .. }) = (&variant.ident, part);
                quote!(Self::#name #pattern => { #tags })
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
                "a union has no tags: which of its fields holds is not known",
            );
            TokenStream::new()
        }
    };
    if !any && errors.is_empty() {
        errors.on(&input.ident, "nothing says what the tags are: add `#[cache_tags(\"booking:{id}\")]`, or mark a field that has tags itself with `#[cache_tags]`");
    }
    if !errors.is_empty() {
        return errors.into_tokens();
    }
    let name = &input.ident;
    let mut generics = input.generics.clone();
    if marks_generic_field(&input) {
        generics = bounded(generics, &quote!(#private::CacheTags));
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #private::CacheTags for #name #type_generics #where_clause {
            #[allow(unused_variables, clippy::all, clippy::pedantic)]
            fn cache_tags(&self, __sink: &mut #private::TagSink) {
                #body
            }
        }
    }
}

/// Whether type parameters need to have tags themselves.
fn marks_generic_field(input: &DeriveInput) -> bool {
    let has_params = input
        .generics
        .params
        .iter()
        .any(|param| matches!(param, GenericParam::Type(_)));
    let fields: Vec<&Fields> = match &input.data {
        Data::Struct(data) => vec![&data.fields],
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| &variant.fields)
            .collect(),
        Data::Union(_) => Vec::new(),
    };
    has_params
        && fields
            .into_iter()
            .flatten()
            .any(|field| field.attrs.iter().any(is_helper))
}

/// The fields of a struct or variant, and the code that adds its tags.
struct Part {
    pattern: TokenStream,
    tags: TokenStream,
    any: bool,
}

impl Part {
    fn new(fields: &Fields, listed: &[Expr], private: &TokenStream, errors: &mut Errors) -> Self {
        let names: Vec<Ident> = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                field
                    .ident
                    .clone()
                    .unwrap_or_else(|| format_ident!("_{index}"))
            })
            .collect();
        let vars: Vec<Ident> = names
            .iter()
            .map(|name| format_ident!("__field_{name}"))
            .collect();
        let pattern = match fields {
            Fields::Named(_) => quote!({ #(#names: #vars),* }),
            Fields::Unnamed(_) => quote!((#(#vars),*)),
            Fields::Unit => TokenStream::new(),
        };
        let scope = Scope {
            names: &names,
            unkeyed: &[],
            what: "field",
            roots: &[],
        };
        let mut tags = TokenStream::new();
        for element in listed {
            let Some(syn::Lit::Str(text)) = literal(element) else {
                errors.on(
                    element,
                    "a tag of a value is a string literal, such as \"booking:{id}\"",
                );
                continue;
            };
            if let Some(template) = Template::new(text, &scope, errors) {
                let cow = template.cow(|name| {
                    let var = format_ident!("__field_{name}");
                    quote!(#var)
                });
                tags.extend(quote!(#private::sink_tag(__sink, #cow);));
            }
        }
        let mut any = !listed.is_empty();
        for (field, var) in fields.iter().zip(&vars) {
            for attr in field.attrs.iter().filter(|attr| is_helper(attr)) {
                any = true;
                if !matches!(attr.meta, Meta::Path(_)) {
                    errors.on(attr, "on a field, `#[cache_tags]` takes the tags of the field's value; literals go on the type");
                }
                let span = proc_macro2::Span::call_site().located_at(field.ty.span());
                tags.extend(quote_spanned!(span=> {
                    let __part = #var;
                    #private::CacheTags::cache_tags(__part, __sink);
                }));
            }
        }
        Self { pattern, tags, any }
    }
}

fn is_helper(attr: &Attribute) -> bool {
    attr.path().is_ident("cache_tags")
}

/// The elements of `#[cache_tags(..)]`, and `crate = path`.
fn literals(attrs: &[Attribute], krate: &mut Option<syn::Path>, errors: &mut Errors) -> Vec<Expr> {
    let mut listed = Vec::new();
    for attr in attrs.iter().filter(|attr| is_helper(attr)) {
        let parsed = attr.parse_args_with(|input: syn::parse::ParseStream<'_>| {
            if input.peek(Token![crate]) && input.peek2(Token![=]) {
                input.parse::<Token![crate]>()?;
                input.parse::<Token![=]>()?;
                *krate = Some(input.call(syn::Path::parse_mod_style)?);
                if input.is_empty() {
                    return Ok(Punctuated::new());
                }
                input.parse::<Token![,]>()?;
            }
            Punctuated::<Expr, Token![,]>::parse_terminated(input)
        });
        listed.extend(errors.ok(parsed).unwrap_or_default());
    }
    if listed.len() > 128 {
        errors.on(
            &listed[128],
            "an entry has at most 128 tags, and this is one more",
        );
    }
    listed
}
