use revalidate::web_method;

#[derive(Clone)]
struct Opaque;

struct NotClone;

impl revalidate::CacheKey for NotClone {
    fn encode(&self, _: &mut revalidate::KeyWriter<'_>) {}
}

#[web_method(cache(ttl = 60))]
async fn no_key(id: u32, _opaque: Opaque) -> u32 {
    id
}

#[web_method(cache(ttl = 60))]
async fn no_key_inside(_opaque: Option<&'static Opaque>) -> u32 {
    3
}

#[web_method(cache(ttl = 60))]
async fn not_owned(_value: &NotClone) -> u32 {
    3
}

#[web_method(cache(ttl = 60))]
async fn no_key_expression(#[cache(key = &_opaque)] _opaque: Opaque) -> u32 {
    3
}

struct State<T>(T);

#[web_method(cache(ttl = 60))]
async fn another_state(State(_): State<u32>) -> u32 {
    3
}

fn main() {}
