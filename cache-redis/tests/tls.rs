//! Servers that speak TLS, with certificates of an authority that the test makes.

#[path = "support/application.rs"]
mod application;
#[path = "support/certified.rs"]
mod certified;
mod support;

use std::time::Duration;

use application::{Row, all_read_after_the_bound, change, node};
use cache_core::Delivery;
use cache_core::remote::{Remote, Since};
use cache_redis::{Redis, RedisError};
use certified::{Authority, Certified, Speaking};

async fn refused(redis: Redis) -> String {
    let refused = redis.connect("revalidate").await.map(|_| ()).unwrap_err();
    refused.to_string()
}

#[tokio::test]
async fn a_node_works_over_tls_with_an_authority_of_ones_own() {
    let authority = Authority::new("ours");
    let server = Speaking::tls(&authority, &authority.certifies("127.0.0.1"), false, &[]);
    let nodes = [(); 2].map(|()| {
        node(
            Redis::new(server.url())
                .unwrap()
                .tls_ca(&authority.pem)
                .unwrap(),
        )
    });
    for node in &nodes {
        node.connected().await;
    }
    let row = Row::default();
    row.set(1);
    assert_eq!(row.read(&nodes[0]).await, 1);
    nodes[0].shutdown().await.unwrap();
    assert_eq!(row.read(&nodes[1]).await, 1);
    assert_eq!(row.loads(), 1, "the other found it");
    assert_eq!(change(&row, 2, &nodes[1]).await, Delivery::Everywhere);
    all_read_after_the_bound(&row, 2, &nodes).await;
}

/// The others' addresses are those that the first one tells.
#[tokio::test]
async fn a_cluster_is_spoken_to_over_tls() {
    let authority = Authority::new("ours");
    let options = [
        "--cluster-enabled",
        "yes",
        "--tls-cluster",
        "yes",
        "--tls-replication",
        "yes",
    ];
    let server = Speaking::tls(
        &authority,
        &authority.certifies("127.0.0.1"),
        false,
        &options,
    );
    let slots: Vec<_> = (0..16_384).map(|slot| slot.to_string()).collect();
    let add: Vec<_> = ["CLUSTER", "ADDSLOTS"]
        .into_iter()
        .chain(slots.iter().map(String::as_str))
        .collect();
    assert!(server.server.command(&add).starts_with("+OK"));
    support::until("it serves", async || {
        let info = server.server.command(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok")
    })
    .await;
    let redis = Redis::cluster([server.url()])
        .unwrap()
        .tls_ca(&authority.pem)
        .unwrap();
    redis.connect("revalidate").await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused_and_the_application_answered() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let server = Speaking::tls(&ours, &ours.certifies("127.0.0.1"), false, &[]);
    let trusting = |pem: &str| Redis::new(server.url()).unwrap().tls_ca(pem).unwrap();
    for redis in [Redis::new(server.url()).unwrap(), trusting(&other.pem)] {
        let node = node(redis.clone());
        let told = refused(redis).await;
        assert!(
            told.contains("UnknownIssuer") && told.contains("`Redis::tls_ca`"),
            "{told}"
        );
        let row = Row::default();
        row.set(1);
        assert_eq!(row.read(&node).await, 1);
        assert_eq!(change(&row, 2, &node).await, Delivery::Queued);
    }
    // Both are.
    let both = trusting(&format!("{}{}", other.pem, ours.pem));
    both.connect("revalidate").await.unwrap();

    let named = Speaking::tls(&ours, &ours.certifies("cache.example"), false, &[]);
    let told = refused(Redis::new(named.url()).unwrap().tls_ca(&ours.pem).unwrap()).await;
    assert!(told.contains("is for other names"), "{told}");
    let itself = Speaking::tls(&ours, &ours.itself(), false, &[]);
    let redis = Redis::new(itself.url()).unwrap();
    let told = refused(redis.tls_ca(&ours.pem).unwrap()).await;
    assert!(told.contains("have it show one that"), "{told}");
}

#[tokio::test]
async fn a_server_that_wants_to_know_its_clients_is_shown_a_certificate() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let options = ["--requirepass", "secret"];
    let server = Speaking::tls(&ours, &ours.certifies("127.0.0.1"), true, &options);
    let url = format!("rediss://:secret@127.0.0.1:{}/2", server.port);
    let redis = Redis::new(url).unwrap().tls_ca(&ours.pem).unwrap();
    let told = refused(redis.clone()).await;
    assert!(told.contains("`Redis::tls_client`"), "{told}");
    let showing = |shown: &Certified| redis.clone().tls_client(&shown.pem, &shown.key).unwrap();
    let told = refused(showing(&other.certifies("node"))).await;
    assert!(told.contains("remote cannot be reached"), "{told}");
    let session = showing(&ours.certifies("node"))
        .connect("revalidate")
        .await
        .unwrap();
    session.since(None).await.unwrap();
}

