//! Conditions: every operator, what binds closer, what is refused and where.

use std::collections::BTreeMap;

use cache_gateway::{Condition, Expression};
use proptest::prelude::*;

fn flow() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("request.verb", "GET"),
        ("request.header.age", "9"),
        ("request.header.empty", ""),
        ("request.header.say", r#"a "b" \c"#),
        ("proxy.pathsuffix", "/animals/cats/wild"),
        ("response.status.code", "404"),
        ("big", "9007199254740993"),
        ("yes", "True"),
        ("no", "false"),
        ("lines", "a\nb"),
    ])
}

#[track_caller]
fn holds(condition: &str) -> bool {
    let expression: Expression = condition.parse().unwrap_or_else(|error| panic!("{error}"));
    expression.holds(&flow())
}

#[test]
fn what_holds_and_what_does_not() {
    for (condition, expected) in [
        (r#"request.verb = "GET""#, true),
        (r#"request.verb == "get""#, false),
        (r#"request.verb Equals "GET""#, true),
        (r#"request.verb is "GET""#, true),
        (r#"request.verb := "get""#, true),
        (r#"request.verb equalscaseinsensitive "gEt""#, true),
        (r#"request.verb != "GET""#, false),
        (r#"request.verb IsNot "POST""#, true),
        (r#"request.verb is not "POST""#, true),
        (r#"request.verb="GET"&&big="9007199254740993""#, true),
        // Numbers.
        ("response.status.code = 404", true),
        ("response.status.code = 404.0", true),
        ("response.status.code = 404L", true),
        ("response.status.code = 404.5d", false),
        (r#"response.status.code = "404""#, true),
        (r#"response.status.code = "404.0""#, false),
        ("response.status.code >= 404", true),
        ("response.status.code > 404", false),
        ("response.status.code GreaterThan -1", true),
        ("response.status.code LesserThanOrEquals 404", true),
        ("request.header.age < 10", true),
        ("request.header.age <= 8", false),
        (r#"request.header.age < "10""#, true),
        ("request.header.age < response.status.code", true),
        ("big > 9007199254740992", true),
        // A text that is no number is neither above nor below one.
        ("request.verb > 1", false),
        (r#""inf" > 1"#, false),
        (r#""NaN" != 1"#, true),
        ("request.verb <= 1", false),
        ("request.verb != 1", true),
        (r#"request.verb > "FOO""#, true),
        // What has no value.
        ("request.header.none is null", true),
        ("request.header.none = null", true),
        ("request.header.none is not null", false),
        ("request.verb != null", true),
        ("request.header.empty is null", false),
        (r#"request.header.empty = """#, true),
        (r#"request.header.none = """#, false),
        (r#"request.header.none != "x""#, true),
        ("request.header.none < 5", false),
        ("request.header.none >= null", false),
        (r#"request.header.none Matches "*""#, false),
        (r#"request.header.none ~~ ".*""#, false),
        (r#"request.header.none =| """#, false),
        // Words.
        ("yes", true),
        ("no", false),
        ("request.verb", false),
        ("request.header.none", false),
        ("yes = true", true),
        ("no = false and not no", true),
        ("no != true", true),
        ("true", true),
        ("false or TRUE", true),
        // Patterns.
        (r#"request.verb =| "GE""#, true),
        (r#"request.verb StartsWith "ET""#, false),
        (r#"proxy.pathsuffix Matches "/animals/*""#, true),
        (r#"proxy.pathsuffix ~ "/animals""#, false),
        (r#"proxy.pathsuffix Like "*wild""#, true),
        (r#"request.verb ~ "G%*T""#, false),
        (r#""G*T" ~ "G%*T""#, true),
        (r#""G%T" ~ "G%%T""#, true),
        (r#""G.T" ~ "G%.T" and !("GET" ~ "G.T")"#, true),
        (r#"lines ~ "a*b""#, true),
        (r#"proxy.pathsuffix MatchesPath "/animals/*""#, false),
        (r#"proxy.pathsuffix MatchesPath "/animals/*/wild""#, true),
        (r#"proxy.pathsuffix ~/ "/animals/**""#, true),
        (r#"proxy.pathsuffix LikePath "/**/wild/""#, true),
        (r#""/animals" MatchesPath "/animals/**""#, true),
        (r#""/animals/" MatchesPath "/animals/*""#, false),
        (r#""/" MatchesPath "/""#, true),
        (r#""/x" MatchesPath "/""#, false),
        (r#"proxy.pathsuffix ~~ "/animals/[a-z]+/wild""#, true),
        (r#"proxy.pathsuffix ~~ "/animals""#, false),
        (r#"proxy.pathsuffix JavaRegex "x|/animals""#, false),
        (r#"response.status.code ~~ "4\d\d""#, true),
        (r#"response.status.code ~~ "4\\d\\d""#, true),
        (r#"request.header.say = "a \"b\" \c""#, true),
        (r#"request.header.say = "a \"b\" \\c""#, true),
        // `!` before `and` before `or`; parentheses before all.
        ("true or false and false", true),
        ("(true or false) and false", false),
        ("not true or true", true),
        ("not (true or true)", false),
        (r#"not request.verb = "POST""#, true),
        ("!!true && ! false", true),
        ("NOT no AND ((yes) OR no)", true),
    ] {
        assert_eq!(holds(condition), expected, "{condition}");
        let printed = condition.parse::<Expression>().unwrap().to_string();
        assert_eq!(
            holds(&printed),
            expected,
            "{condition}, printed as {printed}"
        );
    }
}

#[test]
fn what_is_no_condition_is_refused_at_its_character() {
    let deep = format!("{}true", "!".repeat(65));
    for (condition, column, words) in [
        ("", 1, "expected a variable"),
        ("request.verb =", 15, "expected a variable"),
        ("request.verb = \u{e4}\u{e4} and", 22, "(its end)"),
        ("request.verb = and", 16, "before and after an operator"),
        ("request.verb xor yes", 14, "expected an operator"),
        ("request.verb = \"GET", 20, "expected `\"`"),
        ("request.verb = 'GET'", 16, "double quotes"),
        ("(yes", 5, "expected `)`"),
        ("yes)", 4, "the end"),
        ("\"text\"", 1, "compare it"),
        ("404 or yes", 1, "compare it"),
        ("request.verv = 1", 1, "request.verv"),
        ("yes = 4x", 7, "no number"),
        ("request.verb ~~ \"a(\"", 17, "unclosed group"),
        ("request.verb ~~ \"a)(b\"", 17, "unopened group"),
        ("request.verb ~~ \"(a)\\\\1\"", 17, "backreference"),
        ("request.verb ~ yes", 16, "expected the pattern"),
        (&deep, 66, "at most 64"),
    ] {
        let error = condition.parse::<Condition>().unwrap_err();
        assert_eq!(error.column(), column, "{condition}: {error}");
        assert!(error.to_string().contains(words), "{condition}: {error}");
    }
}

#[test]
fn a_condition_knows_its_variables() {
    let condition = Condition::from("yes or (request.verb = no and !(lines ~ \"x\"))");
    let read: Vec<_> = condition.variables().map(ToString::to_string).collect();
    assert_eq!(read, ["yes", "request.verb", "no", "lines"]);
}

/// Any condition as text, and what it comes to where the only variables are `yes` and `no`.
fn condition() -> impl Strategy<Value = (String, bool)> {
    let text = "[a-c*%\"\\\\/. ]{0,4}";
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""));
    let leaf = prop_oneof![
        any::<bool>().prop_map(|value| (if value { "yes" } else { "no" }.to_owned(), value)),
        (text, text).prop_map(move |(a, b)| (format!("{} = {}", quoted(&a), quoted(&b)), a == b)),
        (any::<i32>(), any::<i32>()).prop_map(|(a, b)| (format!("{a} < {b}"), a < b)),
        (text, text).prop_map(move |(a, b)| {
            (
                format!("{} =| {}", quoted(&a), quoted(&b)),
                a.starts_with(&b),
            )
        }),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|(a, value)| (format!("not ({a})"), !value)),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| (format!("({}) && ({})", a.0, b.0), a.1 && b.1)),
            (inner.clone(), inner).prop_map(|(a, b)| (format!("({})||({})", a.0, b.0), a.1 || b.1)),
        ]
    })
}

proptest! {
    #[test]
    fn printed_and_read_again_it_is_the_same((text, expected) in condition()) {
        let read: Expression = text.parse().unwrap();
        let again: Expression = read.to_string().parse().unwrap();
        prop_assert_eq!(again.to_string(), read.to_string());
        let flow = BTreeMap::from([("yes", "true"), ("no", "false")]);
        prop_assert_eq!(read.holds(&flow), expected);
        prop_assert_eq!(again.holds(&flow), expected, "{} as {}", text, read);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z.\"=!~()&| %*\\\\0-9-]{0,40}") {
        if let Ok(expression) = text.parse::<Expression>() {
            let _ = expression.holds(&flow());
        }
    }
}
