//! A list of tags: literals with placeholders, and expressions.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Expr, Lit};

use crate::diag::Errors;
use crate::template::{Scope, Template, underline};
use crate::values::literal;

/// Explicit tags of an entry, at most.
const MAX_TAGS: usize = 128;

#[derive(Default)]
pub(crate) struct Tags {
    literals: Vec<Template>,
    /// Whatever the facade takes as tags: a constant, a `String`, a `Vec`.
    exprs: Vec<Expr>,
    /// Literals with `{result.field}`.
    of_result: Vec<Template>,
    /// Code whose errors underline wrong placeholders.
    pub(crate) underlines: TokenStream,
}

impl Tags {
    pub(crate) fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.exprs.is_empty()
    }

    pub(crate) fn reads_result(&self) -> bool {
        !self.of_result.is_empty()
    }

    pub(crate) fn add(
        &mut self,
        elements: impl IntoIterator<Item = Expr>,
        scope: &Scope<'_>,
        errors: &mut Errors,
    ) {
        for element in elements {
            let count = self.literals.len() + self.exprs.len() + self.of_result.len();
            if count == MAX_TAGS {
                errors.on(&element, format!("an entry has at most {MAX_TAGS} tags, and this is one more: use fewer, coarser ones"));
                return;
            }
            match literal(&element) {
                Some(Lit::Str(text)) => match Template::new(text, scope, errors) {
                    Some(template) if template.of_result => self.of_result.push(template),
                    Some(template) => self.literals.push(template),
                    None => self
                        .underlines
                        .extend(underline(text, scope.names).map(|tag| quote!({ #tag }))),
                },
                Some(_) => errors.on(
                    &element,
                    "a tag is text: write it as a string literal, such as \"contact:{id}\"",
                ),
                None => self.exprs.push(element),
            }
        }
    }

    /// A `Vec<Cow<'static, str>>` of all but those of the result.
    pub(crate) fn vec(&self, facade: &TokenStream) -> TokenStream {
        let cows = self
            .literals
            .iter()
            .map(|tag| tag.cow(|name| quote!(#name)));
        if self.exprs.is_empty() {
            return quote!(::std::vec![#(#cows),*]);
        }
        let tags = Ident::new("__tags", Span::mixed_site());
        let pushes = self.exprs.iter().map(|expr| {
            quote::quote_spanned!(expr.span()=> #facade::__private::push_tags(&mut #tags, #expr);)
        });
        quote!({ let mut #tags = ::std::vec![#(#cows),*]; #(#pushes)* #tags })
    }

    /// What is formatted before the body, and what is added once `output`, the body's value, is there:
    /// the tags that read it, and those it declares itself by `CacheTags`.
    pub(crate) fn around(
        &self,
        output: &Ident,
        facade: &TokenStream,
    ) -> (TokenStream, TokenStream) {
        let private = quote!(#facade::__private);
        let result = Ident::new("__result", Span::mixed_site());
        let (early, late): (Vec<_>, Vec<_>) = self
            .of_result
            .iter()
            .enumerate()
            .map(|(index, tag)| tag.after(index, &result))
            .unzip();
        let of_result = self.reads_result().then(|| {
            quote! {
                let __outcome = {
                    #[allow(unused_imports)]
                    use #private::dispatch::*;
                    (&&&#private::Probe(&#output)).outcome()
                };
                if let ::core::option::Option::Some(#result) = __outcome {
                    #private::add_tags(::std::vec![#(#late),*]);
                }
            }
        });
        let after = quote! {
            #of_result
            {
                #[allow(unused_imports)]
                use #private::dispatch::*;
                (&&&#private::Probe(&#output)).value_tags();
            }
        };
        (quote!(#(#early)*), after)
    }
}
