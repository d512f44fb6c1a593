//! The service behind the gateway: it issues tokens, and reports to those who have one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::net::TcpListener;

/// How often it was asked for each.
#[derive(Debug, Default)]
struct Service {
    tokens: AtomicU32,
    reports: AtomicU32,
}

/// Starts it on a free port; it ends with the process.
pub(crate) async fn start() -> Result<Uri, axum::BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}", listener.local_addr()?).parse()?;
    let app = Router::new()
        .route("/token", post(token))
        .route("/weather", get(weather))
        .with_state(Arc::default());
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(uri)
}

#[derive(Deserialize)]
struct Client {
    client_id: String,
}

async fn token(State(service): State<Arc<Service>>, Query(client): Query<Client>) -> String {
    let number = service.tokens.fetch_add(1, Ordering::Relaxed) + 1;
    format!("{}-{number}", client.client_id)
}

#[derive(Deserialize)]
struct Place {
    city: String,
}

async fn weather(
    State(service): State<Arc<Service>>,
    Query(place): Query<Place>,
    headers: HeaderMap,
) -> Result<String, StatusCode> {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer "));
    let token = token.ok_or(StatusCode::UNAUTHORIZED)?;
    let number = service.reports.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(format!(
        "report {number}: sunny in {}, asked with {token}\n",
        place.city
    ))
}
