use revalidate::{elevate, invalidate_cache};

fn main() {
    // It has been called by then, with the caller's rights.
    let _ = elevate(invalidate_cache("contacts"));
}
