//! What a text is matched with: a glob, a path or a regular expression. Each becomes a regular expression
//! that takes time in proportion to the text, whatever the pattern.

use std::fmt;

use regex::Regex;

/// How a pattern is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// `Matches`, `~`: `*` stands for any characters, `%` for the character after it.
    Glob,
    /// `MatchesPath`, `~/`: `*` stands for one segment of a path, `**` for any number of them.
    Path,
    /// `JavaRegex`, `~~`: a regular expression of the whole text.
    Regex,
}

/// A pattern, ready to match.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) manner: Manner,
    pub(super) text: Box<str>,
    regex: Regex,
}

impl Pattern {
    pub(super) fn new(manner: Manner, text: &str) -> Result<Self, regex::Error> {
        let inner = match manner {
            Manner::Glob => glob(text, ".*"),
            Manner::Path => path(text),
            Manner::Regex => {
                // By itself first: what follows would close a group that it leaves open.
                Regex::new(text)?;
                text.to_owned()
            }
        };
        let lines = if manner == Manner::Regex { "" } else { "(?s)" };
        Ok(Self {
            manner,
            text: text.into(),
            regex: Regex::new(&format!(r"{lines}\A(?:{inner})\z"))?,
        })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.manner == other.manner && self.text == other.text
    }
}

fn glob(pattern: &str, star: &str) -> String {
    let mut regex = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => regex.push_str(star),
            // At the very end it stands for itself.
            '%' => push_literal(&mut regex, characters.next().unwrap_or('%')),
            _ => push_literal(&mut regex, character),
        }
    }
    regex
}

fn push_literal(regex: &mut String, character: char) {
    regex.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
}

/// A slash at the end, of the path or of the pattern, makes no difference.
fn path(pattern: &str) -> String {
    let mut regex = String::new();
    let trimmed = pattern.strip_suffix('/').unwrap_or(pattern);
    for (place, segment) in trimmed.split('/').enumerate() {
        match segment {
            "**" if place > 0 => regex.push_str("(?:/[^/]+)*"),
            "**" => regex.push_str("[^/]*(?:/[^/]+)*"),
            _ => {
                if place > 0 {
                    regex.push('/');
                }
                let star = if segment == "*" { "[^/]+" } else { "[^/]*" };
                regex.push_str(&glob(segment, star));
            }
        }
    }
    regex.push_str("/?");
    regex
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glob => "Matches",
            Self::Path => "MatchesPath",
            Self::Regex => "JavaRegex",
        })
    }
}
