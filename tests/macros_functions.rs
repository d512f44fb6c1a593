//! Plain functions under `#[web_method]`: keys from every kind of argument, what is stored of every
//! kind of return type, and the companions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use revalidate::{Cache, CacheKey, Clock, Life, LoadTimeout, Permissions, cache_tag, web_method};

/// Runs with a cache of its own, and its clock.
async fn isolated<F: Future>(test: impl FnOnce(Clock) -> F) -> F::Output {
    let clock = Clock::manual();
    let cache = Cache::builder().clock(clock.clone()).build();
    cache.enter(test(clock)).await
}

/// Counts the loads of the function it is in.
macro_rules! counter {
    ($name:ident) => {
        static $name: AtomicUsize = AtomicUsize::new(0);
    };
}

counter!(MULTIPLY);
/// A plain cached function.
#[web_method(Permissions::Anyone, cache(tags = ["multiply", "math"], ttl = 604_800))]
pub async fn multiply(a: i64, b: i64) -> i64 {
    MULTIPLY.fetch_add(1, SeqCst);
    a * b
}

#[tokio::test]
async fn companions_name_one_call_or_all() {
    isolated(|_| async {
        let loads = || MULTIPLY.load(SeqCst);
        assert_eq!((multiply(6, 7).await, multiply(6, 7).await), (42, 42));
        assert_eq!(loads(), 1);
        assert_eq!(multiply(7, 6).await, 42);
        assert_eq!(loads(), 2);
        multiply::remove_cached(6, 7).await.unwrap();
        multiply(6, 7).await;
        multiply(7, 6).await;
        assert_eq!(loads(), 3);
        multiply::clear().await.unwrap();
        multiply(6, 7).await;
        multiply(7, 6).await;
        assert_eq!(loads(), 5);
        assert_eq!(multiply::refresh(6, 7).await, 42);
        assert_eq!(loads(), 6);
        multiply(6, 7).await;
        assert_eq!(loads(), 6);
        assert_eq!(multiply::uncached(6, 7).await, 42);
        assert_eq!(loads(), 7);
        revalidate::invalidate_cache("math").await.unwrap();
        multiply(6, 7).await;
        assert_eq!(loads(), 8);
        assert!(
            multiply::key(6, 7).to_string().contains("multiply"),
            "{}",
            multiply::key(6, 7)
        );
        assert_ne!(multiply::key(6, 7), multiply::key(7, 6));
    })
    .await;
}

counter!(GREET);
#[web_method(cache(tags = ["greeting:{name}:{times:>3}"], ttl = "1h"))]
async fn greet(name: &str, times: &u8, suffix: impl Into<String>, mut loud: bool) -> String {
    GREET.fetch_add(1, SeqCst);
    let mut text = name.repeat(usize::from(*times)) + &suffix.into();
    if loud {
        text = text.to_uppercase();
        loud = false;
    }
    format!("{text}{loud}")
}

#[tokio::test]
async fn borrowed_and_converted_arguments_are_keys() {
    isolated(|_| async {
        let loads = || GREET.load(SeqCst);
        let name = String::from("ho");
        assert_eq!(greet(&name, &2, "!", false).await, "hoho!false");
        assert_eq!(
            greet("ho", &2, String::from("!"), false).await,
            "hoho!false"
        );
        assert_eq!(loads(), 1);
        assert_eq!(greet("ho", &2, "!", true).await, "HOHO!false");
        assert_eq!(greet("ho", &2, "?", true).await, "HOHO?false");
        assert_eq!(loads(), 3);
        greet::remove_cached("ho", &2, "!", true).await.unwrap();
        greet("ho", &2, "!", true).await;
        greet("ho", &2, "?", true).await;
        assert_eq!(loads(), 4);
        revalidate::invalidate_cache("greeting:ho:  2")
            .await
            .unwrap();
        greet("ho", &2, "!", true).await;
        assert_eq!(loads(), 5);
    })
    .await;
}

