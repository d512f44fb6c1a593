use revalidate::web_method;

struct NotClone;

#[web_method(cache(ttl = 60))]
async fn not_clone(id: u32) -> Result<NotClone, String> {
    Err(id.to_string())
}

#[web_method(cache(ttl = 60))]
async fn not_sync(id: u32) -> std::cell::Cell<u32> {
    std::cell::Cell::new(id)
}

#[web_method(cache(ttl = 60))]
async fn not_send(id: u32) -> std::rc::Rc<u32> {
    id.into()
}

#[web_method(cache(ttl = 60))]
async fn not_send_inside(id: u32) -> Option<std::rc::Rc<u32>> {
    Some(id.into())
}

#[web_method(cache(ttl = 60))]
async fn error_not_send(id: u32) -> Result<u32, std::rc::Rc<u32>> {
    Ok(id)
}

#[web_method(cache(ttl = 60, timeout = "3s"))]
async fn silent(id: u32) -> u32 {
    id
}

#[web_method(cache(ttl = 60, timeout = "3s"))]
async fn silent_error(id: u32) -> Result<u32, u32> {
    Ok(id)
}

#[web_method(cache(ttl = 60, none = "3s"))]
async fn no_none(id: u32) -> Result<u32, u32> {
    Ok(id)
}

#[web_method(cache(ttl = 60, weight = weigh))]
async fn weighed(id: u32) -> u32 {
    id
}

fn weigh(_: &str) -> usize {
    3
}

fn main() {}
