//! A gateway's policies in front of a service that is reached over HTTP: its clients' tokens and its
//! responses are cached as the XML files in `policies` say.
//!
//! `OPERATOR_KEY=secret cargo run --release --example gateway`
//!
//! | variable | what | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on; port 0 takes a free one | `127.0.0.1:3002` |
//! | `OPERATOR_KEY` | what `X-Operator-Key` holds where `X-Flush` is obeyed | nobody may flush |
//!
//! ```text
//! $ curl 'http://127.0.0.1:3002/weather?city=Oslo&client_id=ann'        a token is issued, and kept
//! report 1: sunny in Oslo, asked with ann-1
//! $ curl 'http://127.0.0.1:3002/weather?city=Oslo&client_id=bob'        the stored response
//! report 1: sunny in Oslo, asked with ann-1
//! $ curl 'http://127.0.0.1:3002/weather?city=Rome&client_id=ann'        a new response, the kept token
//! report 2: sunny in Rome, asked with ann-1
//! $ curl -H 'bypass-cache: true' 'http://127.0.0.1:3002/weather?city=Rome&client_id=bob'
//! report 3: sunny in Rome, asked with bob-2
//! $ curl -X DELETE 'http://127.0.0.1:3002/token?client_id=ann'          with what was made with it
//! $ curl 'http://127.0.0.1:3002/weather?city=Oslo&client_id=ann'
//! report 4: sunny in Oslo, asked with ann-3
//! $ curl -H 'x-flush: Rome' 'http://127.0.0.1:3002/weather?city=Rome&client_id=bob'
//! {"fault":{"detail":{"errorcode":"policies.flushbyheader.NotAuthorised"},"faultstring":"This request may not flush by x-flush."}}
//! $ curl -H 'x-flush: Rome' -H 'x-operator-key: secret' 'http://127.0.0.1:3002/weather?city=Rome&client_id=bob'
//! report 5: sunny in Rome, asked with bob-2
//! ```

mod upstream;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{BoxError, Extension, Router};
use examples::origin::Origin;
use examples::stop;
use revalidate::Cache;
use revalidate::gateway::{
    CacheResource, Environment, Flow, InvalidateCache, LookupCache, PopulateCache, ResponseCache,
};
use serde::Deserialize;
use tokio::net::TcpListener;

/// What there is to ask for.
const HOME: &str = "\
GET    /weather?city=Oslo&client_id=ann   a report, asked with ann's token; both are kept
         bypass-cache: true               asks anew
         x-flush: Oslo                    drops the city's reports first, for who has the x-operator-key
DELETE /token?client_id=ann               drops ann's token, and the reports that were asked with it
";

/// How long the service has to begin its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A token is a line.
const MAX_TOKEN: usize = 1 << 10;

fn main() -> ExitCode {
    examples::run("gateway", run())
}

async fn run() -> Result<(), BoxError> {
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3002".to_owned());
    let origin = Origin::new(&upstream::start().await?, PATIENCE)?;
    let app = app(origin, env::var("OPERATOR_KEY").ok())?;
    let listener = TcpListener::bind(&listen)
        .await
        .map_err(|error| format!("LISTEN {listen}: {error}"))?;
    let stopping = stop::asked()?;
    eprintln!("gateway: ready on http://{}", listener.local_addr()?);
    Ok(examples::serve("gateway", listener, app, stopping).await?)
}

/// The policies where they are deployed: what they name that is not there ends the start.
fn app(origin: Origin, operator_key: Option<String>) -> Result<Router, BoxError> {
    let environment = Environment::builder("acme", "test")
        .cache(Cache::builder().max_bytes(32 << 20).build())
        .resource(CacheResource::new("tokens").max_value_bytes(MAX_TOKEN))
        .build()?;
    let proxy = environment.proxy("weather").revision("16");

    let find = LookupCache::from_xml(include_str!("policies/Find-Token.xml"))?;
    let keep = PopulateCache::from_xml(include_str!("policies/Keep-Token.xml"))?;
    let drop = InvalidateCache::from_xml(include_str!("policies/Drop-Token.xml"))?;
    // One route alone is behind it.
    let weather =
        ResponseCache::from_xml(include_str!("policies/Weather.xml"))?.answer_every_uri_alike();
    let flush = InvalidateCache::from_xml(include_str!("policies/Flush-City.xml"))?;

    let is_operator = move |request: &axum::http::request::Parts| {
        let said = request.headers.get("x-operator-key");
        let known = operator_key
            .as_ref()
            .is_some_and(|key| said.is_some_and(|said| said == key));
        async move { known }
    };
    let found = r#"lookupcache.Find-Token.cachehit = "false""#;
    let weather = Router::new()
        .route("/weather", get(report))
        .layer(proxy.layer(keep)?.when(found))
        .layer(proxy.layer(find)?)
        // Around the tokens: a response that is stored needs none.
        .layer(proxy.layer(weather)?)
        .layer(proxy.flush_by_header("x-flush", flush, is_operator)?);
    let tokens = Router::new()
        .route("/token", delete(|| async { StatusCode::NO_CONTENT }))
        .layer(proxy.layer(drop)?);
    let home = Router::new().route("/", get(|| async { HOME }));
    Ok(home.merge(weather).merge(tokens).with_state(origin))
}

#[derive(Deserialize)]
struct Client {
    client_id: String,
}

/// Sends a request on with its client's token: the one that was looked up, or else a new one, which is
/// then stored.
async fn report(
    State(origin): State<Origin>,
    Extension(flow): Extension<Flow>,
    Query(client): Query<Client>,
    mut request: Request,
) -> Response {
    let token = match flow.get("flow.token") {
        Some(token) => token,
        None => match issued(&origin, &client.client_id).await {
            Ok(token) => token,
            Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        },
    };
    let Ok(bearer) = HeaderValue::try_from(format!("Bearer {token}")) else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if let Err(error) = flow.set("flow.token", token) {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    }
    request.headers_mut().insert(AUTHORIZATION, bearer);
    origin.answer(request).await
}

/// A new token of the service's.
async fn issued(origin: &Origin, client: &str) -> Result<String, BoxError> {
    let id: String = client.chars().filter(char::is_ascii_alphanumeric).collect();
    let uri: Uri = format!("/token?client_id={id}").parse()?;
    let request = Request::post(uri).body(Body::empty())?;
    let answer = origin.clone().send(request).await?;
    if !answer.status().is_success() {
        return Err(format!("no token: {}", answer.status()).into());
    }
    let token = to_bytes(Body::new(answer.into_body()), MAX_TOKEN).await?;
    Ok(String::from_utf8(token.into())?)
}
