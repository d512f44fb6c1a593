//! `#[cache_tag]`, `#[derive(CacheTags)]` and `#[derive(CacheKey)]`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use revalidate::{
    Cache, CacheKey, CacheTags, Life, TagSink, cache_tag, invalidate_cache, web_method,
};
use serde::Serialize;

async fn isolated<F: Future>(test: impl FnOnce() -> F) -> F::Output {
    Cache::builder().build().enter(test()).await
}

/// Which of these tags drop the value that `load` is cached with.
async fn dropping<T, F>(tags: &[&str], load: impl Fn(&'static AtomicUsize) -> F) -> Vec<String>
where
    F: Future<Output = T>,
{
    let loads: &'static AtomicUsize = Box::leak(Box::default());
    let mut dropping = Vec::new();
    for tag in tags {
        load(loads).await;
        let before = loads.load(SeqCst);
        invalidate_cache(*tag).await.unwrap();
        load(loads).await;
        if loads.load(SeqCst) != before {
            dropping.push((*tag).to_owned());
        }
    }
    dropping
}

#[derive(Clone, Debug, PartialEq)]
struct Booking {
    id: u32,
    room: (u8, &'static str),
}

#[derive(Debug)]
struct Failure;

/// Not cached itself.
#[cache_tag(
    "bookings",
    "bookings:{kind}",
    "room:{result.room.1}:{kind:?}:{result.room.0:>2}"
)]
async fn booking(kind: &str, id: u32) -> Result<Booking, Failure> {
    if id == 0 {
        Err(Failure)?;
    }
    Ok(Booking {
        id,
        room: (7, "east"),
    })
}

struct Desk {
    name: String,
}

impl Desk {
    #[cache_tag("desk:{self.name}", format!("n:{n}"))]
    async fn turn(&mut self, mut n: u32) -> u32 {
        self.name.push('!');
        n += 1;
        n
    }

    #[cache_tag]
    async fn nothing(&self) -> impl std::fmt::Display + use<> {
        1
    }
}

#[tokio::test]
async fn tags_join_the_load_that_the_function_is_called_from() {
    isolated(|| async {
        let tags = [
            "bookings",
            "bookings:day",
            "bookings:night",
            "room:east:\"day\": 7",
            "desk:a",
            "n:3",
        ];
        let cache = Cache::current().unwrap();
        let dropped = dropping(&tags, |loads| {
            let cache = cache.clone();
            async move {
                let load = move || async move {
                    loads.fetch_add(1, SeqCst);
                    let mut desk = Desk {
                        name: "a".to_owned(),
                    };
                    desk.turn(3).await;
                    assert_eq!(desk.nothing().await.to_string(), "1");
                    booking("day", 4).await
                };
                cache
                    .fetch("key", Life::from_secs(60), [""; 0], move || async move {
                        load().await.map(|booking| booking.id)
                    })
                    .await
                    .unwrap()
            }
        })
        .await;
        assert_eq!(
            dropped,
            [
                "bookings",
                "bookings:day",
                "room:east:\"day\": 7",
                "desk:a",
                "n:3"
            ]
        );
        assert!(booking("day", 0).await.is_err());
    })
    .await;
}

/// Above and below: the tags are the function's own.
#[cache_tag("above:{id}")]
#[web_method(cache(tags = ["own"], ttl = 60))]
#[cache_tag("below", "after:{result.id}:{id}")]
async fn both(#[cache(skip)] loads: &'static AtomicUsize, id: u32) -> Option<Booking> {
    loads.fetch_add(1, SeqCst);
    Some(Booking {
        id: id + 1,
        room: (1, "west"),
    })
}

#[tokio::test]
async fn beside_web_method_in_either_order_the_tags_are_its_own() {
    isolated(|| async {
        let tags = ["above:3", "own", "below", "after:4:3", "above:4"];
        let dropped = dropping(&tags, |loads| both(loads, 3)).await;
        assert_eq!(dropped, ["above:3", "own", "below", "after:4:3"]);
    })
    .await;
}

#[derive(Clone, CacheTags)]
#[cache_tags("order:{id}", "customer:{customer.id:>3}", "{{orders}}")]
struct Order {
    id: u32,
    customer: Customer,
    #[cache_tags]
    lines: Vec<Line>,
}

#[derive(Clone)]
struct Customer {
    id: u8,
}

#[derive(Clone, CacheTags)]
#[cache_tags("any-line")]
enum Line {
    #[cache_tags("article:{0}")]
    Article(u32, #[allow(dead_code)] u32),
    #[cache_tags("service:{name}")]
    Service {
        name: &'static str,
    },
    Blank,
}

#[derive(Clone, CacheTags)]
struct Wrapped<T, const N: usize>(#[cache_tags] [T; N]);

#[web_method(cache(ttl = 60))]
async fn orders(
    #[cache(skip)] loads: &'static AtomicUsize,
) -> Result<BTreeMap<u8, Option<Wrapped<Order, 1>>>, Failure> {
    loads.fetch_add(1, SeqCst);
    let lines = vec![
        Line::Article(5, 6),
        Line::Service { name: "wash" },
        Line::Blank,
    ];
    let order = Order {
        id: 1,
        customer: Customer { id: 9 },
        lines,
    };
    Ok(BTreeMap::from([(1, Some(Wrapped([order]))), (2, None)]))
}

#[derive(Clone)]
struct Two;

impl CacheTags for Two {
    fn cache_tags(&self, tags: &mut TagSink) {
        tags.add(["one", "two"]);
    }
}

#[web_method(cache(ttl = 60))]
async fn by_hand(#[cache(skip)] loads: &'static AtomicUsize) -> [Two; 2] {
    loads.fetch_add(1, SeqCst);
    cache_tag("three");
    [Two, Two]
}

#[tokio::test]
async fn values_give_their_tags() {
    isolated(|| async {
        let tags = [
            "order:1",
            "customer:  9",
            "{orders}",
            "any-line",
            "article:5",
            "service:wash",
        ];
        assert_eq!(dropping(&tags, orders).await, tags);
        assert_eq!(dropping(&["article:6", "order:2"], orders).await, [""; 0]);
        assert_eq!(
            dropping(&["one", "two", "three", "four"], by_hand).await,
            ["one", "two", "three"]
        );
    })
    .await;
}

#[web_method(cache(ttl = 60))]
async fn too_many(#[cache(skip)] loads: &'static AtomicUsize, n: u32) -> Vec<Line> {
    loads.fetch_add(1, SeqCst);
    (0..n).map(|n| Line::Article(n, 0)).collect()
}

#[tokio::test]
async fn a_value_with_too_many_tags_is_served_and_not_stored() {
    static LOADS: AtomicUsize = AtomicUsize::new(0);
    isolated(|| async {
        for _ in 0..2 {
            assert_eq!(too_many(&LOADS, 127).await.len(), 127);
        }
        assert_eq!(LOADS.load(SeqCst), 1);
        for _ in 0..2 {
            assert_eq!(too_many(&LOADS, 128).await.len(), 128);
        }
        assert_eq!(LOADS.load(SeqCst), 3);
    })
    .await;
}

/// Encodes as two fields; one is only serialisable.
#[derive(CacheKey)]
struct Query<T> {
    page: u32,
    order: T,
    filter: Filter,
}

#[derive(Serialize)]
struct Filter {
    text: &'static str,
}

#[derive(CacheKey)]
enum Sort {
    Name,
    Age { up: bool },
    By(&'static str, u8),
}

#[derive(CacheKey)]
struct Nothing;

#[web_method(cache(ttl = 60))]
async fn list<T: CacheKey + Send + 'static>(query: Query<T>, _nothing: Nothing) -> u32 {
    query.page
}

#[tokio::test]
async fn derived_keys_hold_every_field_and_the_variant() {
    let key = |page, order, text| {
        let query = Query {
            page,
            order,
            filter: Filter { text },
        };
        list::key(query, Nothing)
    };
    let keys = [
        key(1, Sort::Name, ""),
        key(2, Sort::Name, ""),
        key(1, Sort::Name, "x"),
        key(1, Sort::Age { up: true }, ""),
        key(1, Sort::Age { up: false }, ""),
        key(1, Sort::By("a", 1), ""),
        key(1, Sort::By("a", 2), ""),
    ];
    for (i, a) in keys.iter().enumerate() {
        for (j, b) in keys.iter().enumerate() {
            assert_eq!(a == b, i == j, "{a} {b}");
        }
    }
    assert_eq!(key(1, Sort::By("a", 2), ""), keys[6]);
    isolated(|| async {
        let query = Query {
            page: 3,
            order: Sort::Name,
            filter: Filter { text: "" },
        };
        assert_eq!(list(query, Nothing).await, 3);
    })
    .await;
}
