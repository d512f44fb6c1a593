//! The pages, as a router of Wix answers them: each outcome says what it is, and only `ok` can be kept.

use axum::Router;
use axum::extract::Path;
use axum::response::Html;
use axum::routing::get;
use revalidate::outputs::{Output, forbidden, not_found, ok, redirect};

/// The routes of the pages.
pub(crate) fn routes() -> Router {
    Router::new().route("/blog/{slug}", get(post))
}

/// A post. `invalidateCache([{ tag: "blog" }])` drops them all, `post:hello` one.
async fn post(Path(slug): Path<String>) -> Output {
    match slug.as_str() {
        "hello" => ok(page(
            "Hello",
            "This page is kept for an hour, or until its tags are dropped.",
        ))
        .cache(["blog", "post:hello"], "1h"),
        "news" => ok(page(
            "News",
            "This one names no lifetime: it is kept for a week.",
        ))
        .cache_tags(["blog", "post:news"]),
        "today" => ok(page(
            "Today",
            "This one does not say that it may be kept: it is made each time.",
        ))
        .into(),
        "1" => redirect("/blog/hello"),
        "draft" => forbidden().page(page("Not yet", "Nobody may read this.")),
        _ => not_found().page(page("Nothing here", "There is no such post.")),
    }
}

/// The texts are this file's own, so nothing in them is to be escaped.
fn page(title: &str, text: &str) -> Html<String> {
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n<nav><a href=\"/\">Web methods</a></nav>\n\
         <main><h1>{title}</h1>\n<p>{text}</p></main>\n</html>\n"
    ))
}
