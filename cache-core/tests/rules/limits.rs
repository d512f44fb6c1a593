//! Tags are never dropped silently: limits, the forms that tags are given in, reasons.

use std::borrow::Cow;
use std::sync::Arc;

use cache_core::{
    InvalidateError, InvalidationMethod, MAX_TAG_CHARS, MAX_TAGS, NotStorable, Reason, cache_tag,
};

use super::support::{cache, ok, reason};

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("tag:{n}")).collect()
}

#[tokio::test]
async fn rule_4_as_many_tags_as_the_limit_are_all_kept() {
    let (cache, _) = cache();
    for n in [0, MAX_TAGS - 1] {
        cache
            .fetch("row", "1h", numbered(MAX_TAGS), ok(1_u64))
            .await
            .unwrap();
        assert_eq!(reason(&cache, "row"), Reason::Hit);
        cache.invalidate_cache(format!("tag:{n}")).await.unwrap();
        assert_eq!(cache.get::<u64>("row").await, None);
    }
}

#[tokio::test]
async fn rule_4_one_tag_too_many_is_served_and_not_stored_with_the_reason() {
    let (cache, _) = cache();
    for count in [MAX_TAGS + 1, MAX_TAGS + 2, 10_000] {
        let got = cache.fetch("row", "1h", numbered(count), ok(1_u64)).await;
        assert_eq!(got, Ok(1));
        assert_eq!(cache.get::<u64>("row").await, None);
        let why = Reason::NotStorable(NotStorable::TooManyTags);
        assert_eq!(reason(&cache, "row"), why, "{count}");
        assert_eq!(
            cache.put("row", 1_u64, "1h", numbered(count)).why_not(),
            Some(why)
        );
        drop(cache.remove_local("row"));
    }
}

#[tokio::test]
async fn rule_4_a_tag_said_twice_counts_once() {
    let (cache, _) = cache();
    let twice = numbered(MAX_TAGS).into_iter().chain(numbered(MAX_TAGS));
    cache.fetch("row", "1h", twice, ok(1_u64)).await.unwrap();
    assert_eq!(reason(&cache, "row"), Reason::Hit);
}

#[tokio::test]
async fn rule_4_tags_of_the_call_the_body_and_what_is_inside_count_together() {
    let (cache, _) = cache();
    let inside = cache.clone();
    let body = move || async move {
        cache_tag((0..28).map(|n| format!("said:{n}")));
        let inner = (0..28).map(|n| format!("inner:{n}"));
        inside.fetch("inner", "1h", inner, ok(1_u64)).await
    };
    cache
        .fetch("72", "1h", numbered(72), body.clone())
        .await
        .unwrap();
    assert_eq!(reason(&cache, "72"), Reason::Hit);
    cache.fetch("73", "1h", numbered(73), body).await.unwrap();
    assert_eq!(
        reason(&cache, "73"),
        Reason::NotStorable(NotStorable::TooManyTags)
    );
}

#[tokio::test]
async fn rule_4_an_entry_that_lacks_a_tag_makes_what_is_made_from_it_not_storable() {
    let (cache, _) = cache();
    let inside = cache.clone();
    let body = move || async move { inside.fetch("inner", "1h", numbered(129), ok(1_u64)).await };
    assert_eq!(cache.fetch("outer", "1h", ["o"], body).await, Ok(1));
    assert_eq!(
        reason(&cache, "outer"),
        Reason::NotStorable(NotStorable::TooManyTags)
    );
    // And with a tag that is none.
    let inside = cache.clone();
    let body = move || async move { inside.fetch("inner", "1h", [""], ok(1_u64)).await };
    assert_eq!(cache.fetch("outer", "1h", ["o"], body).await, Ok(1));
    assert_eq!(
        reason(&cache, "outer"),
        Reason::NotStorable(NotStorable::TagLength)
    );
}

#[tokio::test]
async fn rule_4_tags_have_1_to_256_characters_not_bytes() {
    let (cache, _) = cache();
    let longest = "ä".repeat(MAX_TAG_CHARS);
    cache
        .fetch("row", "1h", &*longest, ok(1_u64))
        .await
        .unwrap();
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    cache.invalidate_cache(&longest).await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);

    let why = Reason::NotStorable(NotStorable::TagLength);
    for wrong in [String::new(), format!("{longest}a")] {
        let got = cache.fetch("wrong", "1h", &wrong, ok(1_u64)).await;
        assert_eq!((got, reason(&cache, "wrong")), (Ok(1), why));
        let said = wrong.clone();
        let load = move || async move {
            cache_tag(&said);
            Ok::<_, &'static str>(1_u64)
        };
        assert_eq!(cache.fetch("said", "1h", ["t"], load).await, Ok(1));
        assert_eq!(reason(&cache, "said"), why);
        assert_eq!(cache.put("put", 1_u64, "1h", &wrong).why_not(), Some(why));
    }
}

