use revalidate::{Life, Permissions, web_method};

#[web_method(cache(tag = ["a"]))]
async fn near() {}

#[web_method(cache(colour = 3))]
async fn unknown() {}

#[web_method(cache(ttl = 3, tags = [], ttl = 4))]
async fn doubled() {}

#[web_method(cache(), cache())]
async fn doubled_cache() {}

#[web_method(ttl = 60)]
async fn outside() {}

#[web_method(Permissions::Anyone, colour = 3)]
async fn unknown_outside() {}

#[web_method(cache)]
async fn bare() {}

#[web_method(cache(ttl))]
async fn no_value() {}

#[web_method(cache(ttl(3)))]
async fn called() {}

#[web_method(cache(ttl = 0))]
async fn zero() {}

#[web_method(cache(ttl = "0s"))]
async fn zero_text() {}

#[web_method(cache(ttl = -1))]
async fn negative() {}

#[web_method(cache(ttl = "soon"))]
async fn no_duration() {}

#[web_method(cache(ttl = "hours"))]
async fn a_profile() {}

#[web_method(cache(swr = 60, max_age = 60, revalidate = 60, profile = "hours", jitter = 0.1, skip))]
async fn of_other_caches() {}

#[web_method(cache(ttl = Life::from_secs(3)))]
async fn computed() {}

#[web_method(cache(ttl = 60, life = "hours"))]
async fn twice_said() {}

#[web_method(cache(life = 60))]
async fn number_as_life() {}

#[web_method(cache(life = "1h"))]
async fn duration_as_life() {}

#[web_method(cache(stale_while_revalidate = 60))]
async fn window_of_nothing() {}

#[web_method(cache(life = "hours", stale_if_error = 60))]
async fn window_beside_life() {}

#[web_method(cache(ttl = 60, stale_while_revalidate = 60, foreground))]
async fn behind_the_foreground() {}

#[web_method(cache(foreground = true))]
async fn flag() {}

#[web_method(cache(timeout = 0))]
async fn no_time() -> Result<(), String> {
    Ok(())
}

#[web_method(cache(companion = "name"))]
async fn companion() {}

#[web_method(cache(version = ""))]
async fn version() {}

#[web_method(cache(tags = "contacts"))]
async fn one_tag() {}

fn main() {}
