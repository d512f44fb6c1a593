//! Responses as the layer keeps them: paths as tags, recordings, who joins at the head.

use std::sync::Arc;
use std::time::Duration;

use cache_core::respond::{self, Found, Joined, Recording, ResponseKey, Turn};
use cache_core::spi::path_tags;
use cache_core::{
    Cache, InvalidateError, Life, NotStorable, PathTarget, Reason, cache_tag, invalidate_cache,
};

use super::support::{build, cache, nothing_runs, ok, secs, settle};

/// Keeps something under the tags that a response at `path` carries.
fn put(cache: &Cache, path: &str, route: Option<&str>) {
    let tags = path_tags(path, route).unwrap();
    let key = ResponseKey::new(path.as_bytes());
    respond::put(cache, &key, (1_u64, 8), Life::from("1h"), &tags, None);
}

fn is_there(cache: &Cache, path: &str) -> bool {
    let (_, found) = respond::find::<u64>(cache, path.as_bytes());
    matches!(found, Found::Fresh(..))
}

/// Which of the paths are left after `target` was revalidated.
fn left(routed: bool, target: impl Into<PathTarget>) -> Vec<&'static str> {
    let (cache, _) = cache();
    let paths = [
        ("/", "/"),
        ("/blog", "/blog"),
        ("/blog/hello", "/blog/{slug}"),
        ("/blog/hello/comments", "/blog/{slug}/comments"),
        ("/blogs", "/{page}"),
        ("/shop/7", "/shop/{id}"),
    ];
    for (path, route) in paths {
        put(&cache, path, routed.then_some(route));
    }
    drop(cache.revalidate_path(target));
    let paths = paths.into_iter().map(|(path, _)| path);
    paths.filter(|path| is_there(&cache, path)).collect()
}

#[test]
fn verbs_a_page_by_its_concrete_path() {
    for routed in [true, false] {
        let rest = ["/", "/blog", "/blog/hello/comments", "/blogs", "/shop/7"];
        assert_eq!(left(routed, "/blog/hello"), rest);
        assert_eq!(
            left(routed, "/blog/hello/"),
            rest,
            "a slash at the end is nothing"
        );
        assert_eq!(left(routed, "/").len(), 5);
        assert_eq!(left(routed, "/unknown").len(), 6);
    }
}

#[test]
fn verbs_a_layout_by_its_concrete_path() {
    for routed in [true, false] {
        assert_eq!(
            left(routed, PathTarget::layout("/blog")),
            ["/", "/blogs", "/shop/7"]
        );
        assert_eq!(left(routed, PathTarget::layout("/")), [""; 0]);
        assert_eq!(left(routed, PathTarget::layout("/blog/hello")).len(), 4);
    }
}

#[test]
fn verbs_a_page_by_the_pattern_of_its_route() {
    let rest = ["/", "/blog", "/blog/hello/comments", "/blogs", "/shop/7"];
    assert_eq!(left(true, "/blog/{slug}"), rest);
    assert_eq!(
        left(true, PathTarget::layout("/blog/{slug}")),
        ["/", "/blog", "/blogs", "/shop/7"]
    );
}

/// No route is known there: too much is dropped, never too little.
#[test]
fn verbs_a_pattern_drops_by_its_literal_prefix_what_was_stored_outside_a_router() {
    assert_eq!(left(false, "/blog/{slug}"), ["/", "/blogs", "/shop/7"]);
    assert_eq!(
        left(false, PathTarget::layout("/blog/{slug}")),
        ["/", "/blogs", "/shop/7"]
    );
    assert_eq!(left(false, "/{page}"), [""; 0]);
}

#[tokio::test]
async fn rule_4_paths_have_at_most_32_levels() {
    let (cache, _) = cache();
    let deep = |levels: usize| "/a".repeat(levels - 1);
    assert!(path_tags(&deep(32), None).is_ok());
    assert_eq!(path_tags(&deep(33), None), Err(NotStorable::PathLevels));
    assert_eq!(
        path_tags("/a", Some(&deep(33))),
        Err(NotStorable::PathLevels)
    );
    assert_eq!(
        path_tags(&"/a".repeat(1_000_000), None),
        Err(NotStorable::PathLevels)
    );
    assert!(cache.revalidate_path(deep(32)).await.is_ok());
    for wrong in [
        deep(33),
        "blog".into(),
        String::new(),
        "/a".repeat(1_000_000),
    ] {
        let error = cache.revalidate_path(wrong).await.unwrap_err();
        assert!(matches!(error, InvalidateError::InvalidPath { .. }));
    }
}

const KEY: &[u8] = b"GET /page";

fn lead(cache: &Cache) -> Recording {
    let (arrival, found) = respond::find::<u64>(cache, KEY);
    assert!(matches!(found, Found::Miss(..)));
    match respond::board::<u64>(cache, &ResponseKey::new(KEY), arrival, &[]) {
        Turn::Lead(recording) => recording,
        other => panic!("{other:?}"),
    }
}

fn join(cache: &Cache) -> respond::Joining {
    let (arrival, _) = respond::find::<u64>(cache, KEY);
    match respond::board::<u64>(cache, &ResponseKey::new(KEY), arrival, &[]) {
        Turn::Join(joining) => joining,
        other => panic!("{other:?}"),
    }
}

fn reason(cache: &Cache) -> Option<Reason> {
    match respond::find::<u64>(cache, KEY).1 {
        Found::Miss(reason, _) => Some(reason),
        _ => None,
    }
}

