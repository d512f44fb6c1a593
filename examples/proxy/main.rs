//! A caching reverse proxy: one origin behind the layer that follows RFC 9111 to the letter.
//!
//! `LISTEN=127.0.0.1:8080 ORIGIN=http://127.0.0.1:3000 cargo run --release --example proxy`
//!
//! | variable | what | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on; port 0 takes a free one | |
//! | `ORIGIN` | where requests go on to: `http://host` or `http://host:port` | |
//! | `WRAP` | what the layer is around: a `service` that can fail, or an axum `router` | `service` |
//! | `TIMEOUT` | the seconds that the origin has to begin its answer | `30` |

mod hop;

use std::fmt::Display;
use std::pin::pin;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;
use std::{env, io};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use axum::serve::{Listener, ListenerExt};
use axum::{BoxError, Router};
use examples::origin::{MAX_HEADERS, Origin};
use examples::stop;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use revalidate::{Cache, CacheLayer};
use tokio::net::TcpListener;
use tokio::select;
use tokio::time::timeout;
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceExt};

/// Room for thousands of responses of ordinary size.
const CACHE_BYTES: u64 = 256 << 20;
/// How long requests that still run may take when the process is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// All of it behind the connections of clients.
type Proxy = BoxCloneService<Request, Response, BoxError>;

fn main() -> ExitCode {
    examples::run("proxy", run())
}

async fn run() -> Result<(), BoxError> {
    let listen: String = setting("LISTEN", None)?;
    let patience = Duration::from_secs(setting("TIMEOUT", Some("30"))?);
    let origin = Origin::new(&setting("ORIGIN", None)?, patience)?;
    let proxy = proxy(origin, setting::<String>("WRAP", Some("service"))?.as_str())?;
    let listener = TcpListener::bind(&listen)
        .await
        .map_err(|error| format!("LISTEN {listen}: {error}"))?;
    Ok(serve(listener, proxy).await?)
}

fn setting<T: FromStr<Err: Display>>(name: &str, default: Option<&str>) -> Result<T, String> {
    let set = env::var(name).or_else(|error| default.map(str::to_owned).ok_or(error));
    let text = set.map_err(|error| format!("{name}: {error}"))?;
    text.parse()
        .map_err(|error| format!("{name} {text}: {error}"))
}

fn proxy(origin: Origin, wrap: &str) -> Result<Proxy, String> {
    let cache = Cache::builder().max_bytes(CACHE_BYTES).build();
    let layer = CacheLayer::shared_proxy().cache(cache);
    match wrap {
        "service" => {
            let send = move |request: Request| origin.clone().send(request);
            Ok(boxed(layer.layer(tower::service_fn(send))))
        }
        "router" => {
            let answer = move |request: Request| origin.clone().answer(request);
            Ok(boxed(layer.layer(Router::new().fallback(answer))))
        }
        other => Err(format!("WRAP {other}: neither service nor router")),
    }
}

fn boxed<S, B>(service: S) -> Proxy
where
    S: Service<Request, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + 'static,
    B: HttpBody<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = service.map_response(|response: Response<B>| response.map(Body::new));
    service.map_err(Into::into).boxed_clone()
}

/// Serves until the process is told to stop, and then what still runs.
async fn serve(listener: TcpListener, proxy: Proxy) -> io::Result<()> {
    let mut stopping = pin!(stop::asked()?);
    eprintln!("proxy: ready on http://{}", listener.local_addr()?);
    let mut listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let mut http = http1::Builder::new();
    http.max_headers(MAX_HEADERS).timer(TokioTimer::new());
    let connections = GracefulShutdown::new();
    loop {
        let (stream, _) = select! {
            accepted = listener.accept() => accepted,
            () = &mut stopping => break,
        };
        let proxy = proxy.clone();
        let exchange = service_fn(move |request| hop::exchange(proxy.clone(), request));
        // How it ends there is nobody to tell but the client.
        tokio::spawn(connections.watch(http.serve_connection(TokioIo::new(stream), exchange)));
    }
    drop(listener);
    if timeout(GRACE, connections.shutdown()).await.is_err() {
        eprintln!("proxy: left behind requests that took longer than {GRACE:?}");
    }
    eprintln!("proxy: stopped");
    Ok(())
}
