//! What stands around a function in its source file: a macro is not told, and where a companion cannot
//! stand, the compiler's own errors are about the expansion. Only errors come of it: where the file
//! cannot be read, or the function is not found in it, nothing is said here.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Attribute, Signature};

use crate::diag::Errors;
use crate::item::{Item, is_named};

/// A function under `#[web_method]`, as the file has it.
struct Place {
    sig: String,
    /// In an `impl` or a `trait`.
    associated: bool,
    /// Types and modules beside it.
    names: Rc<[String]>,
}

thread_local! {
    /// The file last read.
    static READ: RefCell<Option<(PathBuf, Rc<[Place]>)>> = const { RefCell::new(None) };
}

/// Says where a function cannot have a companion by this name.
pub(crate) fn check(item: &Item, companion: &syn::Ident, errors: &mut Errors) {
    if item.sig.receiver().is_some() {
        // There is an error about that.
        return;
    }
    let span = proc_macro::Span::call_site();
    let Some(path) = span.local_file() else {
        return;
    };
    let companion_name = companion.to_string();
    let places = READ.with_borrow_mut(|read| match read {
        Some((last, places)) if *last == path => Some(Rc::clone(places)),
        _ => {
            let text = std::fs::read_to_string(&path).ok()?;
            if !may_matter(&text, span.column() > 1, &companion_name) {
                return None;
            }
            let places: Rc<[Place]> = places(&text).into();
            *read = Some((path, Rc::clone(&places)));
            Some(places)
        }
    });
    let sig = squeezed(&item.sig);
    let mut found = places
        .iter()
        .flat_map(|places| places.iter())
        .filter(|place| place.sig == sig);
    // Of two alike it is not known which is meant.
    let (Some(place), None) = (found.next(), found.next()) else {
        return;
    };
    if place.associated {
        errors.on(
            &item.sig,
            "a cached function stands beside its companion, and an `impl` or `trait` has no room for that: write a free function, and call it from here; or have no companion, `cache(companion = none)`",
        );
    } else if place.names.contains(&companion_name) {
        errors.on(
            companion,
            format!(
                "the companion of this function, a type beside it, cannot be named `{companion_name}`, as a type or module here has that name: name it otherwise, `cache(companion = other_name)`, or have none, `cache(companion = none)`"
            ),
        );
    }
}

/// Most files need not be parsed.
fn may_matter(text: &str, indented: bool, companion: &str) -> bool {
    let mut before = "";
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .any(|word| {
            let before = std::mem::replace(&mut before, word);
            (indented && matches!(word, "impl" | "trait"))
                || (word == companion && KINDS.contains(&before))
        })
}

const KINDS: &[&str] = &["mod", "struct", "enum", "union", "trait", "type"];

/// A signature as text, to be compared: spans are lost when text is parsed.
fn squeezed(sig: &Signature) -> String {
    let text = sig.to_token_stream().to_string();
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn places(text: &str) -> Vec<Place> {
    let mut finder = Finder::default();
    if let Ok(file) = syn::parse_file(text) {
        finder.list(&file.items);
    }
    finder.places
}

#[derive(Default)]
struct Finder {
    places: Vec<Place>,
    names: Rc<[String]>,
}

impl Finder {
    fn list(&mut self, items: &[syn::Item]) {
        let names = items.iter().filter_map(|item| {
            let (attrs, name) = match item {
                syn::Item::Mod(item) => (&item.attrs, &item.ident),
                syn::Item::Struct(item) => (&item.attrs, &item.ident),
                syn::Item::Enum(item) => (&item.attrs, &item.ident),
                syn::Item::Union(item) => (&item.attrs, &item.ident),
                syn::Item::Trait(item) => (&item.attrs, &item.ident),
                syn::Item::Type(item) => (&item.attrs, &item.ident),
                _ => return None,
            };
            // It may be absent.
            (!has(attrs, "cfg")).then(|| name.to_string())
        });
        let outer = std::mem::replace(&mut self.names, names.collect());
        items.iter().for_each(|item| self.visit_item(item));
        self.names = outer;
    }

    fn function(&mut self, attrs: &[Attribute], sig: &Signature, associated: bool) {
        if has(attrs, "web_method") {
            let names = if has(attrs, "cfg") {
                Rc::default()
            } else {
                Rc::clone(&self.names)
            };
            self.places.push(Place {
                sig: squeezed(sig),
                associated,
                names,
            });
        }
    }
}

fn has(attrs: &[Attribute], name: &str) -> bool {
    attrs.iter().any(|attr| is_named(attr.path(), name))
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if let Some((_, items)) = &module.content {
            self.list(items);
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let outer = std::mem::take(&mut self.names);
        visit::visit_block(self, block);
        self.names = outer;
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.attrs, &function.sig, false);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.attrs, &function.sig, true);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        self.function(&function.attrs, &function.sig, true);
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
        mod order {}
        #[cfg(any())] mod maybe {}
        #[web_method(cache())] async fn order(id: u8) -> u8 { id }
        fn local() { #[web_method] async fn inner() {} }
        impl<T> Repo<T> { #[revalidate::web_method(cache())] pub async fn find(id: u8) {} fn plain() {} }
        mod tests { trait A { #[web_method] async fn find(id: u16) {} } }
    ";

    #[test]
    fn functions_are_found_where_they_stand() {
        let places = places(FILE);
        let found = |sig: &str| places.iter().find(|place| place.sig == sig).unwrap();
        assert_eq!(places.len(), 4);
        let order = found("asyncfnorder(id:u8)->u8");
        assert!(!order.associated && order.names[..] == ["order", "tests"]);
        let inner = found("asyncfninner()");
        assert!(!inner.associated && inner.names.is_empty());
        assert!(found("asyncfnfind(id:u8)").associated);
        assert!(found("asyncfnfind(id:u16)").associated);
    }

    #[test]
    fn most_files_are_not_parsed() {
        assert!(may_matter("pub  mod order;", false, "order"));
        assert!(!may_matter(
            "mod orders; async fn order() {}",
            false,
            "order"
        ));
        assert!(may_matter("impl Repo {", true, "order"));
        assert!(!may_matter("impl Repo {", false, "order"));
    }
}
