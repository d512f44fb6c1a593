use revalidate::{cache_tag, web_method};

const LIMIT: u32 = 3;

#[web_method(cache(tags = ["contacts", "contact:{ids}"]))]
async fn misspelt(id: u32) -> u32 {
    id
}

#[web_method(cache(tags = ["contact:{id}:{LIMIT}"]))]
async fn constant(id: u32) -> u32 {
    id
}

#[web_method(cache(tags = ["contact:{id:>width$}"]))]
async fn width(id: u32) -> u32 {
    id
}

#[web_method(cache(tags = ["contact:{}", "contact:{0}"]))]
async fn position(id: u32) -> u32 {
    id
}

#[web_method(cache(tags = ["user:{user.name}"]))]
async fn field(user: String) -> u32 {
    3
}

#[web_method(cache(tags = ["user:{id", "user:id}", "user:{id + 1}"]))]
async fn braces(id: u32) -> u32 {
    id
}

#[web_method(cache(tags = ["", 3, 'c', b"bytes"]))]
async fn no_tags() {}

#[web_method(cache(tags = ["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]))]
async fn overlong() {}

#[web_method(cache(tags = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17",
    "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32", "33",
    "34", "35", "36", "37", "38", "39", "40", "41", "42", "43", "44", "45", "46", "47", "48", "49",
    "50", "51", "52", "53", "54", "55", "56", "57", "58", "59", "60", "61", "62", "63", "64", "65",
    "66", "67", "68", "69", "70", "71", "72", "73", "74", "75", "76", "77", "78", "79", "80", "81",
    "82", "83", "84", "85", "86", "87", "88", "89", "90", "91", "92", "93", "94", "95", "96", "97",
    "98", "99", "100", "101", "102", "103", "104", "105", "106", "107", "108", "109", "110", "111",
    "112", "113", "114", "115", "116", "117", "118", "119", "120", "121", "122", "123", "124",
    "125", "126", "127", "128", "129",
]))]
async fn too_many() {}

#[web_method(cache(tags = ["{result}"]))]
async fn ambiguous(result: u32) -> u32 {
    result
}

#[web_method(cache(tags = ["user:{user}"], ttl = 60))]
async fn skipped(id: u32, #[cache(skip)] user: u32) -> u32 {
    id
}

#[web_method(cache(tags = ["{locale}"], key = id, ttl = 60))]
async fn unread(id: u32, locale: &str) -> u32 {
    id
}

#[cache_tag("bookings:{kinds}", "")]
async fn tagged(kind: &str) {}

#[cache_tag("bookings")]
fn not_async() {}

#[cache_tag("desk:{id}")]
struct OnAType;

fn invalidates() {
    let _ = revalidate::invalidate_cache(("a", "b"));
    let _ = revalidate::invalidate_cache(5);
}

struct Desk;

impl Desk {
    #[cache_tag("desk:{id}", "desk:{self.id}")]
    async fn turn(&self) {}
}

fn main() {}
