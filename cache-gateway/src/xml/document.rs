//! A document becomes a tree. There are no document type declarations, and so no entities but XML's own:
//! nothing is fetched, and nothing grows.

use std::borrow::Cow;

use roxmltree::{Document, Error};

use super::XmlError;
use super::element::Element;

/// SAP's namespace of policies; Apigee's have none.
const SAP: &str = "http://www.sap.com/apimgmt";

/// Reads a document's root.
pub(super) fn read<T>(
    xml: &str,
    root: impl FnOnce(Element<'_, '_>) -> Result<T, XmlError>,
) -> Result<T, XmlError> {
    let xml = without_late_declaration(xml);
    let document = Document::parse(&xml).map_err(malformed)?;
    for node in document.descendants().filter(|node| node.is_element()) {
        let namespace = node.tag_name().namespace();
        let of_root = document.root_element().tag_name().namespace();
        if namespace != of_root || !matches!(namespace, None | Some(SAP)) {
            let namespace = namespace.unwrap_or("none");
            return Err(Element::new(node).error(format_args!(
                "is of the namespace {namespace:?}: a policy and all in it have either none or {SAP:?}"
            )));
        }
    }
    root(Element::new(document.root_element()))
}

fn malformed(error: Error) -> XmlError {
    let position = error.pos();
    XmlError {
        line: position.row,
        column: position.col,
        problem: match error {
            Error::DtdDetected => "a document type declaration is not read: leave it out".into(),
            error => format!("the document is not well-formed XML: {error}"),
        },
    }
}

/// SAP's pages show comments before the XML declaration, which XML does not allow. Such a declaration is
/// made spaces, so that all else stays in its place.
fn without_late_declaration(xml: &str) -> Cow<'_, str> {
    const BEGIN: &str = "<?xml";
    let mut rest = xml.trim_start_matches('\u{feff}').trim_start();
    while let Some(comment) = rest.strip_prefix("<!--") {
        match comment.split_once("-->") {
            Some((_, after)) => rest = after.trim_start(),
            None => return xml.into(),
        }
    }
    let start = xml.len() - rest.len();
    let is_declaration = |rest: &str| {
        rest.strip_prefix(BEGIN)
            .is_some_and(|rest| rest.starts_with(char::is_whitespace))
    };
    match rest.split_once("?>") {
        Some((declaration, after)) if start > 0 && is_declaration(rest) => {
            let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
            let blanks = declaration.chars().chain("?>".chars()).map(blank);
            let mut whole = xml[..start].to_owned();
            whole.extend(blanks);
            whole.push_str(after);
            whole.into()
        }
        _ => xml.into(),
    }
}
