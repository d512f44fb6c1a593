//! Tag literals: `"contact:{id}"`, read as `format!` reads them and checked against the names in
//! scope, so that a constant is never taken for an argument.

use std::ops::Range;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{LitStr, Member};

use crate::diag::{Errors, did_you_mean, list};

/// Characters in a tag, at most.
const MAX_TAG: usize = 256;

/// Where a literal stands decides what its placeholders may name.
pub(crate) struct Scope<'a> {
    /// Arguments and bindings of their patterns, or fields.
    pub(crate) names: &'a [Ident],
    /// Those of them that are no part of the key: calls that differ in one share an entry.
    pub(crate) unkeyed: &'a [Ident],
    /// `argument` or `field`.
    pub(crate) what: &'a str,
    /// Roots that may be followed by fields: `result`, `self`.
    pub(crate) roots: &'a [&'a str],
}

/// A placeholder: `{root.field.field:spec}`.
struct Placeholder {
    root: String,
    /// `.0.name`, in order.
    fields: Vec<String>,
    /// `:>3`, or nothing.
    spec: String,
}

/// What fills a placeholder: a name, and the fields taken of it.
type Fill = (Ident, Vec<Member>);

/// A checked literal.
pub(crate) struct Template {
    literal: LitStr,
    /// Text without placeholders, with `{{` undone.
    fixed: Option<String>,
    /// The literal with every placeholder numbered, and what fills them; only where fields are named.
    numbered: Option<(String, Vec<Fill>)>,
    /// It reads the returned value.
    pub(crate) of_result: bool,
}

impl Template {
    /// Checks a literal; what is wrong goes to `errors`.
    pub(crate) fn new(literal: &LitStr, scope: &Scope<'_>, errors: &mut Errors) -> Option<Self> {
        let text = literal.value();
        let pieces = match parse(&text) {
            Ok(pieces) => pieces,
            Err((range, problem)) => {
                errors.at(inside(literal, range), problem);
                return None;
            }
        };
        let fixed: String = pieces.iter().filter_map(|piece| piece.text()).collect();
        let constant = pieces.iter().all(|piece| piece.text().is_some());
        let length = fixed.chars().count();
        if text.is_empty() {
            errors.at(
                literal.span(),
                "a tag has 1 to 256 characters; this one is empty",
            );
            return None;
        }
        if length > MAX_TAG {
            errors.at(
                literal.span(),
                format!("a tag has 1 to 256 characters; this one has at least {length}"),
            );
            return None;
        }
        let mut good = true;
        let mut fills = Vec::new();
        let mut numbered = String::new();
        let mut dotted = false;
        let mut of_result = false;
        for piece in &pieces {
            match piece {
                Piece::Text { raw, .. } => numbered.push_str(&text[raw.clone()]),
                Piece::Hole {
                    placeholder,
                    at,
                    spec_names,
                } => {
                    let checked = check(placeholder, literal, at, scope, errors);
                    for (name, at) in spec_names {
                        good &= known_name(name, literal, at, scope, errors);
                    }
                    let Some((root, fields)) = checked else {
                        good = false;
                        continue;
                    };
                    let result = root == "result" && scope.roots.contains(&"result");
                    of_result |= result;
                    dotted |= result || !fields.is_empty() || scope.what == "field";
                    numbered.push_str(&format!("{{{}{}}}", fills.len(), placeholder.spec));
                    fills.push((root, fields));
                }
            }
        }
        good.then(|| Self {
            literal: literal.clone(),
            fixed: constant.then_some(fixed),
            numbered: dotted.then_some((numbered, fills)),
            of_result,
        })
    }

