//! What the patterns of arguments bind.

use proc_macro2::{Ident, Span};
use syn::spanned::Spanned;
use syn::visit_mut::{VisitMut, visit_pat_mut};
use syn::{FnArg, Pat, Signature};

/// Collects what a pattern binds.
pub(crate) struct Bindings(pub(crate) Vec<Ident>);

impl VisitMut for Bindings {
    fn visit_pat_mut(&mut self, pat: &mut Pat) {
        if let Pat::Ident(ident) = pat {
            self.0.push(ident.ident.clone());
        }
        visit_pat_mut(self, pat);
    }
}

/// Names bound anywhere in the arguments of a function, for the tags of one that is not cached.
pub(crate) fn bindings_of(sig: &Signature) -> Vec<Ident> {
    let mut bindings = Bindings(Vec::new());
    for input in &sig.inputs {
        if let FnArg::Typed(arg) = input {
            bindings.visit_pat_mut(&mut arg.pat.clone());
        }
    }
    bindings.0
}

/// Removes `mut` and `ref`, which a pattern matched through a reference may not have.
pub(crate) struct PlainBindings;

impl VisitMut for PlainBindings {
    fn visit_pat_mut(&mut self, pat: &mut Pat) {
        if let Pat::Ident(ident) = pat {
            ident.by_ref = None;
            ident.mutability = None;
        }
        visit_pat_mut(self, pat);
    }
}

/// Finds `name @ pattern`.
pub(crate) struct Owning(Option<Span>);

impl Owning {
    pub(crate) fn find(pat: &Pat) -> Option<Span> {
        let mut found = Self(None);
        found.visit_pat_mut(&mut pat.clone());
        found.0
    }
}

impl VisitMut for Owning {
    fn visit_pat_mut(&mut self, pat: &mut Pat) {
        if let Pat::Ident(ident) = pat
            && ident.subpat.is_some()
        {
            self.0 = Some(ident.span());
        }
        visit_pat_mut(self, pat);
    }
}