#[tokio::test]
async fn rule_4_invalidating_a_tag_that_is_none_is_an_error_and_drops_what_the_others_name() {
    let (cache, _) = cache();
    for wrong in [String::new(), "a".repeat(257)] {
        cache.put("row", 1_u64, "1h", ["t"]);
        cache.put("other", 2_u64, "1h", ["u"]);
        let error = cache.invalidate_cache(["t", &wrong]).await.unwrap_err();
        assert!(
            matches!(&error, InvalidateError::InvalidTag { length, .. } if *length == wrong.len()),
            "{error}"
        );
        assert!(cache.revalidate_tag(wrong).await.is_err());
        assert_eq!(cache.get::<u64>("row").await, None);
        assert_eq!(cache.get::<u64>("other").await, Some(2));
    }
}

#[tokio::test]
async fn rule_4_an_invalidation_may_name_more_tags_than_an_entry_can_carry() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["tag:999"]);
    cache.invalidate_cache(numbered(1_000)).await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn rule_4_a_users_tag_cannot_meet_an_implicit_one() {
    let (cache, _) = cache();
    cache.scope("s").put("row", 1_u64, "1h", ["t"]);
    for name in ["*", "s1:s", "#t", "s"] {
        cache.invalidate_cache(name).await.unwrap();
    }
    assert_eq!(cache.scope("s").get::<u64>("row").await, Some(1));
}

macro_rules! forms {
    ($($name:ident: $tags:expr;)+) => { $(
        #[tokio::test]
        async fn $name() {
            let (cache, _) = cache();
            for (given, dropped) in [(true, false), (false, true)] {
                if given {
                    cache.put("row", 1_u64, "1h", $tags);
                } else {
                    cache.put("row", 1_u64, "1h", ["a"]);
                }
                assert_eq!(cache.get::<u64>("row").await, Some(1));
                if dropped {
                    drop(cache.invalidate_cache($tags));
                } else {
                    drop(cache.invalidate_cache("a"));
                }
                assert_eq!(cache.get::<u64>("row").await, None);
                drop(cache.revalidate_tag($tags));
                cache_tag($tags);
            }
        }
    )+ };
}
forms! {
    verbs_tags_as_text: "a";
    verbs_tags_as_a_string: String::from("a");
    verbs_tags_as_a_borrowed_string: &String::from("a");
    verbs_tags_as_a_cow: Cow::Borrowed("a");
    verbs_tags_as_boxed_text: Box::<str>::from("a");
    verbs_tags_as_shared_text: Arc::<str>::from("a");
    verbs_tags_as_an_array: ["a", "b"];
    verbs_tags_as_a_borrowed_array: &["a", "b"];
    verbs_tags_as_a_vector: vec![String::from("a"), String::from("b")];
    verbs_tags_as_a_slice: &vec![String::from("a")][..];
    verbs_tags_as_an_option: Some("a");
    verbs_tags_as_an_iterator: (0..2).map(|n| if n == 0 { "a".to_owned() } else { "b".to_owned() });
    verbs_tags_as_one_invalidation_method: InvalidationMethod { tag: "a".into() };
    verbs_tags_as_invalidation_methods: [InvalidationMethod { tag: "a".into() }];
    verbs_tags_as_borrowed_invalidation_methods: &[InvalidationMethod { tag: "a".into() }];
}

#[test]
fn verbs_an_invalidation_method_deserialises() {
    let read = serde_json::from_str::<Vec<InvalidationMethod>>;
    let found = read(r#"[{"tag": "contacts"}, {"tag": "contact:\u0037"}]"#).unwrap();
    let tags: Vec<_> = found.iter().map(|method| method.tag.as_str()).collect();
    assert_eq!(tags, ["contacts", "contact:7"]);
    for wrong in [
        r"[{}]",
        r#"[{"tags": "a"}]"#,
        r#"[{"tag": 1}]"#,
        r#"[{"tag":"a","tag":"b"}]"#,
        r#"["a"]"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
