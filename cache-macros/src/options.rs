//! What stands in the parentheses of `#[web_method(..)]`.

use std::time::Duration;

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, Lit, Path, Token};

use crate::diag::{Errors, did_you_mean, list};
use crate::values::{duration, is_negative, literal, positive};

/// The whole attribute.
#[derive(Default)]
pub(crate) struct WebMethod {
    pub(crate) permission: Option<Expr>,
    pub(crate) cache: Option<CacheOptions>,
    pub(crate) krate: Option<Path>,
    /// Of a function that is not cached; else it is one of the cache's options.
    pub(crate) companion: Option<(Companion, Ident)>,
}

/// `cache(..)`.
pub(crate) struct CacheOptions {
    /// Elements of `tags = [..]`, not yet checked.
    pub(crate) tags: Vec<Expr>,
    pub(crate) life: LifeOption,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) timeout: Option<(Duration, Span)>,
    pub(crate) none: Option<(Duration, Span)>,
    pub(crate) key: Option<Expr>,
    pub(crate) weight: Option<Expr>,
    pub(crate) companion: Companion,
    pub(crate) foreground: bool,
    /// Where it stands that one value is for all who may call.
    pub(crate) shared: Option<Span>,
    pub(crate) reach: Reach,
    pub(crate) version: Option<String>,
}

/// Where the lifetime comes from.
pub(crate) enum LifeOption {
    /// Not said: nested minimum, then the cache's default.
    Unsaid,
    Ttl(Duration),
    Profile(String),
    Expr(Expr),
}

/// How far values go where the cache has a remote.
pub(crate) enum Reach {
    /// To other nodes, if their type can.
    IfItCan,
    /// They must be able to; where that stands.
    Remote(Span),
    /// No further than the process.
    Local,
}

/// The type beside the function.
pub(crate) enum Companion {
    SameName,
    Named(Ident),
    None,
}

impl Companion {
    /// The name of the one beside the function `own`.
    pub(crate) fn name<'a>(&'a self, own: &'a Ident) -> Option<&'a Ident> {
        match self {
            Self::SameName => Some(own),
            Self::Named(name) => Some(name),
            Self::None => None,
        }
    }
}

const OPTIONS: &[&str] = &[
    "tags",
    "ttl",
    "life",
    "stale_while_revalidate",
    "stale_if_error",
    "timeout",
    "none",
    "key",
    "weight",
    "companion",
    "foreground",
    "shared",
    "remote",
    "local",
    "version",
];

/// What other caches call an option, or have as one, and what is to be written here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("swr", "It is `stale_while_revalidate = ..`"),
    ("max_age", "It is `ttl = ..`"),
    ("revalidate", "It is `ttl = ..`"),
    (
        "profile",
        "A profile is given by its name: `life = \"hours\"`",
    ),
    ("jitter", "It is a part of a `Life`: `life = ..`"),
    ("skip", "It stands at an argument: `#[cache(skip)]`"),
];

/// `name` or `name = value`.
struct Setting {
    name: Ident,
    value: Option<Expr>,
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.call(Ident::parse_any)?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Some(input.parse()?)
        } else if input.peek(syn::token::Paren) {
            return Err(input.error(format!("write `{name} = ..`")));
        } else {
            None
        };
        Ok(Self { name, value })
    }
}

