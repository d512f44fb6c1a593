//! What values look like by serde that are read as something else where fields have no names.

use std::convert::Infallible;

use cache_core::{Cache, CacheWeight, RemoteCodec};
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Person {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Found {
    Row { id: u64 },
    Count { count: u64 },
}

macro_rules! weighs {
    ($($of:ty),+) => { $(impl CacheWeight for $of {
        fn cache_weight(&self) -> usize {
            size_of::<Self>()
        }

        fn remote_codec() -> Option<RemoteCodec<Self>> {
            Some(RemoteCodec::of())
        }
    })+ };
}
weighs!(Person, Found);

async fn load<V: CacheWeight + Clone + Send + Sync + 'static>(cache: &Cache, value: &V) -> V {
    let value = value.clone();
    let load = || async move { Ok::<_, Infallible>(value) };
    let Ok(value) = cache.fetch("a", "1h", ["rows"], load).await;
    value
}

/// Loads a value on one node and reads it on another, which would load something else.
async fn reads_as_it_was_loaded<V>(loaded: V, other: V)
where
    V: CacheWeight + Clone + Send + Sync + PartialEq + std::fmt::Debug + 'static,
{
    let cluster = Cluster::new(2).await;
    load(&cluster[0], &loaded).await;
    cluster.shared(0).await;
    assert_eq!(load(&cluster[1], &other).await, loaded);
}

#[tokio::test]
async fn a_field_that_is_left_out_is_not_filled_by_the_next() {
    let email = |email: &str| Person {
        name: None,
        email: Some(email.into()),
    };
    reads_as_it_was_loaded(email("ada@example.org"), email("other")).await;
}

#[tokio::test]
async fn variants_are_told_apart_by_the_names_of_their_fields() {
    reads_as_it_was_loaded(Found::Count { count: 3 }, Found::Row { id: 0 }).await;
}
