//! How far values go.

use revalidate::web_method;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Row(u64);

#[derive(Clone)]
struct Opaque;

impl revalidate::CacheWeight for Opaque {}

#[web_method(cache(remote, ttl = "1h"))]
async fn row() -> Row {
    Row(1)
}

#[web_method(cache(remote, ttl = "1h"))]
async fn rows() -> Result<Vec<Row>, std::io::Error> {
    Ok(Vec::new())
}

#[web_method(cache(local, ttl = "1h"))]
async fn opaque() -> Opaque {
    Opaque
}

fn main() {
    let _ = (row(), rows(), opaque());
}
