//! Finds borrows in types: what is cached or given to a load must own what it holds.

use syn::visit::{self, Visit};
use syn::{Lifetime, Type, TypeFnPtr, TypeReference};

/// The first reference or lifetime that is not `'static`.
pub(crate) fn of(ty: &Type) -> Option<proc_macro2::Span> {
    let mut finder = Finder(None);
    finder.visit_type(ty);
    finder.0
}

struct Finder(Option<proc_macro2::Span>);

impl<'ast> Visit<'ast> for Finder {
    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.0.get_or_insert(lifetime.span());
        }
    }

    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        if reference.lifetime.is_none() {
            self.0.get_or_insert(reference.and_token.span);
        }
        visit::visit_type_reference(self, reference);
    }

    // The references of `fn(&str)` are its own.
    fn visit_type_fn_ptr(&mut self, _: &'ast TypeFnPtr) {}
}
