//! The book as JSON, under `/api`. Errors are JSON too: `{"error": ".."}`, with `fields` where fields
//! of the contact are to blame.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use revalidate::{CachePolicy, web_method};
use serde::Serialize;

use crate::book;
use crate::db::{Contact, Db};
use crate::draft::{Draft, Problems};
use crate::error::Error;

/// The routes beneath `/api`.
pub(crate) fn routes() -> Router<Db> {
    Router::new()
        .route("/contacts", get(list).post(add))
        .route("/contacts/{id}", get(show).put(change).delete(remove))
        .route("/companies/{domain}", get(company))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing at this path") })
        .layer(map_response(errors_as_json))
}

/// A response that says how it may be cached: the layer around the router keeps it for ten minutes,
/// and drops it with `contacts`, the tag of the function it calls.
async fn list(State(db): State<Db>) -> Result<impl IntoResponse, ApiError> {
    let everybody = book::everybody(&db).await?;
    let body = Json(&everybody.contacts).into_response();
    Ok((CachePolicy::ttl("10m"), body))
}

/// Likewise. Errors are not stored, so somebody who is added is found at once.
async fn show(
    State(db): State<Db>,
    Path(id): Path<i64>,
) -> Result<(CachePolicy, Json<Contact>), ApiError> {
    let contact = book::contact(&db, id).await?.ok_or(Error::NoContact)?;
    Ok((CachePolicy::ttl("1h"), Json(contact)))
}

/// A cached handler: a function like any other, with its arguments for a key. `State` is no part of
/// it. Its value is kept, not its response, so the layer has nothing to store.
#[web_method(cache(ttl = "1h"))]
async fn company(
    State(db): State<Db>,
    Path(domain): Path<String>,
) -> Result<Json<Arc<[Contact]>>, ApiError> {
    let people = book::people(&db, &domain).await?;
    if people.is_empty() {
        return Err(Error::NoCompany.into());
    }
    Ok(Json(people))
}

async fn add(
    State(db): State<Db>,
    Json(draft): Json<Draft>,
) -> Result<impl IntoResponse, ApiError> {
    let added = book::add(&db, &draft).await?;
    let location = format!("/api/contacts/{}", added.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(added)))
}

async fn change(
    State(db): State<Db>,
    Path(id): Path<i64>,
    Json(draft): Json<Draft>,
) -> Result<Json<Contact>, ApiError> {
    Ok(Json(book::change(&db, id, &draft).await?))
}

async fn remove(State(db): State<Db>, Path(id): Path<i64>) -> Result<StatusCode, ApiError> {
    book::remove(&db, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An error as this part of the application shows it.
struct ApiError(Error);

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[derive(Serialize)]
struct ErrorBody {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Problems>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.log();
        let problems = self.0.problems();
        let body = ErrorBody {
            error: self.0.to_string(),
            fields: problems.any().then_some(problems),
        };
        (self.0.status(), Json(body)).into_response()
    }
}

/// What axum itself refuses (a path that is no number, a body that is no JSON or too large, a method
/// that is not allowed) it says in plain text; this puts the text into our form.
async fn errors_as_json(response: Response) -> Response {
    let status = response.status();
    let json = HeaderValue::from_static("application/json");
    let fails = status.is_client_error() || status.is_server_error();
    if !fails || response.headers().get(CONTENT_TYPE) == Some(&json) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, 4096).await.unwrap_or_default();
    let error = match String::from_utf8_lossy(&text).trim() {
        "" => status.canonical_reason().unwrap_or("Error").to_lowercase(),
        text => text.to_owned(),
    };
    let (_, body) = Json(ErrorBody {
        error,
        fields: None,
    })
    .into_response()
    .into_parts();
    parts.headers.insert(CONTENT_TYPE, json);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::new(body))
}