counter!(SIZE);
#[web_method(cache(ttl = 60))]
async fn size_of<T: Send + 'static, const N: usize>() -> usize {
    SIZE.fetch_add(1, SeqCst);
    size_of_array::<T, N>()
}

fn size_of_array<T, const N: usize>() -> usize {
    std::mem::size_of::<[T; N]>()
}

counter!(GENERIC);
#[web_method(cache(tags = ["shown:{value}"], ttl = 60))]
async fn shown<T>(value: T) -> String
where
    T: CacheKey + std::fmt::Display + Send + 'static,
{
    GENERIC.fetch_add(1, SeqCst);
    value.to_string()
}

#[tokio::test]
async fn type_arguments_are_in_the_key() {
    isolated(|_| async {
        assert_eq!(size_of::<u8, 3>().await, 3);
        assert_eq!(size_of::<u16, 3>().await, 6);
        assert_eq!(size_of::<u16, 4>().await, 8);
        assert_eq!(size_of::<u16, 4>().await, 8);
        assert_eq!(SIZE.load(SeqCst), 3);
        size_of::remove_cached::<u16, 4>().await.unwrap();
        assert_eq!(size_of::<u16, 4>().await, 8);
        assert_eq!(SIZE.load(SeqCst), 4);

        // Equal by value, but of two types.
        assert_eq!(shown(1_u8).await, "1");
        assert_eq!(shown(1_u16).await, "1");
        assert_eq!(shown(String::from("1")).await, "1");
        assert_eq!(shown(1_u8).await, "1");
        assert_eq!(GENERIC.load(SeqCst), 3);
    })
    .await;
}

counter!(FIB);

#[web_method(cache(ttl = "1h"))]
async fn fib(n: u64) -> u64 {
    FIB.fetch_add(1, SeqCst);
    if n < 2 {
        n
    } else {
        fib(n - 1).await + fib(n - 2).await
    }
}

#[web_method(cache(ttl = "1h", foreground))]
async fn fib_here(n: u64) -> u64 {
    if n < 2 {
        n
    } else {
        fib_here(n - 1).await + fib_here(n - 2).await
    }
}

#[web_method(cache(ttl = "1h"))]
async fn is_even(n: u64) -> bool {
    n == 0 || is_odd(n - 1).await
}

#[web_method(cache(ttl = "1h"))]
async fn is_odd(n: u64) -> bool {
    n != 0 && is_even(n - 1).await
}

#[tokio::test]
async fn recursive_functions_compile_and_load_each_call_once() {
    isolated(|_| async {
        assert_eq!(fib(40).await, 102_334_155);
        assert_eq!(FIB.load(SeqCst), 41);
        assert_eq!(fib_here(40).await, 102_334_155);
        assert!(tokio::spawn(is_even(20)).await.unwrap());
        assert!(!is_odd(20).await);
    })
    .await;
}

type Outcome<T> = Result<T, Failure>;

#[derive(Debug, PartialEq)]
enum Failure {
    Odd,
    Slow(LoadTimeout),
}

impl From<LoadTimeout> for Failure {
    fn from(limit: LoadTimeout) -> Self {
        Self::Slow(limit)
    }
}

counter!(HALF);
#[web_method(cache(ttl = 60))]
async fn half(n: u32) -> Outcome<u32> {
    HALF.fetch_add(1, SeqCst);
    if n % 2 == 1 {
        return Err(Failure::Odd);
    }
    Ok(n / 2)
}

#[tokio::test]
async fn errors_are_not_cached_behind_an_alias_either() {
    isolated(|_| async {
        assert_eq!(half(4).await, Ok(2));
        assert_eq!(half(4).await, Ok(2));
        assert_eq!(HALF.load(SeqCst), 1);
        assert_eq!(half(5).await, Err(Failure::Odd));
        assert_eq!(half(5).await, Err(Failure::Odd));
        assert_eq!(HALF.load(SeqCst), 3);
    })
    .await;
}

