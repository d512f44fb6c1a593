use axum::Extension;
use axum::http::HeaderMap;
use revalidate::web_method;

#[derive(Clone)]
struct User(u32);

#[web_method(cache(ttl = 60))]
async fn extension(Extension(user): Extension<User>) -> String {
    user.0.to_string()
}

#[web_method(cache(ttl = 60))]
async fn headers(all: HeaderMap) -> String {
    format!("{}", all.len())
}

#[web_method(cache(ttl = 60))]
async fn optional(user: Option<Extension<User>>) -> String {
    user.is_some().to_string()
}

fn main() {}
