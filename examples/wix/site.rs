//! The routes: the page that calls the methods, the methods, the blog, and signing in.

use std::error::Error;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use revalidate::{CacheLayer, CachePolicy, Caller, WebMethods};
use serde::Deserialize;

use crate::visitors::{TOKEN, Visitors};
use crate::{blog, methods};

/// All of it.
pub(crate) fn app(visitors: &Visitors) -> Result<Router, Box<dyn Error>> {
    let known = visitors.clone();
    let methods = WebMethods::new()
        .method_as::<methods::cached_multiply>("cachedMultiply")
        .method_as::<methods::invalidate_multiply>("invalidateMultiply")
        .method_as::<methods::my_query_contacts>("myQueryContacts")
        .method_as::<methods::add_contact>("addContact")
        .method_as::<methods::set_crm_down>("setCrmDown")
        .method_as::<methods::who_am_i>("whoAmI")
        .invalidate_cache_method()
        .authorise(move |request| {
            let caller = known.caller(request);
            async move { caller }
        })
        .build()?;
    Ok(Router::new()
        .route("/", get(home))
        .route("/style.css", get(style))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .with_state(visitors.clone())
        .merge(blog::routes())
        .nest("/methods", methods)
        .layer(CacheLayer::new()))
}

async fn home() -> (CachePolicy, Html<&'static str>) {
    (CachePolicy::ttl("1h"), Html(include_str!("page.html")))
}

async fn style() -> impl IntoResponse {
    let text = concat!(
        include_str!("../contacts/style.css"),
        include_str!("style.css")
    );
    (
        CachePolicy::ttl("1h"),
        [(CONTENT_TYPE, "text/css; charset=utf-8")],
        text,
    )
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
}

/// The cookie goes to this site alone, to no script, and not along with what another site sends here.
async fn sign_in(
    State(visitors): State<Visitors>,
    Form(SignIn { token }): Form<SignIn>,
) -> impl IntoResponse {
    if visitors.whose(&token) == Caller::anonymous() {
        return (StatusCode::FORBIDDEN, "that is nobody's token").into_response();
    }
    let cookie = format!("{TOKEN}={token}; Path=/; HttpOnly; SameSite=Strict");
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

async fn sign_out() -> impl IntoResponse {
    let cookie = format!("{TOKEN}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    ([(SET_COOKIE, cookie)], Redirect::to("/"))
}
