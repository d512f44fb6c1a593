//! Which cryptography is gone by where a process has chosen its own: a process of its own, as that is chosen once.

use cache_core::remote::Remote;
use cache_redis::Redis;
use rustls::crypto::{CryptoProvider, ring};

#[tokio::test]
async fn the_applications_choice_is_gone_by_and_none_is_made_for_it() {
    // Nobody answers there, which is known once there was something to say.
    let redis = Redis::new("rediss://127.0.0.1:1").unwrap();
    let refused = redis.connect("revalidate").await.unwrap_err().to_string();
    assert!(refused.contains("refused"), "{refused}");
    assert!(CryptoProvider::get_default().is_none());

    // One that can say nothing.
    let chosen = CryptoProvider {
        cipher_suites: Vec::new(),
        ..ring::default_provider()
    };
    chosen.install_default().expect("nobody was here before");
    let refused = redis.connect("revalidate").await.unwrap_err().to_string();
    assert!(refused.contains("no usable cipher suites"), "{refused}");
    let chosen = CryptoProvider::get_default().unwrap();
    assert!(chosen.cipher_suites.is_empty(), "it stays");
}