/// Also while it is waited for something.
#[tokio::test]
async fn a_session_that_is_dropped_ends_its_connections() {
    let authority = Authority::new("ours");
    let server = Speaking::tls(&authority, &authority.certifies("127.0.0.1"), false, &[]);
    let redis = Redis::new(server.url()).unwrap();
    let session = redis.tls_ca(&authority.pem).unwrap();
    let session = session.connect("revalidate").await.unwrap();
    let Since::Lost { last, .. } = session.since(None).await.unwrap() else {
        panic!("a node without a position has lost it");
    };
    let (short, long) = (Duration::from_millis(50), Duration::from_secs(600));
    let followed = tokio::time::timeout(short, session.follow(last, long)).await;
    assert!(followed.is_err(), "nothing comes: {followed:?}");
    // Those who ask are of them.
    let clients = |number| {
        let info = server.server.command(&["INFO", "clients"]);
        info.contains(&format!("connected_clients:{number}\r"))
    };
    assert!(clients(3));
    drop(session);
    support::until("both are ended", async || clients(1)).await;
}

#[test]
fn certificates_are_checked_before_anything_is_connected_to() {
    let authority = Authority::new("ours");
    let (one, another) = (authority.certifies("one"), authority.certifies("another"));
    let redis = Redis::new("rediss://10.0.0.5").unwrap();
    let cut = one.pem.replace("-----END", "");
    for (wrong, problem) in [
        ("", "no `-----BEGIN CERTIFICATE"),
        ("ca.pem", "no `-----BEGIN CERTIFICATE"),
        (&*one.key, "no `-----BEGIN CERTIFICATE"),
        (&*cut, "END"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "invalid",
        ),
    ] {
        let told = redis.clone().tls_ca(wrong).unwrap_err().to_string();
        assert!(
            told.starts_with("`tls_ca`") && told.contains(problem),
            "{told}"
        );
    }
    for (certificate, key, problem) in [
        (&*one.key, &*one.key, "no `-----BEGIN CERTIFICATE"),
        (&*one.pem, &*one.pem, "no `-----BEGIN PRIVATE KEY"),
        (&*one.pem, &*another.key, "key"),
    ] {
        let told = redis
            .clone()
            .tls_client(certificate, key)
            .unwrap_err()
            .to_string();
        assert!(
            told.starts_with("`tls_client`") && told.contains(problem),
            "{told}"
        );
    }
    let damaged = one.key.replace("END PRIVATE", "END");
    let told = redis
        .clone()
        .tls_client(&one.pem, &damaged)
        .unwrap_err()
        .to_string();
    assert!(told.contains("the key is damaged"), "{told}");

    let told = Redis::new("rediss://10.0.0.5/#insecure").unwrap_err();
    assert!(told.to_string().contains("`Redis::tls_ca`"), "{told}");

    let plain = Redis::new("redis://10.0.0.5").unwrap();
    let told = plain.clone().tls_ca(&authority.pem).unwrap_err();
    assert_eq!(told, RedisError::NoTls { of: "tls_ca" });
    assert!(told.to_string().contains("write `rediss://`"), "{told}");
    let told = plain.tls_client(&one.pem, &one.key).unwrap_err();
    assert_eq!(told, RedisError::NoTls { of: "tls_client" });
    let shown = format!("{:?}", redis.tls_client(&one.pem, &one.key).unwrap());
    assert!(!shown.contains("PRIVATE"), "{shown}");
}
