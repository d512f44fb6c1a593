//! Values of options: durations and the like, checked where they are written.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, ExprLit, ExprUnary, Lit, UnOp};

/// The lifetimes that have a name wherever there is a cache.
const PROFILES: &[&str] = &["seconds", "minutes", "hours", "days", "weeks", "max"];

/// Whole seconds, or text such as `"1h30m"`.
pub(crate) fn duration(option: &str, value: &Expr) -> syn::Result<Duration> {
    match literal(value) {
        Some(Lit::Int(seconds)) if matches!(seconds.suffix(), "" | "u64" | "u32" | "i32") => {
            seconds.base10_parse::<u64>().map(Duration::from_secs)
        }
        Some(Lit::Str(text)) => humantime::parse_duration(&text.value()).map_err(|problem| {
            syn::Error::new(
                text.span(),
                format!(
                    "\"{0}\" is no duration ({problem}): write seconds as a number, or text such as \"90s\", \"1h30m\" or \"7days\"{1}",
                    text.value(),
                    match option == "ttl" && PROFILES.contains(&text.value().as_str()) {
                        true => format!("; for the profile write `life = \"{}\"`", text.value()),
                        false => String::new(),
                    }
                ),
            )
        }),
        _ => Err(syn::Error::new_spanned(
            value,
            format!(
                "`{option}` takes whole seconds or a text such as \"1h30m\"{}",
                if option == "ttl" { "; for a computed lifetime write `life = ..`, an expression of type `Life`" } else { "" }
            ),
        )),
    }
}

/// A duration that must not be zero.
pub(crate) fn positive(option: &str, value: &Expr, otherwise: &str) -> syn::Result<Duration> {
    let duration = duration(option, value)?;
    if duration.is_zero() {
        return Err(syn::Error::new_spanned(
            value,
            format!("`{option}` is 0: {otherwise}"),
        ));
    }
    Ok(duration)
}

pub(crate) fn duration_tokens(duration: Duration) -> TokenStream {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote!(::core::time::Duration::new(#seconds, #nanos))
}

/// The literal an expression is, through invisible groups.
pub(crate) fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

/// A negative number is its own mistake: say so instead of "expected a number".
pub(crate) fn is_negative(value: &Expr) -> bool {
    matches!(
        value,
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            ..
        })
    )
}
