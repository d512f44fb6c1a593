//! The pages and the forms on them, which work without JavaScript: a form posts, the change is made,
//! and the browser is sent to a page that shows it.

use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use revalidate::{CacheLayer, Life, observe};

use crate::book;
use crate::db::Db;
use crate::draft::Draft;
use crate::error::Error;
use crate::html::{self, Editor};

/// The routes of the pages.
pub(crate) fn routes() -> Router<Db> {
    // A response that calls nothing cached, so its path is how it is dropped: see `book`.
    let keep_export = CacheLayer::new().life(Life::from("1h").stale_while_revalidate("1d"));
    Router::new()
        .route("/", get(home).post(add))
        .route("/contacts/{id}", get(show).post(change))
        .route("/contacts/{id}/remove", post(remove))
        .route("/contacts.csv", get(export).layer(keep_export))
        .route("/style.css", get(style))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_allowed)
}

async fn home(State(db): State<Db>) -> Result<Response, PageError> {
    home_with(&db, &Editor::default()).await
}

async fn show(
    State(db): State<Db>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Response, PageError> {
    show_with(&db, number(id)?, None).await
}

async fn add(
    State(db): State<Db>,
    form: Result<Form<Draft>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(draft) = form?;
    match book::add(&db, &draft).await {
        Ok(added) => Ok(Redirect::to(&format!("/contacts/{}", added.id)).into_response()),
        Err(error) if error.problems().any() => {
            let page = home_with(&db, &Editor::again(draft, error.problems())).await?;
            Ok((error.status(), page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn change(
    State(db): State<Db>,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Draft>, FormRejection>,
) -> Result<Response, PageError> {
    let (id, Form(draft)) = (number(id)?, form?);
    match book::change(&db, id, &draft).await {
        Ok(_) => Ok(Redirect::to(&format!("/contacts/{id}")).into_response()),
        Err(error) if error.problems().any() => {
            let page = show_with(&db, id, Some(Editor::again(draft, error.problems()))).await?;
            Ok((error.status(), page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn remove(
    State(db): State<Db>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Redirect, PageError> {
    book::remove(&db, number(id)?).await?;
    Ok(Redirect::to("/"))
}

/// `observe` tells what each cached call in it came to: the page shows it beneath.
async fn home_with(db: &Db, editor: &Editor) -> Result<Response, PageError> {
    let (read, accesses) =
        observe(async { Ok::<_, Error>((book::everybody(db).await?, book::companies(db).await?)) })
            .await;
    let (everybody, companies) = read?;
    Ok(html::home(&everybody.contacts, &companies, editor, &accesses).into_response())
}

async fn show_with(db: &Db, id: i64, editor: Option<Editor>) -> Result<Response, PageError> {
    let (profile, accesses) = observe(book::profile(db, id)).await;
    let profile = profile?.ok_or(Error::NoContact)?;
    let editor = editor.unwrap_or_else(|| Editor::of(&profile.contact));
    Ok(html::contact(&profile, &editor, &accesses).into_response())
}

/// Everybody as a file for a spreadsheet, read past the cached functions: rows that only a file
/// needs are not worth keeping twice.
async fn export(State(db): State<Db>) -> Result<impl IntoResponse, PageError> {
    let contacts = db.contacts().await.map_err(Error::from)?;
    let mut csv = String::from("id,name,email\r\n");
    for contact in &contacts {
        csv += &format!(
            "{},{},{}\r\n",
            contact.id,
            quoted(&contact.name),
            quoted(&contact.email)
        );
    }
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"contacts.csv\""),
    ];
    Ok((headers, csv))
}

/// In quotes, and never a formula: spreadsheets run a text that begins like one.
fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@']);
    format!(
        "\"{}{}\"",
        if formula { "'" } else { "" },
        text.replace('"', "\"\"")
    )
}

/// Says itself how long it keeps, as any HTTP response can: the layer stores it for that.
async fn style() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, include_str!("style.css"))
}

async fn nothing_here() -> PageError {
    PageError(
        StatusCode::NOT_FOUND,
        "there is nothing at this address".to_owned(),
    )
}

async fn not_allowed() -> PageError {
    PageError(
        StatusCode::METHOD_NOT_ALLOWED,
        "this address does not do that".to_owned(),
    )
}

/// The number of a contact in a path; what is no number is no contact.
fn number(id: Result<Path<i64>, PathRejection>) -> Result<i64, Error> {
    id.map(|Path(id)| id).map_err(|_| Error::NoContact)
}

/// An error as this part of the application shows it.
struct PageError(StatusCode, String);

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        error.log();
        Self(error.status(), error.to_string())
    }
}

impl From<FormRejection> for PageError {
    fn from(rejection: FormRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        (self.0, html::error(self.0, &self.1)).into_response()
    }
}