impl WebMethod {
    pub(crate) fn parse(input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<Self> {
        let mut method = Self::default();
        while !input.is_empty() {
            if input.peek(Token![crate]) && input.peek2(Token![=]) {
                let name: Token![crate] = input.parse()?;
                input.parse::<Token![=]>()?;
                let path = input.call(Path::parse_mod_style)?;
                if method.krate.replace(path).is_some() {
                    errors.at(name.span, "`crate` is given twice");
                }
            } else if is_cache(input) {
                let name: Ident = input.parse()?;
                let settings = if input.peek(syn::token::Paren) {
                    let inner;
                    syn::parenthesized!(inner in input);
                    Punctuated::<Setting, Token![,]>::parse_terminated(&inner)?
                } else {
                    return Err(syn::Error::new(
                        name.span(),
                        "write `cache(..)`, with its options in parentheses; `cache()` is fine too",
                    ));
                };
                let options = CacheOptions::new(settings, errors);
                if method.cache.replace(options).is_some() {
                    errors.at(name.span(), "`cache(..)` is given twice");
                }
            } else if input.peek(Ident::peek_any) && input.peek2(Token![=]) {
                let setting: Setting = input.parse()?;
                if let (true, Some(value)) = (setting.name == "companion", &setting.value) {
                    method.companion = Some((companion(value.clone())?, setting.name));
                } else {
                    errors.at(setting.name.span(), unknown(&setting.name));
                }
            } else {
                let permission: Expr = input.parse()?;
                if method.permission.is_some() {
                    errors.on(
                        permission,
                        "`#[web_method]` takes one permission, then `cache(..)`",
                    );
                } else {
                    method.permission = Some(permission);
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let (Some((_, name)), true) = (&method.companion, method.cache.is_some()) {
            errors.at(name.span(), unknown(name));
        }
        Ok(method)
    }
}

fn is_cache(input: ParseStream<'_>) -> bool {
    input
        .fork()
        .parse::<Ident>()
        .is_ok_and(|ident| ident == "cache")
        && !input.peek2(Token![::])
}

/// An option beside `cache(..)` instead of inside it, or one that is not known at all.
fn unknown(name: &Ident) -> String {
    let text = name.to_string();
    if OPTIONS.contains(&text.as_str()) {
        return format!("`{name}` belongs inside `cache(..)`: `#[web_method(cache({name} = ..))]`");
    }
    format!(
        "`{name}` is not known; `#[web_method]` takes a permission, `cache(..)` and `crate = path`"
    )
}

impl CacheOptions {
    fn new(settings: Punctuated<Setting, Token![,]>, errors: &mut Errors) -> Self {
        let mut options = Self {
            tags: Vec::new(),
            life: LifeOption::Unsaid,
            stale_while_revalidate: None,
            stale_if_error: None,
            timeout: None,
            none: None,
            key: None,
            weight: None,
            companion: Companion::SameName,
            foreground: false,
            shared: None,
            reach: Reach::IfItCan,
            version: None,
        };
        let mut seen: Vec<Ident> = Vec::new();
        for Setting { name, value } in settings {
            if seen.contains(&name) {
                errors.at(name.span(), format!("`{name}` is given twice"));
                continue;
            }
            seen.push(name.clone());
            if let Err(error) = options.set(&name, value, errors) {
                errors.push(error);
            }
        }
        options.check(&seen, errors);
        options
    }

    fn set(&mut self, name: &Ident, value: Option<Expr>, errors: &mut Errors) -> syn::Result<()> {
        let text = name.to_string();
        if !OPTIONS.contains(&text.as_str()) {
            let meant = ELSEWHERE.iter().find(|(name, _)| *name == text);
            let near = match meant {
                Some((_, instead)) => format!(" {instead}."),
                None => did_you_mean(&text, OPTIONS.iter().copied())
                    .map(|near| format!(" Did you mean `{near}`?"))
                    .unwrap_or_default(),
            };
            let known = list(OPTIONS.iter().copied(), "");
            return Err(syn::Error::new(
                name.span(),
                format!("`{name}` is no option of `cache(..)`.{near} Options: {known}"),
            ));
        }
        let otherwise = match text.as_str() {
            "foreground" => Some("load in a task of its own"),
            "shared" => Some("be told what is given to several callers"),
            "remote" => Some("share with other nodes what can be"),
            "local" => Some("share with other nodes"),
            _ => None,
        };
        if let Some(otherwise) = otherwise {
            match text.as_str() {
                "foreground" => self.foreground = true,
                "remote" => self.reach = Reach::Remote(name.span()),
                "local" => self.reach = Reach::Local,
                _ => self.shared = Some(name.span()),
            }
            return match value {
                Some(value) => Err(syn::Error::new_spanned(
                    value,
                    format!("`{name}` takes no value: leave it out to {otherwise}"),
                )),
                None => Ok(()),
            };
        }
        let Some(value) = value else {
            return Err(syn::Error::new(
                name.span(),
                format!("`{name}` needs a value: `{name} = ..`"),
            ));
        };
        if is_negative(&value) {
            return Err(syn::Error::new_spanned(
                value,
                format!("`{name}` cannot be negative"),
            ));
        }
        match text.as_str() {
            "tags" => self.tags = tag_list(value)?,
            "ttl" if matches!(self.life, LifeOption::Unsaid) => {
                let ttl = positive(
                    "ttl",
                    &value,
                    "nothing would be stored. Leave out `cache(..)` to cache nothing",
                )?;
                self.life = LifeOption::Ttl(ttl);
            }
            "life" if matches!(self.life, LifeOption::Unsaid) => self.life = life(value)?,
            "ttl" | "life" => errors.at(
                name.span(),
                "`ttl` and `life` both say how long: keep one of them",
            ),
            "stale_while_revalidate" => {
                self.stale_while_revalidate = Some(duration(&text, &value)?);
            }
            "stale_if_error" => self.stale_if_error = Some(duration(&text, &value)?),
            "timeout" => {
                let limit = positive("timeout", &value, "every call would time out")?;
                self.timeout = Some((limit, value.span()));
            }
            "none" => self.none = Some((duration(&text, &value)?, value.span())),
            "key" => self.key = Some(value),
            "weight" => self.weight = Some(value),
            "companion" => self.companion = companion(value)?,
            _ => self.version = Some(version(&value)?),
        }
        Ok(())
    }

    /// What options mean together.
    fn check(&self, seen: &[Ident], errors: &mut Errors) {
        let at = |wanted: &str| seen.iter().find(|name| *name == wanted).map(Ident::span);
        let stale = at("stale_while_revalidate").or_else(|| at("stale_if_error"));
        if let Some(span) = stale {
            match self.life {
                LifeOption::Ttl(_) => {}
                LifeOption::Unsaid if at("ttl").is_some() || at("life").is_some() => {}
                LifeOption::Unsaid => errors.at(span, "a stale window begins where the `ttl` ends: give the `ttl` too"),
                LifeOption::Profile(_) | LifeOption::Expr(_) => errors.at(
                    span,
                    "`life` says the stale windows too: put them there, or write `ttl` and the windows instead of `life`",
                ),
            }
        }
        if let (Some(span), Some(_)) = (at("local"), at("remote")) {
            errors.at(
                span,
                "`local` values stay in the process, `remote` ones must not: keep one of the two",
            );
        }
        if let (true, Some(span)) = (self.foreground, at("stale_while_revalidate")) {
            errors.at(span, "a load in the foreground runs in its caller, so nothing can be refreshed behind it: leave out `foreground` or `stale_while_revalidate`");
        }
    }
}

fn tag_list(value: Expr) -> syn::Result<Vec<Expr>> {
    match value {
        Expr::Array(array) => Ok(array.elems.into_iter().collect()),
        Expr::Group(group) => tag_list(*group.expr),
        Expr::Reference(reference) => tag_list(*reference.expr),
        other => Err(syn::Error::new_spanned(
            &other,
            "write the tags as a list: `tags = [\"contacts\", \"contact:{id}\"]`",
        )),
    }
}

fn life(value: Expr) -> syn::Result<LifeOption> {
    match literal(&value) {
        Some(Lit::Str(name)) => {
            let text = name.value();
            if text.trim().is_empty() {
                return Err(syn::Error::new(
                    name.span(),
                    "`life` names a profile (seconds, minutes, hours, days, weeks, max, or one you registered), or is an expression of type `Life`",
                ));
            }
            if text.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(syn::Error::new(
                    name.span(),
                    format!("\"{text}\" is a duration, not a profile: write `ttl = \"{text}\"`"),
                ));
            }
            Ok(LifeOption::Profile(text))
        }
        Some(Lit::Int(_)) => Err(syn::Error::new_spanned(
            &value,
            "a number of seconds is a `ttl`; `life` is a profile's name or an expression of type `Life`",
        )),
        _ => Ok(LifeOption::Expr(value)),
    }
}

fn companion(value: Expr) -> syn::Result<Companion> {
    match &value {
        Expr::Path(path) if path.path.is_ident("none") => Ok(Companion::None),
        Expr::Path(path) => match path.path.get_ident() {
            Some(name) => Ok(Companion::Named(name.clone())),
            None => Err(syn::Error::new_spanned(value, COMPANION)),
        },
        _ => Err(syn::Error::new_spanned(value, COMPANION)),
    }
}

const COMPANION: &str = "`companion` is a name for the type that holds `remove_cached`, `clear` and the like, or `none`";

fn version(value: &Expr) -> syn::Result<String> {
    match literal(value) {
        Some(Lit::Str(text)) if !text.value().is_empty() => Ok(text.value()),
        Some(Lit::Int(number)) if number.suffix().is_empty() => {
            Ok(number.base10_digits().to_owned())
        }
        _ => Err(syn::Error::new_spanned(
            value,
            "`version` is a text or a number that you change when what the function returns changes its meaning",
        )),
    }
}
