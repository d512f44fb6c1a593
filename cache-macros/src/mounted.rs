//! What makes a function callable from outside: `impl WebMethod` for its companion, which reads the
//! arguments, calls the function and writes the value. The bounds on their types are on the wire's
//! parameter, so that they are asked for where the function is mounted and nowhere else.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::visit_mut::VisitMut;
use syn::{
    Attribute, Expr, FnArg, GenericParam, Lifetime, Pat, ReturnType, Signature, Type,
    TypeParamBound, TypeReference,
};

use crate::args::{first_type_argument, is_extractor};
use crate::expand;
use crate::item::{Item, is_named};

/// How one argument is read and passed on.
struct Parameter {
    name: String,
    /// What is read.
    ty: Type,
    /// Whether the function is lent it.
    lent: bool,
}

/// Whether a function with a permission can be a web method: one that takes extractors is a router's,
/// one with `self` a method of a type.
pub(crate) fn can_be(sig: &Signature) -> bool {
    let plain = matches!(sig.safety, syn::Safety::Default)
        && sig.abi.is_none()
        && sig.variadic.is_none()
        && sig.constness.is_none();
    plain
        && sig.inputs.iter().all(|input| match input {
            FnArg::Receiver(_) => false,
            FnArg::Typed(arg) => !is_extractor(arg) && parameter(arg, 0).is_some(),
        })
        && match &sig.output {
            ReturnType::Default => true,
            ReturnType::Type(_, ty) => !crate::returns::contains_impl(ty),
        }
}

/// The type beside a function that is not cached.
pub(crate) fn companion(item: &Item, companion: &Ident) -> TokenStream {
    let presence = expand::presence(&item.attrs);
    let vis = &item.vis;
    let docs = format!(
        "The function `{}` beside it, as a web method to be mounted. No value of this type exists.",
        item.sig.ident.unraw()
    );
    quote! {
        #(#presence)*
        #[doc = #docs]
        #[allow(non_camel_case_types, missing_debug_implementations, missing_copy_implementations, dead_code, clippy::all, clippy::pedantic)]
        #vis enum #companion {}
    }
}

