use revalidate::web_method;

const ANYONE: u32 = 3;

#[web_method(ANYONE)]
async fn number(id: u32) -> u32 {
    id
}

fn main() {}