#[tokio::test]
async fn rule_2_tags_of_calls_inside_a_response_join_it() {
    let (cache, _) = cache();
    let recording = lead(&cache);
    let inside = cache.clone();
    let handler = async move {
        cache_tag("said");
        inside.fetch("row", "1h", ["row"], ok(1_u64)).await.unwrap();
    };
    recording.scope().enter(handler).await;
    recording
        .store(1_u64, 8, (Some("1d".into()), Duration::ZERO), None)
        .1
        .unwrap();
    assert_eq!(reason(&cache), None);
    cache.invalidate_cache("row").await.unwrap();
    assert_eq!(reason(&cache), Some(Reason::Tag));
}

#[tokio::test]
async fn verbs_inside_a_response_an_invalidation_is_applied_and_it_is_not_stored() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    let recording = lead(&cache);
    recording
        .scope()
        .enter(async { invalidate_cache("t").await.unwrap() })
        .await;
    assert_eq!(cache.get::<u64>("row").await, None);
    let (_, stored) = recording.store(1_u64, 8, (Some("1d".into()), Duration::ZERO), None);
    assert_eq!(stored, Err(Reason::NotStorable(NotStorable::Invalidated)));
    assert_eq!(
        reason(&cache),
        Some(Reason::NotStorable(NotStorable::Invalidated))
    );
}

#[tokio::test]
async fn rule_1_holds_for_a_recording() {
    let (cache, _) = cache();
    let recording = lead(&cache);
    drop(cache.invalidate_cache("late"));
    recording.scope().run(|| cache_tag("late"));
    let (_, stored) = recording.store(1_u64, 8, (Some("1d".into()), Duration::ZERO), None);
    assert_eq!(stored, Err(Reason::LoadRaced));
}

/// Before all its tags are known, who came after the sequence moved cannot judge it, and goes alone.
#[tokio::test]
async fn a2_who_joins_a_recording_body_came_before_the_sequence_moved() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    let recording = lead(&cache);
    let before = join(&cache);
    drop(cache.invalidate_cache("t"));
    let after = join(&cache);
    recording.share_head(Arc::new("the head"));
    assert!(matches!(
        before
            .wait::<u64>(&cache, respond::wait_until(&cache))
            .await,
        Joined::Head(_)
    ));
    assert!(matches!(
        after.wait::<u64>(&cache, respond::wait_until(&cache)).await,
        Joined::Alone
    ));
    recording
        .store(1_u64, 8, (Some("1d".into()), Duration::ZERO), None)
        .1
        .unwrap();
}

#[tokio::test]
async fn a2_who_came_after_the_sequence_moved_may_take_a_finished_response_that_nothing_overtook() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    for overtaken in [false, true] {
        let recording = lead(&cache);
        drop(cache.invalidate_cache(if overtaken { "late" } else { "t" }));
        let after = join(&cache);
        recording.scope().run(|| cache_tag("late"));
        drop(recording.store(1_u64, 8, (Some("1d".into()), Duration::ZERO), None));
        let got = after.wait::<u64>(&cache, respond::wait_until(&cache)).await;
        if overtaken {
            assert!(matches!(got, Joined::Again), "{got:?}");
        } else {
            assert!(matches!(got, Joined::Done(_)), "{got:?}");
            drop(cache.clear_memory());
        }
        cache.put("row", 1_u64, "1h", ["t"]);
    }
}

#[tokio::test]
async fn rule_10_a_recording_that_is_dropped_releases_its_joiners() {
    let (cache, _) = cache();
    let recording = lead(&cache);
    let joining = join(&cache);
    drop(recording);
    assert!(matches!(
        joining
            .wait::<u64>(&cache, respond::wait_until(&cache))
            .await,
        Joined::Alone
    ));
    nothing_runs(&cache).await;
    drop(lead(&cache));
}

#[tokio::test]
async fn rule_10_joining_a_response_has_a_limit() {
    let (cache, clock) = cache();
    let recording = lead(&cache);
    let joining = join(&cache);
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            matches!(
                joining
                    .wait::<u64>(&cache, respond::wait_until(&cache))
                    .await,
                Joined::Alone
            )
        })
    };
    settle().await;
    clock.advance(secs(30));
    assert!(task.await.unwrap());
    recording.refuse(NotStorable::Response);
}

#[tokio::test]
async fn a_response_found_not_storable_marks_its_key_for_a_while_or_until_a_tag_drops_it() {
    let (cache, clock) = cache();
    let mark = |cache: &Cache| {
        let tags = path_tags("/page", None).unwrap();
        lead(cache).refuse_and_mark(7, &tags, secs(10));
    };
    mark(&cache);
    let found = respond::find::<u64>(&cache, KEY).1;
    assert!(matches!(found, Found::Unstorable(7)), "{found:?}");
    clock.advance(secs(10));
    mark(&cache);
    drop(cache.revalidate_path("/page"));
    drop(lead(&cache));
}

#[tokio::test]
async fn rule_11_bytes_being_recorded_count_and_come_back() {
    let cache = build(Cache::builder().max_bytes(1_000_000));
    let mut one = respond::reserve(&cache);
    let mut other = respond::reserve(&cache);
    assert!(one.grow(200_000));
    assert!(
        !other.grow(200_000),
        "a quarter of the room is for recordings"
    );
    assert!(other.grow(50_000));
    assert_eq!(cache.stats().recording, 250_000);
    drop(one);
    assert!(other.grow(200_000));
    assert!(!other.grow(usize::MAX));
    drop(other);
    assert_eq!(cache.stats().recording, 0);
}
