//! What browsers import: an ES module with a function for each method, and its types.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use cache_core::Life;
use cache_tower::{CacheLayer, CachePolicy};
use http::header::CONTENT_TYPE;

/// What the client is served as.
pub(crate) const FILES: [&str; 2] = ["client.js", "client.d.ts"];

/// What the client has to know of a method.
#[derive(Clone, Debug)]
pub struct Signature<'a> {
    /// What it is called by.
    pub name: &'a str,
    /// The text of the doc comment.
    pub docs: &'a str,
    /// Names in Rust, and types in TypeScript.
    pub arguments: Vec<(&'a str, Cow<'static, str>)>,
    /// The type of its value.
    pub returns: Cow<'static, str>,
    /// Whether it also answers a GET.
    pub is_cached: bool,
}

/// `client.js` and `client.d.ts`, with an `ETag` and kept as long as the cache has room: they are what they
/// are until the process ends.
pub fn routes(methods: &[Signature<'_>], layer: CacheLayer) -> Router {
    // TypeScript's files have no media type of their own: `.ts` is a video's.
    let files = [
        (
            FILES[0],
            "text/javascript; charset=utf-8",
            javascript(methods),
        ),
        (FILES[1], "text/plain; charset=utf-8", typescript(methods)),
    ];
    let mut routes = Router::new();
    for (path, kind, text) in files {
        let text = Bytes::from(text);
        let file = move || async move {
            (
                CachePolicy::ttl(Life::WEEK).public(),
                [(CONTENT_TYPE, kind)],
                text,
            )
        };
        routes = routes.route(&format!("/{path}"), get(file));
    }
    routes.layer(layer)
}

/// The module `client.js`.
fn javascript(methods: &[Signature<'_>]) -> String {
    let mut module = include_str!("client.js").to_owned();
    write(&mut module, methods, |method, local, module| {
        let Signature {
            name, is_cached, ..
        } = method;
        let arguments = method.locals().join(", ");
        write!(
            module,
            "async function {local}({arguments}) {{\n  return $call({}, {is_cached}, [{arguments}]);\n}}\n",
            Text(name)
        )
    });
    module
}

/// Its types, `client.d.ts`.
fn typescript(methods: &[Signature<'_>]) -> String {
    let mut module = include_str!("client.d.ts").to_owned();
    write(&mut module, methods, |method, local, module| {
        let first_optional = method.first_optional();
        let arguments = method.locals().into_iter().zip(&method.arguments);
        let arguments = arguments.enumerate().map(|(at, (local, (_, of)))| {
            let optional = if at < first_optional { "" } else { "?" };
            format!("{local}{optional}: {of}")
        });
        let arguments = arguments.collect::<Vec<_>>().join(", ");
        writeln!(
            module,
            "declare function {local}({arguments}): Promise<{}>;",
            method.returns
        )
    });
    module
}

/// Writes each method with its comment. One whose name cannot be a function's is exported by that name
/// nevertheless: `import { delete as remove }`, `import { "price-of" as priceOf }`.
fn write(
    module: &mut String,
    methods: &[Signature<'_>],
    function: impl Fn(&Signature<'_>, &str, &mut String) -> fmt::Result,
) {
    for (at, method) in methods.iter().enumerate() {
        let name = method.name;
        let taken = RESERVED.contains(&name) || USED.contains(&name);
        let mut write_one = || {
            write!(module, "\n{}", Comment(method))?;
            if is_identifier(name) && !taken {
                module.push_str("export ");
                return function(method, name, module);
            }
            let local = format!("$method{at}");
            function(method, &local, module)?;
            match is_identifier(name) {
                true => writeln!(module, "export {{ {local} as {name} }};"),
                false => writeln!(module, "export {{ {local} as {} }};", Text(name)),
            }
        };
        write_one().expect("a `String` takes everything");
    }
}

impl Signature<'_> {
    /// The arguments as JavaScript names them: where Rust's name is reserved there, with a `_` after it.
    fn locals(&self) -> Vec<String> {
        let mut locals = Vec::with_capacity(self.arguments.len());
        for (name, _) in &self.arguments {
            let mut local = (*name).to_owned();
            while RESERVED.contains(&local.as_str()) || locals.contains(&local) {
                local.push('_');
            }
            locals.push(local);
        }
        locals
    }

    /// The arguments from here on may be left out.
    fn first_optional(&self) -> usize {
        let required = |(_, of): &(_, Cow<str>)| !of.ends_with("| null");
        self.arguments
            .iter()
            .rposition(required)
            .map_or(0, |at| at + 1)
    }
}

/// The doc comment of a method.
struct Comment<'a>(&'a Signature<'a>);

impl Display for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Signature {
            docs,
            arguments,
            returns,
            ..
        } = self.0;
        let mut text = String::new();
        for line in docs.trim().lines() {
            writeln!(text, "{}", line.trim_end())?;
        }
        for (local, (_, of)) in self.0.locals().iter().zip(arguments) {
            writeln!(text, "@param {{{of}}} {local}")?;
        }
        writeln!(text, "@returns {{Promise<{returns}>}}")?;
        f.write_str("/**\n")?;
        for line in text.replace("*/", "*\\/").lines() {
            writeln!(f, "{}", format_args!(" * {line}").to_string().trim_end())?;
        }
        f.write_str(" */\n")
    }
}

/// A text as a literal.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// Whether a name is made of what is in names everywhere. Others are exported as text.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What no function can be exported as: a module with a `then` is taken for a promise by `import()` and
/// `await`, which call it; and `client.js` exports an error of its own.
pub(crate) const NOT_EXPORTED: [&str; 2] = ["then", "WebMethodError"];

/// What `client.js` itself says by name: a function of such a name would be taken for it.
const USED: [&str; 1] = ["globalThis"];

/// What names nothing in a module (ECMAScript 2024, sections 12.7.2 and 13.1.1).
const RESERVED: [&str; 48] = [
    "arguments",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn method<'a>(name: &'a str, arguments: &[(&'a str, &str)]) -> Signature<'a> {
        let arguments = arguments
            .iter()
            .map(|&(name, of)| (name, of.to_owned().into()));
        Signature {
            name,
            docs: "",
            arguments: arguments.collect(),
            returns: "number".into(),
            is_cached: false,
        }
    }

    /// What is written after the part that is always the same.
    fn written(methods: &[Signature<'_>]) -> (String, String) {
        let after = |module: String, head: &str| module.strip_prefix(head).unwrap().to_owned();
        (
            after(javascript(methods), include_str!("client.js")),
            after(typescript(methods), include_str!("client.d.ts")),
        )
    }

    #[test]
    fn a_method_is_a_function_of_its_name() {
        let multiply = Signature {
            docs: " The product.\n\n Of *two*: a */ b.\n",
            is_cached: true,
            ..method("multiply", &[("a", "number"), ("b", "number | null")])
        };
        let (javascript, typescript) = written(&[multiply]);
        let comment = "
/**
 * The product.
 *
 *  Of *two*: a *\\/ b.
 * @param {number} a
 * @param {number | null} b
 * @returns {Promise<number>}
 */
";
        assert_eq!(
            javascript,
            format!(
                "{comment}export async function multiply(a, b) {{\n  return $call(\"multiply\", true, [a, b]);\n}}\n"
            )
        );
        assert_eq!(
            typescript,
            format!(
                "{comment}export declare function multiply(a: number, b?: number | null): Promise<number>;\n"
            )
        );
    }

    #[test]
    fn names_that_are_no_functions_are_exported_nevertheless() {
        for (name, exported) in [
            ("delete", "delete"),
            ("default", "default"),
            ("await", "await"),
            ("globalThis", "globalThis"),
            ("price-of", "\"price-of\""),
            ("2nd", "\"2nd\""),
            ("größe", "\"größe\""),
            ("$call", "\"$call\""),
            ("a\"b", "\"a\\\"b\""),
        ] {
            let (javascript, typescript) = written(&[method("plain", &[]), method(name, &[])]);
            let ends = format!("export {{ $method1 as {exported} }};\n");
            assert!(
                javascript.contains("\nasync function $method1() {\n"),
                "{javascript}"
            );
            assert!(javascript.ends_with(&ends), "{javascript}");
            assert!(
                typescript.contains("\ndeclare function $method1(): Promise<number>;\n"),
                "{typescript}"
            );
            assert!(typescript.ends_with(&ends), "{typescript}");
        }
    }

    #[test]
    fn arguments_are_named_as_javascript_lets() {
        let arguments = [
            ("in", "number"),
            ("in_", "number"),
            ("new", "string"),
            ("größe", "number"),
        ];
        let (javascript, typescript) = written(&[method("f", &arguments)]);
        assert!(
            javascript.contains("f(in_, in__, new_, größe)"),
            "{javascript}"
        );
        assert!(javascript.contains("@param {string} new_"), "{javascript}");
        assert!(
            typescript.contains("f(in_: number, in__: number, new_: string, größe: number)"),
            "{typescript}"
        );
    }

    #[test]
    fn only_the_last_arguments_may_be_left_out() {
        let option = "string | null";
        let (_, typescript) = written(&[method(
            "f",
            &[("a", option), ("b", "string"), ("c", option), ("d", option)],
        )]);
        let expected = "f(a: string | null, b: string, c?: string | null, d?: string | null)";
        assert!(typescript.contains(expected), "{typescript}");
    }
}
