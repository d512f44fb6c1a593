use revalidate::{Permissions, WebMethods, web_method};

struct Opaque;

#[web_method(Permissions::Anyone)]
async fn argument(_: Opaque) {}

#[web_method(Permissions::Anyone)]
async fn value() -> Opaque {
    Opaque
}

#[web_method(Permissions::Anyone)]
async fn generic<T: Send>(_: T) {}

#[web_method(cache(ttl = 60))]
async fn unsaid() -> u32 {
    3
}

fn main() {
    let _ = WebMethods::new().method::<argument>();
    let _ = WebMethods::new().method::<value>();
    let _ = WebMethods::new().method::<generic>();
    let _ = WebMethods::new().method::<unsaid>();
}