counter!(FIND);
#[web_method(cache(ttl = "1h", none = "30s"))]
async fn find(id: u32) -> Option<u32> {
    FIND.fetch_add(1, SeqCst);
    (id > 10).then_some(id)
}

counter!(TRY_FIND);
#[web_method(cache(ttl = "1h", none = 30))]
async fn try_find(id: u32) -> Result<Option<u32>, Failure> {
    TRY_FIND.fetch_add(1, SeqCst);
    Ok((id > 10).then_some(id))
}

#[tokio::test]
async fn none_is_a_value_for_as_long_as_it_is_given() {
    isolated(|clock| async move {
        for _ in 0..2 {
            assert_eq!((find(1).await, find(11).await), (None, Some(11)));
            assert_eq!(
                (try_find(1).await, try_find(11).await),
                (Ok(None), Ok(Some(11)))
            );
        }
        assert_eq!((FIND.load(SeqCst), TRY_FIND.load(SeqCst)), (2, 2));
        clock.advance(Duration::from_secs(31));
        for _ in 0..2 {
            assert_eq!((find(1).await, find(11).await), (None, Some(11)));
            assert_eq!(
                (try_find(1).await, try_find(11).await),
                (Ok(None), Ok(Some(11)))
            );
        }
        assert_eq!((FIND.load(SeqCst), TRY_FIND.load(SeqCst)), (3, 3));
    })
    .await;
}

#[web_method(cache(ttl = 60, timeout = "5s"))]
async fn never(id: u32) -> Outcome<u32> {
    std::future::pending::<()>().await;
    Ok(id)
}

#[tokio::test]
async fn a_time_limit_becomes_an_error_of_the_function() {
    isolated(|clock| async move {
        let call = tokio::spawn(Cache::current().unwrap().enter(never(3)));
        while !call.is_finished() {
            clock.advance(Duration::from_secs(6));
            tokio::task::yield_now().await;
        }
        let Err(Failure::Slow(limit)) = call.await.unwrap() else {
            panic!("in time?")
        };
        assert_eq!(limit.limit, Duration::from_secs(5));
    })
    .await;
}

#[derive(Clone, CacheKey)]
struct User {
    id: u64,
    name: String,
}

#[derive(Clone)]
struct Db(Arc<AtomicUsize>);

#[web_method(cache(tags = ["user:{tag}"], ttl = 60))]
async fn profile(
    #[cache(skip)] db: &Db,
    #[cache(key = user.id)] user: User,
    (tag, _): (u8, u8),
) -> String {
    db.0.fetch_add(1, SeqCst);
    format!("{}:{tag}", user.name)
}

#[web_method(cache(ttl = 60, key = (user.id, locale.len())))]
async fn title(#[cache(skip)] db: Db, user: User, locale: &str) -> String {
    db.0.fetch_add(1, SeqCst);
    format!("{}:{locale}", user.name)
}

#[tokio::test]
async fn expressions_stand_for_arguments_and_skipped_ones_are_left_out() {
    isolated(|_| async {
        let loads = Arc::new(AtomicUsize::new(0));
        let db = Db(Arc::clone(&loads));
        let user = |id, name: &str| User {
            id,
            name: name.to_owned(),
        };
        assert_eq!(profile(&db, user(1, "ann"), (1, 2)).await, "ann:1");
        assert_eq!(profile(&db, user(1, "bob"), (1, 2)).await, "ann:1");
        assert_eq!(profile(&db, user(1, "bob"), (2, 2)).await, "bob:2");
        assert_eq!(loads.load(SeqCst), 2);
        profile::remove_cached(user(1, ""), (1, 2)).await.unwrap();
        assert_eq!(profile(&db, user(1, "bob"), (1, 2)).await, "bob:1");

        assert_eq!(title(db.clone(), user(1, "ann"), "de").await, "ann:de");
        assert_eq!(title(db.clone(), user(1, "ann"), "fr").await, "ann:de");
        title::remove_cached(user(1, ""), "xx").await.unwrap();
        assert_eq!(title(db.clone(), user(1, "ann"), "fr").await, "ann:fr");
    })
    .await;
}

