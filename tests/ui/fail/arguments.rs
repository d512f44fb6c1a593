use revalidate::web_method;

struct Session;

#[web_method(cache(ttl = 60))]
async fn by_type(session: Session, id: u32) -> u32 {
    id
}

#[web_method(cache(ttl = 60))]
async fn by_name(caller: u64, id: u32) -> u32 {
    id
}

#[web_method(cache(ttl = 60))]
async fn no_expression(#[cache(key)] id: u32) -> u32 {
    id
}

#[web_method(cache(ttl = 60))]
async fn no_decision(#[cache(ignore)] id: u32) -> u32 {
    id
}

#[web_method(cache(ttl = 60))]
async fn two_decisions(#[cache(key = id, skip)] id: u32) -> u32 {
    id
}

#[web_method(cache(ttl = 60, key = id))]
async fn both_keys(#[cache(key = id)] id: u32) -> u32 {
    id
}

#[web_method(cache(ttl = 60, key = id))]
async fn skips_what_is_read(#[cache(skip)] id: u32) -> u32 {
    id
}

struct Query<T>(T);

#[web_method(cache(ttl = 60, key = id))]
async fn says_nothing_of_some(id: u32, Query(page): Query<u32>, _: Query<u8>, headers: u8, session: &Session) -> u32 {
    id
}

#[web_method(cache(ttl = 60, key = 3))]
async fn one_key_for_all(id: u32) -> u32 {
    id
}

fn main() {}
