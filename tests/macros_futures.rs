//! The futures of cached functions are `Send` whatever the function returns: a returned type that holds
//! a `&'static str` makes neither a handler nor a spawned task of it, nor of what calls it, impossible.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use revalidate::{Cache, web_method};

static LOADS: AtomicUsize = AtomicUsize::new(0);

#[web_method(cache(ttl = "1h"))]
async fn text() -> &'static str {
    LOADS.fetch_add(1, SeqCst);
    "text"
}

#[web_method(cache(ttl = "1h", foreground))]
async fn text_here() -> &'static str {
    text().await
}

#[web_method(cache(ttl = "1h"))]
async fn fallible(ok: bool) -> Result<&'static str, &'static str> {
    if ok { Ok("yes") } else { Err("no") }
}

#[web_method(cache(ttl = "1h", foreground))]
async fn fallible_here(ok: &bool) -> Result<&'static str, &'static str> {
    fallible(*ok).await
}

#[web_method(cache(ttl = "1h", none = 3))]
async fn listed(name: &str) -> Option<Vec<(&'static str, u8)>> {
    (!name.is_empty()).then(|| vec![("a", 1)])
}

#[web_method(cache(ttl = "1h", none = 3, foreground))]
async fn listed_here(name: &str) -> Option<Vec<(&'static str, u8)>> {
    listed(name).await
}

#[web_method(cache(ttl = "1h"))]
async fn of_type<T: Send + 'static>(
    held: std::collections::BTreeSet<&'static str>,
) -> &'static str {
    drop(held);
    std::any::type_name::<T>()
}

#[web_method(cache(ttl = "1h", foreground))]
async fn of_type_here<T: Send>(held: &[&'static str]) -> &'static str {
    held.first().copied().unwrap_or(std::any::type_name::<T>())
}

#[web_method(cache(ttl = "1h"))]
async fn ping(n: u8) -> &'static str {
    if n == 0 { "end" } else { pong(n - 1).await }
}

#[web_method(cache(ttl = "1h", foreground))]
async fn pong(n: u8) -> &'static str {
    if n == 0 { "end" } else { ping(n - 1).await }
}

#[web_method(cache(ttl = "1h"))]
async fn down(n: u8) -> (u8, &'static str) {
    if n == 0 {
        (0, "end")
    } else {
        down(n - 1).await
    }
}

#[web_method(cache(ttl = "1h", foreground))]
async fn down_here(n: u8) -> (u8, &'static str) {
    if n == 0 {
        (0, "end")
    } else {
        down_here(n - 1).await
    }
}

#[web_method(cache(ttl = "1h"))]
async fn function() -> fn(&str) -> &str {
    str::trim
}

#[revalidate::cache_tag("tagged")]
async fn tagged() -> &'static str {
    text().await
}

async fn outer() -> &'static str {
    let _ = (fallible(true).await, fallible_here(&true).await);
    text_here().await
}

async fn outermost() -> &'static str {
    let text = outer().await;
    tagged().await;
    text
}

async fn spawned<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let cache = Cache::current().unwrap();
    tokio::spawn(cache.enter(future)).await.unwrap()
}

#[tokio::test]
async fn they_can_be_spawned() {
    Cache::builder()
        .build()
        .enter(async {
            assert_eq!(spawned(text()).await, "text");
            assert_eq!(spawned(text_here()).await, "text");
            assert_eq!(spawned(text::refresh()).await, "text");
            assert_eq!(spawned(text::uncached()).await, "text");
            assert_eq!(spawned(text_here::refresh()).await, "text");
            assert_eq!(spawned(text_here::uncached()).await, "text");
            assert_eq!(LOADS.load(SeqCst), 3);
            assert_eq!(spawned(fallible(true)).await, Ok("yes"));
            assert_eq!(spawned(fallible(false)).await, Err("no"));
            assert_eq!(
                spawned(async { fallible_here(&false).await }).await,
                Err("no")
            );
            assert_eq!(spawned(listed("")).await, None);
            assert_eq!(spawned(listed_here("a")).await, Some(vec![("a", 1)]));
            assert_eq!(spawned(of_type::<u8>(["a"].into())).await, "u8");
            assert_eq!(spawned(of_type_here::<u8>(&["b"])).await, "b");
            assert_eq!(spawned(ping(5)).await, "end");
            assert_eq!(spawned(pong(5)).await, "end");
            assert_eq!(spawned(down(5)).await, (0, "end"));
            assert_eq!(spawned(down_here(5)).await, (0, "end"));
            assert_eq!(spawned(function()).await(" a "), "a");
            assert_eq!(spawned(tagged()).await, "text");
            assert_eq!(spawned(outer()).await, "text");
            assert_eq!(spawned(outermost()).await, "text");
            assert_eq!(LOADS.load(SeqCst), 3);
        })
        .await;
}

