//! An element: what it may have is said first, and asked for then.

use std::fmt;
use std::str::FromStr;

use roxmltree::{Attribute, Node};

use super::XmlError;
use crate::{Value, Variable};

/// An element of a document.
#[derive(Clone, Copy)]
pub(super) struct Element<'a, 'input>(Node<'a, 'input>);

impl<'a, 'input> Element<'a, 'input> {
    pub(super) const fn new(node: Node<'a, 'input>) -> Self {
        Self(node)
    }

    pub(super) fn name(self) -> &'input str {
        self.0.tag_name().name()
    }

    /// What is wrong with it: `<Name> problem`.
    pub(super) fn error(self, problem: impl fmt::Display) -> XmlError {
        self.error_at(self.0.range().start, problem)
    }

    fn error_at(self, position: usize, problem: impl fmt::Display) -> XmlError {
        let position = self.0.document().text_pos_at(position);
        XmlError {
            line: position.row,
            column: position.col,
            problem: format!("<{}> {problem}", self.name()),
        }
    }

    /// Refuses every attribute but these, every element within it but these, and one of these that is
    /// there twice, but for `repeated`.
    pub(super) fn allow(
        self,
        attributes: &[&str],
        elements: &[&str],
        repeated: &str,
    ) -> Result<(), XmlError> {
        for attribute in self.0.attributes() {
            if attribute.namespace().is_some() || !attributes.contains(&attribute.name()) {
                let what = Known("attribute", attributes);
                let problem = format_args!("has an attribute `{}`: {what}", attribute.name());
                return Err(self.error_at(attribute.range().start, problem));
            }
        }
        let mut seen = Vec::new();
        for node in self.0.children() {
            if node.is_text()
                && !elements.is_empty()
                && !node.text().unwrap_or("").trim().is_empty()
            {
                let what = Known("element", elements);
                return Err(self.error_at(node.range().start, format_args!("has a text: {what}")));
            }
            if !node.is_element() {
                continue;
            }
            let (child, what) = (Self(node), Known("element", elements));
            if !elements.contains(&child.name()) {
                let problem = format_args!("has no place in <{}>: {what}", self.name());
                return Err(child.error(problem));
            }
            if seen.contains(&child.name()) && child.name() != repeated {
                return Err(child.error(format_args!("is in <{}> twice", self.name())));
            }
            seen.push(child.name());
        }
        Ok(())
    }

    /// The elements of this name within it.
    pub(super) fn all(self, name: &str) -> impl Iterator<Item = Self> {
        let named = move |element: &Self| element.name() == name;
        self.0
            .children()
            .filter(Node::is_element)
            .map(Self)
            .filter(named)
    }

    /// The element of this name within it.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        self.all(name).next()
    }

    pub(super) fn required(self, name: &str) -> Result<Self, XmlError> {
        self.child(name)
            .ok_or_else(|| self.error(format_args!("needs a <{name}>")))
    }

    fn attribute(self, name: &str) -> Option<Attribute<'a, 'input>> {
        self.0.attribute_node(name)
    }

    /// The value of an attribute.
    pub(super) fn parsed_attribute<T: FromStr<Err: fmt::Display>>(
        self,
        name: &str,
    ) -> Result<Option<T>, XmlError> {
        let Some(attribute) = self.attribute(name) else {
            return Ok(None);
        };
        let parsed = attribute.value().parse().map(Some);
        parsed.map_err(|error| {
            self.error_at(attribute.range().start, format_args!("`{name}`: {error}"))
        })
    }

    /// Its text without the spaces around it; `None` where there is nothing else.
    pub(super) fn text(self) -> Option<String> {
        let texts = self.0.children().filter(Node::is_text);
        let text: String = texts.filter_map(|node| node.text()).collect();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Its text as what it stands for; `None` where it is empty, as gateways' templates leave it.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(self) -> Result<Option<T>, XmlError> {
        self.allow(&[], &[], "")?;
        self.parsed_text()
    }

    fn parsed_text<T: FromStr<Err: fmt::Display>>(self) -> Result<Option<T>, XmlError> {
        let Some(text) = self.text() else {
            return Ok(None);
        };
        let parsed = text.parse().map(Some);
        parsed.map_err(|error| self.error(format_args!("does not have a value: {error}")))
    }

    /// Its text, which must be there.
    pub(super) fn parsed_required<T: FromStr<Err: fmt::Display>>(self) -> Result<T, XmlError> {
        self.parsed()?.ok_or_else(|| self.error("is empty"))
    }

    /// The variable that it refers to.
    pub(super) fn reference(self) -> Result<Option<Variable>, XmlError> {
        match self.attribute("ref") {
            Some(attribute) if !attribute.value().is_empty() => self.parsed_attribute("ref"),
            _ => Ok(None),
        }
    }

    /// Its text or its `ref`, with the text for where the variable has no value. `attributes` are those
    /// that it has besides.
    pub(super) fn value<T: FromStr<Err: fmt::Display>>(
        self,
        attributes: &[&str],
    ) -> Result<Option<Value<T>>, XmlError> {
        let allowed: Vec<_> = attributes.iter().copied().chain(["ref"]).collect();
        self.allow(&allowed, &[], "")?;
        Ok(match (self.reference()?, self.parsed_text()?) {
            (Some(variable), or) => Some(Value::Ref { variable, or }),
            (None, literal) => literal.map(Value::Literal),
        })
    }

    /// Refuses it unless there is nothing in it.
    pub(super) fn is_empty(self, why: &str) -> Result<(), XmlError> {
        let holds = |node: Node<'_, '_>| {
            node.is_element() || (node.is_text() && !node.text().unwrap_or("").trim().is_empty())
        };
        if self.0.children().any(holds) {
            return Err(self.error(why));
        }
        Ok(())
    }
}

/// What is allowed.
struct Known<'a>(&'static str, &'a [&'a str]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            [] => write!(f, "no {} is allowed there", self.0),
            names => write!(f, "the {}s there are {}", self.0, names.join(", ")),
        }
    }
}