    /// For a tag that reads the result: what must be formatted while the arguments are there, and
    /// the tag itself, for when `result` is.
    pub(crate) fn after(&self, index: usize, result: &Ident) -> (TokenStream, TokenStream) {
        let Some((text, fills)) = &self.numbered else {
            return (TokenStream::new(), self.cow(|name| quote!(#name)));
        };
        let span = self.literal.span();
        let mut before = TokenStream::new();
        let mut text = text.clone();
        let values = fills.iter().enumerate().map(|(n, (name, fields))| {
            if name == "result" {
                return quote!(#result #(.#fields)*);
            }
            // The width and the like go with the value that is formatted early.
            let start = text.find(&format!("{{{n}")).unwrap_or_default();
            let end = start + text[start..].find('}').unwrap_or_default() + 1;
            let early = text[start..end].replacen(&n.to_string(), "0", 1);
            text.replace_range(start..end, &format!("{{{n}}}"));
            let early = LitStr::new(&early, span);
            let part = quote::format_ident!("__tag{index}_{n}", span = Span::mixed_site());
            before.extend(quote!(let #part = ::std::format!(#early, #name);));
            quote!(#part)
        });
        let values: Vec<_> = values.collect();
        let text = LitStr::new(&text, span);
        (
            before,
            quote!(::std::borrow::Cow::Owned(
                ::std::format!(#text #(, #values)*)
            )),
        )
    }

    /// An expression of type `Cow<'static, str>`. `root` writes what a placeholder's first name
    /// stands for.
    pub(crate) fn cow(&self, root: impl Fn(&Ident) -> TokenStream) -> TokenStream {
        let span = self.literal.span();
        if let Some(fixed) = &self.fixed {
            let fixed = LitStr::new(fixed, span);
            return quote!(::std::borrow::Cow::Borrowed(#fixed));
        }
        let formatted = match &self.numbered {
            Some((text, fills)) => {
                let text = LitStr::new(text, span);
                let fills = fills.iter().map(|(name, fields)| {
                    let root = root(name);
                    quote!(#root #(.#fields)*)
                });
                quote!(::std::format!(#text #(, #fills)*))
            }
            // The user's own token: `format!` then knows where its placeholders are.
            None => {
                let literal = &self.literal;
                quote!(::std::format!(#literal))
            }
        };
        quote!(::std::borrow::Cow::Owned(#formatted))
    }
}

/// Code whose error underlines the wrong placeholder *inside* the literal, which a macro cannot do on
/// a stable compiler, but `format!` can: it looks for the names where there is nothing but them. It
/// is emitted beside our own error, which has the list.
pub(crate) fn underline(literal: &LitStr, names: &[Ident]) -> Option<TokenStream> {
    let text = literal.value();
    for piece in parse(&text).ok()? {
        if let Piece::Hole { placeholder, .. } = piece
            && (!placeholder.fields.is_empty() || is_index(&placeholder.root))
        {
            return None;
        }
    }
    Some(quote! {
        mod __tag {
            fn tag(#(#names: u8),*) {
                let _ = ::std::format!(#literal);
            }
        }
    })
}

fn check(
    placeholder: &Placeholder,
    literal: &LitStr,
    at: &Range<usize>,
    scope: &Scope<'_>,
    errors: &mut Errors,
) -> Option<Fill> {
    let Placeholder { root, fields, .. } = placeholder;
    let what = scope.what;
    let is_root = scope.roots.contains(&root.as_str());
    if is_root && root == "result" && scope.names.iter().any(|name| name == "result") {
        errors.at(
            inside(literal, at.clone()),
            format!("`{{{root}}}` could be the {what} or the returned value; rename the {what}"),
        );
        return None;
    }
    if !fields.is_empty() && !is_root && what == "argument" {
        errors.at(
            inside(literal, at.clone()),
            format!(
                "`{{{root}.{}}}` is no placeholder: as in `format!`, it holds one name. Take the field in the argument's pattern, or give the tag in the body: `cache_tag(format!(\"..{{}}\", {root}.{}))`",
                fields.join("."),
                fields.join("."),
            ),
        );
        return None;
    }
    if !is_root && !known_name(root, literal, at, scope, errors) {
        return None;
    }
    let ident = if root.starts_with(|c: char| c.is_ascii_digit()) {
        quote::format_ident!("_{root}", span = literal.span())
    } else {
        let mut ident = scope
            .names
            .iter()
            .find(|name| name.unraw() == root)
            .cloned()
            .unwrap_or_else(|| Ident::new(root, literal.span()));
        ident.set_span(literal.span());
        ident
    };
    let fields = fields
        .iter()
        .map(|field| member(field, literal.span()))
        .collect();
    Some((ident, fields))
}

fn known_name(
    name: &str,
    literal: &LitStr,
    at: &Range<usize>,
    scope: &Scope<'_>,
    errors: &mut Errors,
) -> bool {
    let tuple_field = scope.what == "field"
        && scope
            .names
            .iter()
            .any(|n| n.to_string().strip_prefix('_') == Some(name));
    if scope.unkeyed.iter().any(|known| known.unraw() == name) {
        errors.at(
            inside(literal, at.clone()),
            format!("`{name}` is no part of the key, so calls that differ in it share one entry, and only the first one's tag would drop it: name in tags what the key holds, or let the key hold `{name}`"),
        );
        return false;
    }
    if tuple_field || scope.names.iter().any(|known| known.unraw() == name) {
        return true;
    }
    let what = scope.what;
    let names: Vec<String> = scope
        .names
        .iter()
        .map(|name| name.unraw().to_string())
        .collect();
    let shown = names.iter().map(|n| {
        if what == "field" {
            n.strip_prefix('_').filter(|n| is_index(n)).unwrap_or(n)
        } else {
            n
        }
    });
    let list = list(shown, &format!("there is no {what}"));
    let hint = did_you_mean(name, names.iter().map(String::as_str))
        .map(|near| format!(" Did you mean `{{{near}}}`?"))
        .unwrap_or_default();
    errors.at(
        inside(literal, at.clone()),
        format!("`{{{name}}}` in this tag names no {what} (a constant in scope is not one).{hint} Known: {list}"),
    );
    false
}

fn is_index(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn member(field: &str, span: Span) -> Member {
    match field.parse::<u32>() {
        Ok(index) => Member::Unnamed(syn::Index { index, span }),
        Err(_) => Member::Named(
            syn::parse_str::<Ident>(field)
                .map(|mut ident| {
                    ident.set_span(span);
                    ident
                })
                .unwrap_or_else(|_| Ident::new_raw(field, span)),
        ),
    }
}

/// The span of a part of a literal where the compiler can give it, else of the literal. `range`
/// counts bytes of the value, which are those of the source unless something is escaped.
fn inside(literal: &LitStr, range: Range<usize>) -> Span {
    let token = literal.token();
    let source = token.to_string();
    let Some(start) = source.find('"').map(|at| at + 1) else {
        return literal.span();
    };
    if source.contains('\\') {
        return literal.span();
    }
    token
        .subspan(start + range.start..start + range.end)
        .unwrap_or_else(|| literal.span())
}

enum Piece {
    /// `raw` in the literal's value, `text` with double braces undone.
    Text { raw: Range<usize>, text: String },
    Hole {
        placeholder: Placeholder,
        at: Range<usize>,
        spec_names: Vec<(String, Range<usize>)>,
    },
}

impl Piece {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            Self::Hole { .. } => None,
        }
    }
}

type Problem = (Range<usize>, String);

fn parse(text: &str) -> Result<Vec<Piece>, Problem> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut at = 0;
    let mut plain = String::new();
    while at < bytes.len() {
        let doubled = bytes.get(at + 1) == Some(&bytes[at]);
        match bytes[at] {
            b'{' | b'}' if doubled => {
                plain.push(char::from(bytes[at]));
                at += 2;
            }
            b'}' => {
                return Err((
                    at..at + 1,
                    "`}` without `{`; write `}}` for the character".into(),
                ));
            }
            b'{' => {
                if from < at {
                    pieces.push(Piece::Text {
                        raw: from..at,
                        text: std::mem::take(&mut plain),
                    });
                }
                let Some(length) = text[at..].find('}') else {
                    return Err((
                        at..text.len(),
                        "`{` without `}`; write `{{` for the character".into(),
                    ));
                };
                let hole = at..at + length + 1;
                pieces.push(placeholder(&text[at + 1..at + length], hole.clone())?);
                at = hole.end;
                from = at;
            }
            _ => {
                let c = text[at..].chars().next().unwrap_or_default();
                plain.push(c);
                at += c.len_utf8();
            }
        }
    }
    if from < at {
        pieces.push(Piece::Text {
            raw: from..at,
            text: plain,
        });
    }
    Ok(pieces)
}

fn placeholder(inner: &str, at: Range<usize>) -> Result<Piece, Problem> {
    let (path, spec) = match inner.find(':') {
        Some(colon) => inner.split_at(colon),
        None => (inner, ""),
    };
    let path = path.trim();
    if path.is_empty() {
        return Err((
            at,
            format!(
                "`{{{inner}}}` has no name: a tag's placeholder names an argument, as in \"contact:{{id}}\""
            ),
        ));
    }
    let mut parts = path.split('.').map(str::to_owned);
    let root = parts.next().unwrap_or_default();
    let fields: Vec<String> = parts.collect();
    let is_word =
        |part: &str| syn::parse_str::<Ident>(part).is_ok() || is_index(part) || part == "self";
    if !is_word(&root) || !fields.iter().all(|field| is_word(field)) {
        return Err((
            at,
            format!(
                "`{{{inner}}}` is no placeholder: it holds a name, as in `format!`; `{{{{` and `}}}}` are the characters"
            ),
        ));
    }
    // `{id:width$.precision$}` captures names too.
    let mut spec_names = Vec::new();
    for (index, _) in spec.match_indices('$') {
        let name: String = spec[..index]
            .chars()
            .rev()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        spec_names.push((name, at.clone()));
    }
    let placeholder = Placeholder {
        root,
        fields,
        spec: spec.to_owned(),
    };
    Ok(Piece::Hole {
        placeholder,
        at,
        spec_names,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors_of(text: &str, names: &[&str]) -> String {
        let names: Vec<Ident> = names
            .iter()
            .map(|n| Ident::new(n, Span::call_site()))
            .collect();
        let scope = Scope {
            names: &names,
            unkeyed: &[],
            what: "argument",
            roots: &["result"],
        };
        let mut errors = Errors::default();
        let literal = LitStr::new(text, Span::call_site());
        let made = Template::new(&literal, &scope, &mut errors);
        assert_eq!(made.is_some(), errors.is_empty());
        errors.into_tokens().to_string()
    }

    #[test]
    fn placeholders_name_arguments() {
        assert_eq!(errors_of("contact:{id}", &["id"]), "");
        assert_eq!(errors_of("{{x}}:{id:>3}", &["id"]), "");
        assert_eq!(errors_of("{id:width$}", &["id", "width"]), "");
        assert_eq!(errors_of("b:{result.user.0}", &["id"]), "");
        assert!(errors_of("contact:{ids}", &["id"]).contains("Did you mean `{id}`"));
        assert!(errors_of("{id:width$}", &["id"]).contains("`{width}`"));
        assert!(errors_of("contact:{}", &["id"]).contains("has no name"));
        assert!(errors_of("contact:{user.name}", &["user"]).contains("is no placeholder"));
        assert!(errors_of("contact:{0}", &["id"]).contains("names no argument"));
        assert!(errors_of("contact:{id", &["id"]).contains("without `}`"));
        assert!(errors_of("contact:id}", &["id"]).contains("without `{`"));
        assert!(errors_of("", &[]).contains("empty"));
        assert!(errors_of(&"x".repeat(257), &[]).contains("257"));
        assert_eq!(errors_of(&"é".repeat(256), &[]), "");
    }

    #[test]
    fn doubled_braces_are_one_character() {
        let literal = LitStr::new("a{{b}}c", Span::call_site());
        let scope = Scope {
            names: &[],
            unkeyed: &[],
            what: "argument",
            roots: &[],
        };
        let made = Template::new(&literal, &scope, &mut Errors::default()).unwrap();
        assert_eq!(made.fixed.as_deref(), Some("a{b}c"));
    }
}
