//! What the macros refuse, with the text of each error, and corner cases that they accept.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test --test ui`, and read the difference.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
    if cfg!(feature = "axum") {
        cases.compile_fail("tests/ui/fail/axum/*.rs");
    }
    if cfg!(feature = "web") {
        cases.compile_fail("tests/ui/fail/web/*.rs");
    }
}
