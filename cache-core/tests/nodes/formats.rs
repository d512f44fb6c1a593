//! How values are written for other nodes: bytes as they are, and what serde writes in the format that the cache is told.

use cache_core::{Cache, CacheWeight, RemoteCodec};

use crate::cluster::Cluster;

/// What the second node reads of what the first one put there, and how many bytes that took.
async fn there_and_back<V>(cluster: &Cluster, value: &V) -> (Option<V>, usize)
where
    V: CacheWeight + Clone + Send + Sync + 'static,
{
    assert!(
        cluster[0]
            .put("a", value.clone(), "1h", ["rows"])
            .is_stored()
    );
    cluster.shared(0).await;
    let lengths = cluster.server.entries();
    (
        found(&cluster[1]).await,
        lengths.iter().map(|entry| entry.len()).sum(),
    )
}

/// What a node finds in the second level.
async fn found<V: CacheWeight + Clone + Send + Sync + 'static>(node: &Cache) -> Option<V> {
    let load = || async { Err::<V, _>(()) };
    node.fetch("a", "1h", ["rows"], load).await.ok()
}

/// The bytes beside those of a value.
const AROUND: usize = 150;

#[tokio::test]
async fn bytes_are_written_as_they_are() {
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let cluster = Cluster::new(2).await;
    let (read, length) = there_and_back(&cluster, &bytes).await;
    assert_eq!(read.as_ref(), Some(&bytes));
    assert!(length < bytes.len() + AROUND, "{length}");

    for option in [Some(bytes.clone()), Some(Vec::new()), None] {
        let cluster = Cluster::new(2).await;
        let (read, length) = there_and_back(&cluster, &option).await;
        assert_eq!(read.as_ref(), Some(&option));
        let most = option.map_or(0, |bytes| bytes.len()) + AROUND;
        assert!(length < most, "{length}");
    }

    let cluster = Cluster::new(2).await;
    let several = vec![bytes.clone(), Vec::new(), bytes];
    let (read, length) = there_and_back(&cluster, &several).await;
    assert_eq!(read, Some(several));
    assert!(length < 20_000 + AROUND, "{length}");
}

#[tokio::test]
async fn numbers_in_a_vec_are_read_as_they_were_written() {
    let cluster = Cluster::new(2).await;
    let numbers = vec![0_u64, 1, u64::MAX];
    assert_eq!(there_and_back(&cluster, &numbers).await.0, Some(numbers));
}

/// A price, which the release before took below zero.
#[derive(Clone, Debug, PartialEq)]
struct Price(i8);

impl CacheWeight for Price {
    fn remote_codec() -> Option<RemoteCodec<Self>> {
        let write = |price: &Self, to: &mut Vec<u8>| {
            to.extend(price.0.to_le_bytes());
            true
        };
        Some(RemoteCodec::new(write, |from| {
            let price = i8::from_le_bytes(from.try_into().unwrap());
            assert!(price >= 0, "no price");
            Some(Self(price))
        }))
    }
}

#[tokio::test]
async fn a_value_that_its_type_takes_for_impossible_is_unreadable() {
    let cluster = Cluster::new(2).await;
    assert_eq!(there_and_back(&cluster, &Price(7)).await.0, Some(Price(7)));
    let cluster = Cluster::new(2).await;
    assert_eq!(there_and_back(&cluster, &Price(-7)).await.0, None);
    assert_eq!(cluster[1].stats().remote.unwrap().unreadable, 1);
}

#[cfg(feature = "json")]
mod json {
    use std::cell::Cell;
    use std::collections::HashMap;

    use cache_core::RemoteFormat;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        id: u64,
        name: String,
        price: Option<f64>,
        by_day: HashMap<u32, f32>,
    }

    impl CacheWeight for Row {
        fn remote_codec() -> Option<RemoteCodec<Self>> {
            Some(RemoteCodec::of())
        }
    }

    fn row(price: f64) -> Row {
        Row {
            id: 7,
            name: "a \"row\"".into(),
            price: Some(price),
            by_day: [(1, 0.1), (2, f32::MIN_POSITIVE)].into(),
        }
    }

    /// Two nodes, of which these write JSON.
    async fn cluster(json: [bool; 2]) -> Cluster {
        let node = Cell::new(0);
        let is_json = || json[node.replace(node.get() + 1)];
        Cluster::with(2, |builder| match is_json() {
            true => builder.remote_format(RemoteFormat::Json),
            false => builder,
        })
        .await
    }

    #[tokio::test]
    async fn nodes_of_two_formats_read_what_it_is() {
        // Not each of these is read right without care for the last digit.
        for price in [0.1 + 0.2, 1e-9 / 3.0, -0.0, 9_007_199_254_740_993.0, 5e-324] {
            for json in [[true, false], [false, true], [true, true]] {
                let cluster = cluster(json).await;
                let (read, _) = there_and_back(&cluster, &row(price)).await;
                assert_eq!(read, Some(row(price)), "{json:?}");
                assert_eq!(
                    cluster.holds(r#"{"id":7,"name":"a \"row\"","price":"#),
                    json[0]
                );
                assert_eq!(cluster[1].stats().remote.unwrap().unreadable, 0);
            }
        }
    }

    #[tokio::test]
    async fn what_holds_others_holds_them_in_the_format() {
        let cluster = cluster([true, false]).await;
        let rows = vec![Some(row(1.5)), None];
        assert_eq!(there_and_back(&cluster, &rows).await.0, Some(rows));
        assert!(cluster.holds(r#""price":1.5"#));
    }

    #[tokio::test]
    async fn what_json_cannot_say_stays_where_it_is() {
        for price in [f64::NAN, f64::INFINITY] {
            for (json, unshared) in [([true, true], 1), ([false, false], 0)] {
                let cluster = cluster(json).await;
                let (read, _) = there_and_back(&cluster, &row(price)).await;
                assert_eq!(read.is_none(), json[0], "{price}");
                assert_eq!(cluster[0].stats().remote.unwrap().unshared, unshared);
            }
        }
    }
}