counter!(HERE);
#[web_method(cache(ttl = 60, foreground))]
async fn longest(#[cache(key = words.len())] words: &[&str], cell: std::rc::Rc<u8>) -> String {
    HERE.fetch_add(1, SeqCst);
    let longest = words.iter().max_by_key(|word| word.len());
    format!("{}{cell}", longest.unwrap_or(&""))
}

#[tokio::test]
async fn in_the_foreground_nothing_need_be_owned() {
    isolated(|_| async {
        let text = String::from("a bcd ef");
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!(longest(&words, std::rc::Rc::new(1)).await, "bcd1");
        assert_eq!(longest(&words, std::rc::Rc::new(1)).await, "bcd1");
        assert_eq!(longest(&words[..1], std::rc::Rc::new(1)).await, "a1");
        assert_eq!(HERE.load(SeqCst), 2);
    })
    .await;
}

mod inner {
    use revalidate::web_method;

    #[web_method(cache(companion = none, ttl = 60))]
    pub(crate) async fn alone(n: u8) -> u8 {
        n
    }

    #[web_method(cache(companion = Calls, version = 2, weight = weigh))]
    pub(super) async fn renamed(n: u8) -> Vec<u8> {
        vec![n; 3]
    }

    fn weigh(value: &[u8]) -> usize {
        value.len()
    }

    /// In the way of a companion.
    pub(crate) mod alone {
        pub(crate) const ONE: u8 = 1;
    }
}

/// Where the function is not, its companion is not.
#[web_method(cache(ttl = 3))]
#[cfg(any())]
async fn absent(_: NoSuchType) {}

/// Two functions by one name on two systems.
#[web_method(cache(ttl = 3))]
#[cfg(not(any()))]
async fn absent() -> u8 {
    3
}

#[web_method]
#[cache_tag("tagged")]
async fn tagged_only() -> u8 {
    absent().await
}

const ALL: &str = "everything";

counter!(EXPR);
#[web_method(cache(tags = [ALL, format!("n:{}", n % 2), [ALL, "more"], "{{n}}:{n}"], life = if n > 5 { Life::from_secs(600) } else { Life::from_secs(6) }))]
async fn with_expressions(n: u32) -> u32 {
    EXPR.fetch_add(1, SeqCst);
    n
}

#[tokio::test]
async fn companions_and_tags_may_be_named_otherwise() {
    isolated(|_| async {
        assert_eq!(inner::alone(inner::alone::ONE).await, 1);
        assert_eq!(inner::renamed(3).await, [3, 3, 3]);
        inner::Calls::remove_cached(3).await.unwrap();
        inner::Calls::clear().await.unwrap();

        #[web_method(cache(tags = ["n:{n}"]))]
        async fn nested(n: u8) -> u8 {
            n + 1
        }
        assert_eq!(nested(3).await, 4);
        nested::remove_cached(3).await.unwrap();

        for (tag, loads) in [
            ("everything", 2),
            ("n:0", 3),
            ("more", 4),
            ("{n}:8", 5),
            ("n:1", 5),
        ] {
            with_expressions(8).await;
            revalidate::invalidate_cache(tag).await.unwrap();
            with_expressions(8).await;
            assert_eq!(EXPR.load(SeqCst), loads, "{tag}");
        }
    })
    .await;
}

#[tokio::test]
async fn no_cache_is_no_cache() {
    #[web_method(Permissions::SiteMember)]
    async fn plain(n: u8) -> u8 {
        n
    }
    #[web_method(cache())]
    async fn defaults() -> u8 {
        7
    }
    assert_eq!(plain(1).await, 1);
    assert_eq!(tagged_only().await, 3);
    isolated(|_| async {
        assert_eq!(defaults().await, 7);
        defaults::remove_cached().await.unwrap();
    })
    .await;
}
