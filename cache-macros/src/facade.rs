//! Where the expansion finds the facade: by its name in the user's `Cargo.toml`, or as told.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

/// The path of the facade. `crate = path` wins; the package itself is found under its own name, for
/// its tests and examples and, by `extern crate self`, its library.
pub(crate) fn path(given: Option<&syn::Path>) -> TokenStream {
    if let Some(path) = given {
        return quote!(#path);
    }
    match crate_name("revalidate") {
        Ok(FoundCrate::Name(name)) => {
            let name = Ident::new(&name, Span::call_site());
            quote!(::#name)
        }
        Ok(FoundCrate::Itself) | Err(_) => quote!(::revalidate),
    }
}