/// `impl WebMethod` for the companion.
pub(crate) fn method(
    item: &Item,
    companion: &Ident,
    permission: &Expr,
    cached: bool,
    facade: &TokenStream,
) -> TokenStream {
    let private = quote!(#facade::__private);
    let sig = &item.sig;
    let function = &sig.ident;
    let name = function.unraw().to_string();
    let docs = docs(&item.attrs);
    let presence = expand::presence(&item.attrs);
    let quiet = expand::quiet();
    let parameters: Vec<_> = sig
        .inputs
        .iter()
        .enumerate()
        .filter_map(|(at, input)| match input {
            FnArg::Typed(arg) => parameter(arg, at),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let names: Vec<_> = parameters.iter().map(|parameter| &parameter.name).collect();
    let about = |types: TokenStream| {
        quote! {
            const ABOUT: #private::Description = #private::Description {
                name: #name,
                permission: #permission,
                parameters: &[#(#names),*],
                docs: #docs,
                cached: #cached,
                types: || #types,
            };
        }
    };
    let generic = sig
        .generics
        .params
        .iter()
        .any(|param| !matches!(param, GenericParam::Lifetime(_)));
    // The compiler's own error about that speaks of the lifetimes of traits.
    let borrowed = parameters
        .iter()
        .any(|parameter| holds_reference(&parameter.ty));
    if generic || borrowed {
        let missing = if generic {
            quote!(MountsGenericFunctions)
        } else {
            quote!(MountsBorrowedArguments)
        };
        let count = parameters.len();
        let about = about(quote!(#private::ClientTypes::unknown(#count)));
        return quote! {
            #(#presence)*
            #quiet
            impl<__W: #private::#missing> #private::WebMethod<__W> for #companion {
                #about
                fn call(_: __W::Arguments) -> #private::Calling<__W> {
                    ::core::unreachable!("cannot be mounted")
                }
            }
        };
    }
    let returned = match &sig.output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, ty) => owned(ty),
    };
    let types = parameters.iter().map(|parameter| &parameter.ty);
    let outcome = quote!(#private::Outcome<{ __FALLIBLE }>);
    let about = about(quote!({
        #[allow(unused_imports)]
        use #private::Untyped as _;
        #private::ClientTypes {
            parameters: ::std::vec![#(<#private::Typed<#types>>::typescript()),*],
            value: <#private::Typed<<#returned as #outcome>::Value>>::typescript(),
        }
    }));
    let bounds = parameters.iter().map(|parameter| {
        let ty = &parameter.ty;
        quote_spanned!(ty.span()=> + #private::Decode<#ty>)
    });
    let reads = parameters.iter().enumerate().map(|(at, parameter)| {
        let (local, ty) = (format_ident!("__argument{at}"), &parameter.ty);
        quote! {
            let mut #local: #ty = match <__W as #private::Decode<#ty>>::decode(&__arguments, #at) {
                ::core::result::Result::Ok(__read) => __read,
                ::core::result::Result::Err(__wrong) => {
                    return ::std::boxed::Box::pin(::core::future::ready(::core::result::Result::Err(__wrong)));
                }
            };
        }
    });
    let passed = parameters.iter().enumerate().map(|(at, parameter)| {
        let local = format_ident!("__argument{at}");
        if parameter.lent {
            quote!(&#local)
        } else {
            quote!(#local)
        }
    });
    quote! {
        #(#presence)*
        #quiet
        const _: () = {
            const __FALLIBLE: bool = {
                #[allow(unused_imports)]
                use #private::Infallibly as _;
                <#private::Fallibility<#returned>>::FALLIBLE
            };

            impl<__W> #private::WebMethod<__W> for #companion
            where
                __W: #private::Wire #(#bounds)* + #private::Encode<<#returned as #outcome>::Value>,
            {
                #about

                fn call(__arguments: __W::Arguments) -> #private::Calling<__W> {
                    #(#reads)*
                    ::std::boxed::Box::pin(async move {
                        let __returned: #returned = #function(#(#passed),*).await;
                        match <#returned as #outcome>::outcome(__returned) {
                            ::core::result::Result::Ok(__value) => {
                                <__W as #private::Encode<<#returned as #outcome>::Value>>::encode(__value)
                            }
                            ::core::result::Result::Err(__error) => {
                                #[allow(unused_imports)]
                                use #private::dispatch::*;
                                let __failure = (&&&#private::Probe(&__error)).failure();
                                ::core::result::Result::Err(<__W as #private::Wire>::failed(__failure))
                            }
                        }
                    })
                }
            }
        };
    }
}

fn parameter(arg: &syn::PatType, at: usize) -> Option<Parameter> {
    let name = match &*arg.pat {
        Pat::Ident(ident) => ident.ident.unraw().to_string(),
        _ => format!("argument{}", at + 1),
    };
    let (ty, lent) = match &*arg.ty {
        Type::Reference(reference) if is_lent(reference) => (lent_from(&reference.elem), true),
        Type::ImplTrait(bounds) => {
            let target = bounds.bounds.iter().find_map(|bound| match bound {
                TypeParamBound::Trait(bound) if is_named(&bound.path, "Into") => {
                    first_type_argument(&bound.path)
                }
                _ => None,
            });
            (owned(target?), false)
        }
        ty if crate::returns::contains_impl(ty) => return None,
        ty => (owned(ty), false),
    };
    Some(Parameter { name, ty, lent })
}

/// `&'static T` and `&mut T` cannot be lent from what is read, and are asked of the wire as they are.
fn is_lent(reference: &TypeReference) -> bool {
    let is_static = |lifetime: &Lifetime| lifetime.ident == "static";
    reference.mutability.is_none() && !reference.lifetime.as_ref().is_some_and(is_static)
}

/// What is read to lend a `&T` of it.
fn lent_from(ty: &Type) -> Type {
    match ty {
        Type::Path(path) if path.path.is_ident("str") => {
            syn::parse_quote_spanned!(ty.span()=> ::std::string::String)
        }
        Type::Slice(slice) => {
            let elem = owned(&slice.elem);
            syn::parse_quote_spanned!(ty.span()=> ::std::vec::Vec<#elem>)
        }
        Type::Group(group) => lent_from(&group.elem),
        Type::Paren(paren) => lent_from(&paren.elem),
        ty => owned(ty),
    }
}

/// The type without borrows of its caller's: what cannot be owned is then for the wire to refuse.
fn owned(ty: &Type) -> Type {
    struct Owning;
    impl VisitMut for Owning {
        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            *lifetime = Lifetime::new("'static", lifetime.span());
        }

        fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
            let span = reference.and_token.span;
            reference.lifetime = Some(Lifetime::new("'static", span));
            self.visit_type_mut(&mut reference.elem);
        }

        // The lifetimes of `fn(&str)` are its own.
        fn visit_type_fn_ptr_mut(&mut self, _: &mut syn::TypeFnPtr) {}
    }
    let mut ty = ty.clone();
    Owning.visit_type_mut(&mut ty);
    ty
}

fn holds_reference(ty: &Type) -> bool {
    struct Finder(bool);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_type_reference(&mut self, _: &'ast TypeReference) {
            self.0 = true;
        }
    }
    let mut finder = Finder(false);
    finder.visit_type(ty);
    finder.0
}

/// The function's documentation, for clients.
fn docs(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => {
            match crate::values::literal(&pair.value) {
                Some(syn::Lit::Str(line)) => Some(line.value()),
                _ => None,
            }
        }
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}
