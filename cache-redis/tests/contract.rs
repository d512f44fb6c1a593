//! What a session promises, asked of the model and of a real server alike.

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::remote::{Logged, Memory, Position, Record, Remote, Session, Since, Token};
use cache_redis::Redis;
use support::Server;

const MINUTE: Duration = Duration::from_secs(60);

fn record(hard: &[&str], soft: &[&str], keys: &[&'static [u8]]) -> Record {
    Record::new(Token::random(), Token::random())
        .hard(hard.iter().copied())
        .soft(soft.iter().copied())
        .keys(keys.iter().copied())
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|&name| Arc::from(name)).collect()
}

async fn last(session: &dyn Session) -> Position {
    match session.since(None).await.unwrap() {
        Since::Lost { last, .. } => last,
        Since::After { .. } => panic!("a node without a position has lost it"),
    }
}

/// Runs a test on both.
async fn on_both(test: impl AsyncFn(Arc<dyn Session>)) {
    test(Memory::new().connect("revalidate").await.unwrap()).await;
    let server = Server::new();
    let redis = Redis::new(server.url()).unwrap();
    test(redis.connect("revalidate").await.unwrap()).await;
}

#[tokio::test]
async fn an_empty_log_is_given_a_first_record() {
    on_both(async |session| {
        let first = last(&*session).await;
        assert_eq!(last(&*session).await, first);
        let since = session.since(Some(first)).await.unwrap();
        assert_eq!(since, Since::after(Vec::new(), false));
    })
    .await;
}

#[tokio::test]
async fn records_come_in_order_after_a_position() {
    on_both(async |session| {
        let first = last(&*session).await;
        let (one, two) = (record(&["#a"], &["#b"], &[b"k"]), record(&["*"], &[], &[]));
        let appended = session.append(one.clone(), Some(first)).await.unwrap();
        let at_one = appended.at;
        let shown = vec![Logged::new(at_one, Some(one.clone()))];
        assert_eq!(appended.since, Since::after(shown, false));
        let at_two = session.append(two.clone(), None).await.unwrap().at;
        assert!(at_one < at_two);
        let both = vec![
            Logged::new(at_one, Some(one)),
            Logged::new(at_two, Some(two.clone())),
        ];
        let since = session.since(Some(first)).await.unwrap();
        assert_eq!(since, Since::after(both, false));
        let followed = session.follow(at_one, MINUTE).await.unwrap();
        assert_eq!(followed.len(), 1);
        assert_eq!(followed[0].record, Some(two));
    })
    .await;
}

#[tokio::test]
async fn a_position_is_known_by_its_nonce_as_well() {
    on_both(async |session| {
        let first = last(&*session).await;
        let record = record(&["#a"], &[], &[]);
        let at = session.append(record, Some(first)).await.unwrap().at;
        let other = Position {
            nonce: Token::random(),
            ..first
        };
        let since = session.since(Some(other)).await.unwrap();
        assert_eq!(since, Since::lost(at));
    })
    .await;
}

#[tokio::test]
async fn more_than_fit_one_reply_come_in_several() {
    on_both(async |session| {
        let mut at = last(&*session).await;
        for _ in 0..1000 {
            session
                .append(record(&["#a"], &[], &[]), None)
                .await
                .unwrap();
        }
        let mut seen = 0;
        loop {
            let Since::After { records, more, .. } = session.since(Some(at)).await.unwrap() else {
                panic!("nothing was trimmed");
            };
            seen += records.len();
            at = records.last().unwrap().at;
            if !more {
                break;
            }
        }
        assert_eq!(seen, 1000);
    })
    .await;
}

#[tokio::test]
async fn following_waits_for_the_next_record_and_no_longer_than_asked() {
    on_both(async |session| {
        let at = last(&*session).await;
        let none = session.follow(at, Duration::from_millis(50)).await.unwrap();
        assert_eq!(none, []);
        let (followed, appended) = tokio::join!(
            session.follow(at, MINUTE),
            session.append(record(&["#a"], &[], &[]), None),
        );
        assert_eq!(followed.unwrap()[0].at, appended.unwrap().at);
    })
    .await;
}

#[tokio::test]
async fn an_invalidation_changes_the_tokens_there_are_and_makes_none() {
    on_both(async |session| {
        let at = last(&*session).await;
        let token = Token::random();
        let prepared = session
            .prepare(names(&["#a", "#b"]), token, MINUTE, at)
            .await
            .unwrap();
        assert_eq!(prepared.tokens, [token, token]);
        let again = session
            .prepare(names(&["#a"]), Token::random(), MINUTE, at)
            .await
            .unwrap();
        assert_eq!(again.tokens, [token]);
        let record = record(&["#a"], &["#c"], &[]);
        let nonce = record.nonce;
        session.append(record, Some(at)).await.unwrap();
        let tokens = session.tokens(names(&["#a", "#b", "#c"])).await.unwrap();
        assert_eq!(tokens, [Some(nonce), Some(token), None]);
        let shown = session
            .prepare(names(&["#b"]), Token::random(), MINUTE, at)
            .await
            .unwrap();
        assert!(matches!(shown.since, Since::After { records, .. } if records.len() == 1));
    })
    .await;
}

#[tokio::test]
async fn a_place_is_taken_from_what_was_found_there_alone() {
    on_both(async |session| {
        let key = Bytes::from_static(b"key {with} braces");
        let (held, other) = (Token::random(), Token::random());
        assert!(session.hold(key.clone(), held, MINUTE).await.unwrap());
        assert!(!session.hold(key.clone(), other, MINUTE).await.unwrap());
        let entry = Bytes::from([&[7; 16][..], b"entry"].concat());
        assert!(
            !session
                .store(key.clone(), other, entry.clone(), MINUTE)
                .await
                .unwrap()
        );
        assert!(
            session
                .store(key.clone(), held, entry.clone(), MINUTE)
                .await
                .unwrap()
        );
        assert!(
            !session
                .store(key.clone(), held, entry.clone(), MINUTE)
                .await
                .unwrap()
        );
        let read = session.read(key.clone(), names(&["#a"])).await.unwrap();
        assert_eq!((read.occupant, read.tokens), (Some(entry), vec![None]));
        session
            .append(record(&[], &[], &[b"key {with} braces"]), None)
            .await
            .unwrap();
        assert_eq!(session.read(key, Vec::new()).await.unwrap().occupant, None);
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_expires() {
    on_both(async |session| {
        let at = last(&*session).await;
        let short = Duration::from_millis(30);
        let key = Bytes::from_static(b"key");
        assert!(
            session
                .hold(key.clone(), Token::random(), short)
                .await
                .unwrap()
        );
        session
            .prepare(names(&["#a"]), Token::random(), short, at)
            .await
            .unwrap();
        // Longer for one is longer for all.
        session
            .prepare(names(&["#b"]), Token::random(), short, at)
            .await
            .unwrap();
        session
            .prepare(names(&["#b"]), Token::random(), MINUTE, at)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let read = session.read(key, names(&["#a", "#b"])).await.unwrap();
        assert_eq!(read.occupant, None);
        assert!(matches!(read.tokens[..], [None, Some(_)]));
    })
    .await;
}