#[cfg(feature = "axum")]
mod handlers {
    use axum::extract::Path;
    use axum::http::{HeaderName, StatusCode, header};
    use axum::response::{Html, IntoResponse};
    use axum::routing::get;
    use axum::{Json, Router};
    use revalidate::{Cache, web_method};

    #[web_method(cache(ttl = "1h"))]
    async fn html() -> Html<&'static str> {
        Html("html")
    }

    #[web_method(cache(ttl = "1h", foreground))]
    async fn html_here() -> Html<&'static str> {
        html().await
    }

    #[web_method(cache(ttl = "1h"))]
    async fn status() -> (StatusCode, &'static str) {
        (StatusCode::CREATED, "status")
    }

    #[web_method(cache(ttl = "1h"))]
    async fn headers() -> ([(HeaderName, &'static str); 1], String) {
        ([(header::CONTENT_TYPE, "a/b")], "headers".to_owned())
    }

    #[web_method(cache(ttl = "1h", foreground))]
    async fn headers_here() -> ([(HeaderName, &'static str); 1], String) {
        headers().await
    }

    #[web_method(cache(ttl = "1h"))]
    async fn result(Path(n): Path<u8>) -> Result<Html<&'static str>, (StatusCode, &'static str)> {
        if n == 0 {
            return Err((StatusCode::CONFLICT, "zero"));
        }
        Ok(Html("result"))
    }

    #[web_method(cache(ttl = "1h"))]
    async fn response(Path(n): Path<u8>) -> Result<impl IntoResponse, &'static str> {
        if n == 0 {
            Err("zero")
        } else {
            Ok(Html("response"))
        }
    }

    #[web_method(cache(ttl = "1h", foreground))]
    async fn response_here(Path(n): Path<u8>) -> Result<impl IntoResponse, &'static str> {
        response(Path(n)).await
    }

    #[web_method(cache(ttl = "1h"))]
    async fn of_type<T: Send + 'static>() -> Json<Vec<&'static str>> {
        Json(vec![std::any::type_name::<T>()])
    }

    async fn plain() -> Html<&'static str> {
        html_here().await
    }

    async fn plain_of_plain() -> (StatusCode, &'static str) {
        let _ = plain().await;
        let _ = result(Path(3)).await;
        status().await
    }

    #[tokio::test]
    async fn they_can_be_handlers() {
        use http_body_util::BodyExt;
        use tower::ServiceExt;

        let app: Router = Router::new()
            .route("/html", get(html))
            .route("/html-here", get(html_here))
            .route("/status", get(status))
            .route("/headers", get(headers))
            .route("/headers-here", get(headers_here))
            .route("/result/{n}", get(result))
            .route("/response/{n}", get(response))
            .route("/response-here/{n}", get(response_here))
            .route("/type", get(of_type::<u8>))
            .route("/plain", get(plain))
            .route("/plain-of-plain", get(plain_of_plain))
            .route("/refresh", get(html::refresh))
            .route("/uncached", get(html::uncached))
            .route("/closure", get(|| async { html().await }));
        let send = async |path: &str| {
            let request = axum::http::Request::get(path)
                .body(axum::body::Body::empty())
                .unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        Cache::builder()
            .build()
            .enter(async {
                for (path, status, body) in [
                    ("/html", 200, "html"),
                    ("/html-here", 200, "html"),
                    ("/status", 201, "status"),
                    ("/headers", 200, "headers"),
                    ("/headers-here", 200, "headers"),
                    ("/result/0", 409, "zero"),
                    ("/result/1", 200, "result"),
                    ("/response/0", 200, "zero"),
                    ("/response/1", 200, "response"),
                    ("/response-here/1", 200, "response"),
                    ("/type", 200, r#"["u8"]"#),
                    ("/plain", 200, "html"),
                    ("/plain-of-plain", 201, "status"),
                    ("/refresh", 200, "html"),
                    ("/uncached", 200, "html"),
                    ("/closure", 200, "html"),
                ] {
                    for _ in 0..2 {
                        assert_eq!(send(path).await, (status, body.to_owned()), "{path}");
                    }
                }
            })
            .await;
    }
}
