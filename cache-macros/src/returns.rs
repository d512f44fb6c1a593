//! The return type: what is stored is decided by the concrete type when compiled (the expansion asks
//! by method resolution), so here only what hides it is refused.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::{ReturnType, Signature, Type, TypeImplTrait, TypeParamBound};

use crate::args::first_type_argument;
use crate::borrow;
use crate::diag::Errors;
use crate::item::is_named;

pub(crate) struct Output {
    /// The concrete type: `impl IntoResponse` is a `Response` by then.
    pub(crate) ty: TokenStream,
    /// How the body's value becomes that type.
    pub(crate) conversion: Conversion,
}

impl Output {
    /// Whether a reference stands in it, which can only be to what is there for ever.
    pub(crate) fn borrows(&self) -> bool {
        fn holds(tokens: TokenStream) -> bool {
            tokens.into_iter().any(|token| match token {
                TokenTree::Group(group) => holds(group.stream()),
                TokenTree::Punct(punct) => punct.as_char() == '&',
                TokenTree::Ident(_) | TokenTree::Literal(_) => false,
            })
        }
        holds(self.ty.clone())
    }
}

pub(crate) enum Conversion {
    None,
    /// `impl IntoResponse`.
    Whole,
    /// `Result<impl IntoResponse, E>`.
    Inner,
}

impl Output {
    pub(crate) fn convert(&self, value: TokenStream, facade: &TokenStream) -> TokenStream {
        match self.conversion {
            Conversion::None => value,
            Conversion::Whole => quote!(#facade::__private::IntoResponse::into_response(#value)),
            Conversion::Inner => {
                quote!(#value.map(#facade::__private::IntoResponse::into_response))
            }
        }
    }
}

pub(crate) fn parse(sig: &Signature, facade: &TokenStream, errors: &mut Errors) -> Option<Output> {
    let ReturnType::Type(_, ty) = &sig.output else {
        return Some(Output {
            ty: quote!(()),
            conversion: Conversion::None,
        });
    };
    let response = quote!(#facade::__private::Response);
    if is_into_response(ty) {
        return Some(Output {
            ty: response,
            conversion: Conversion::Whole,
        });
    }
    if let Type::Path(path) = &**ty {
        if first_type_argument(&path.path).is_some_and(is_into_response) {
            let mut path = path.clone();
            if let Some(last) = path.path.segments.last_mut()
                && let syn::PathArguments::AngleBracketed(arguments) = &mut last.arguments
            {
                for argument in &mut arguments.args {
                    if matches!(argument, syn::GenericArgument::Type(ty) if is_into_response(ty)) {
                        *argument = syn::GenericArgument::Type(Type::Verbatim(response.clone()));
                        break;
                    }
                }
            }
            return Some(Output {
                ty: quote!(#path),
                conversion: Conversion::Inner,
            });
        }
        if let Some(param) = path.path.get_ident()
            && sig
                .generics
                .type_params()
                .any(|known| known.ident == *param)
        {
            errors.on(
                    ty,
                    format!(
                        "`{param}` may hide a `Result`, whose errors would be cached: return `Result<{param}, _>`, or a type that names what is cached, such as `Arc<{param}>` or `Option<{param}>`"
                    ),
                );
            return None;
        }
    }
    if contains_impl(ty) {
        errors.on(ty, "a cached function names the type it returns, of which `impl IntoResponse` is the one exception: what is stored is decided by the type");
        return None;
    }
    if borrow::of(ty).is_some() {
        errors.on(ty, "a cached value outlives the call: return an owned type, such as `String` or `Arc<..>`, instead of a borrow");
        return None;
    }
    Some(Output {
        ty: quote!(#ty),
        conversion: Conversion::None,
    })
}

fn is_into_response(ty: &Type) -> bool {
    let Type::ImplTrait(TypeImplTrait { bounds, .. }) = ty else {
        return false;
    };
    bounds.iter().any(|bound| {
        matches!(bound, TypeParamBound::Trait(bound) if is_named(&bound.path, "IntoResponse"))
    })
}

pub(crate) fn contains_impl(ty: &Type) -> bool {
    struct Finder(bool);
    impl<'ast> syn::visit::Visit<'ast> for Finder {
        fn visit_type_impl_trait(&mut self, _: &'ast TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut finder = Finder(false);
    syn::visit::Visit::visit_type(&mut finder, ty);
    finder.0
}
