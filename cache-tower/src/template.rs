//! A layer's tags with `{path parameters}`, checked when the layer is made.

use cache_core::spi::TagName;
use cache_core::{MAX_TAG_CHARS, NotStorable};
use http::Request;

/// A tag in which names in braces stand for path parameters; `{{` and `}}` are braces themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Parameter(String),
}

impl Template {
    /// Reads a template; the error says what to write.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.char_indices().peekable();
        while let Some((at, char)) = chars.next() {
            match char {
                '{' | '}' if chars.next_if(|&(_, next)| next == char).is_some() => {
                    literal.push(char);
                }
                '}' => {
                    return Err(format!(
                        "the tag {text:?} has a `}}` that opens nowhere: write `}}}}` for a brace"
                    ));
                }
                '{' => {
                    let rest = &text[at + 1..];
                    let Some(end) = rest.find('}') else {
                        return Err(format!(
                            "the tag {text:?} has a `{{` that is never closed: write `{{{{` for a brace"
                        ));
                    };
                    let name = &rest[..end];
                    if name.is_empty() || name.contains(|c: char| c == '{' || c.is_whitespace()) {
                        return Err(format!(
                            "the tag {text:?} has a placeholder {name:?} that names no path parameter"
                        ));
                    }
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Parameter(name.trim_start_matches('*').to_owned()));
                    while chars.next_if(|&(next, _)| next <= at + 1 + end).is_some() {}
                }
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        let fixed: usize = parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.chars().count(),
                Part::Parameter(_) => 0,
            })
            .sum();
        if parts.is_empty() || fixed > MAX_TAG_CHARS {
            return Err(format!(
                "the tag {:?} has {fixed} characters; a tag has 1 to {MAX_TAG_CHARS}",
                text.chars().take(32).collect::<String>()
            ));
        }
        Ok(Self(parts))
    }

    /// Whether a path parameter is needed.
    pub(crate) fn has_parameters(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Parameter(_)))
    }

    /// The tag for these path parameters. A missing or empty one makes no tag: it would be another
    /// tag than the one that is invalidated.
    pub(crate) fn fill<'p>(
        &self,
        parameter: impl Fn(&str) -> Option<&'p str>,
    ) -> Result<TagName, NotStorable> {
        let mut tag = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => tag.push_str(text),
                Part::Parameter(name) => match parameter(name) {
                    Some(value) if !value.is_empty() => tag.push_str(value),
                    _ => return Err(NotStorable::TagPlaceholder),
                },
            }
        }
        TagName::user(&tag)
    }
}

/// A layer's tags, with the path parameters of the matched route.
#[cfg_attr(not(feature = "axum"), allow(clippy::needless_pass_by_ref_mut))]
pub(crate) async fn fill<B>(
    tags: &[Template],
    request: &mut Request<B>,
) -> Result<Vec<TagName>, NotStorable> {
    if !tags.iter().any(Template::has_parameters) {
        return tags.iter().map(|tag| tag.fill(|_| None)).collect();
    }
    #[cfg(feature = "axum")]
    {
        use axum::extract::{FromRequestParts, RawPathParams};
        // The extractor wants whole parts; it reads their extensions and nothing else.
        let (mut parts, ()) = Request::new(()).into_parts();
        std::mem::swap(&mut parts.extensions, request.extensions_mut());
        let parameters = RawPathParams::from_request_parts(&mut parts, &()).await;
        std::mem::swap(&mut parts.extensions, request.extensions_mut());
        let parameters = parameters.map_err(|_| NotStorable::TagPlaceholder)?;
        let value = |name: &str| {
            parameters
                .iter()
                .find_map(|(known, value)| (known == name).then_some(value))
        };
        tags.iter().map(|tag| tag.fill(value)).collect()
    }
    #[cfg(not(feature = "axum"))]
    {
        let _ = request;
        Err(NotStorable::TagPlaceholder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, NotStorable> {
        let template = Template::parse(text).unwrap();
        let tag = template.fill(|name| match name {
            "slug" => Some("hello"),
            "empty" => Some(""),
            _ => None,
        });
        tag.map(|tag| tag.shown().into_owned())
    }

    #[test]
    fn fills() {
        assert_eq!(fill("blog"), Ok("blog".into()));
        assert_eq!(fill("post:{slug}"), Ok("post:hello".into()));
        assert_eq!(fill("{slug}{*slug}"), Ok("hellohello".into()));
        assert_eq!(fill("{{slug}}"), Ok("{slug}".into()));
        assert_eq!(fill("a{{{slug}}}b"), Ok("a{hello}b".into()));
        assert_eq!(fill("post:{id}"), Err(NotStorable::TagPlaceholder));
        assert_eq!(fill("post:{empty}"), Err(NotStorable::TagPlaceholder));
    }

    #[test]
    fn refuses() {
        let long = "x".repeat(MAX_TAG_CHARS + 1);
        for text in ["", "{", "}", "{}", "a{b", "a}b", "{a b}", "{a{b}", &long] {
            assert!(Template::parse(text).is_err(), "{text:?}");
        }
    }
}
