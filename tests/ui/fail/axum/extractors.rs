use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use revalidate::web_method;

struct Unknown;

impl<S: Sync> FromRequestParts<S> for Unknown {
    type Rejection = ();
    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, ()> {
        Ok(Self)
    }
}

#[derive(serde::Deserialize)]
struct Filter {
    #[allow(dead_code)]
    text: String,
}

#[web_method(cache(ttl = 60))]
async fn unknown(_unknown: Unknown) -> String {
    String::new()
}

#[web_method(cache(ttl = 60))]
async fn only_read(Query(_filter): Query<Filter>) -> String {
    String::new()
}

#[web_method(cache(ttl = 60))]
async fn response_in_tuple() -> (axum::http::StatusCode, axum::response::Response) {
    unimplemented!()
}

fn main() {}
