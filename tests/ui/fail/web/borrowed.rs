use revalidate::{Permissions, WebMethods, web_method};

#[web_method(Permissions::Anyone)]
async fn borrowed(_: Option<&str>) {}

fn main() {
    let _ = WebMethods::new().method::<borrowed>();
}
