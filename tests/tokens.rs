//! Promise P3 across processes: transactions and HTTP requests that are at least as new as what
//! their sender has seen.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

#[expect(dead_code, reason = "an example, with its `main`")]
#[path = "../examples/tokens.rs"]
mod example;

use std::time::Duration;

use axum::http::{Method, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use support::{Gate, Store, until, within};
use tailetc::{Db, Error, Options, RAW, Token};
use tokio::task::JoinSet;

on_every_backend! {
    transaction_after_a_token_sees_what_the_token_speaks_of,
    transaction_after_a_token_of_another_cluster_is_refused_and_not_run,
    transaction_after_a_token_that_is_not_reached_in_time_is_not_run,
    transaction_after_a_token_is_run_again_on_a_conflict,
    client_reads_its_writes_from_either_replica,
}

async fn put(db: &Db, key: &str, value: &'static str) -> Token {
    let put = db.transact(|txn| txn.put(RAW, key, Bytes::from(value)));
    within("put", put).await.unwrap().1.token()
}

async fn transaction_after_a_token_sees_what_the_token_speaks_of(store: Store) {
    let (one, two) = (store.db().await, store.db().await);
    for round in 0..20_u8 {
        let token = put(&one, "question", "?").await;
        let (asked, commit) = within(
            "answer",
            two.transact_after(&token, |txn| {
                let asked = txn.contains(RAW, "question")?;
                txn.delete(RAW, "question")?;
                Ok::<_, Error>(asked)
            }),
        )
        .await
        .unwrap();
        assert!(asked && commit.changed(), "round {round}");
        assert!(commit.revision() > token.revision());
        within("back", one.at_least(&commit.token())).await.unwrap();
    }
}

async fn transaction_after_a_token_of_another_cluster_is_refused_and_not_run(store: Store) {
    let db = store.db().await;
    let foreign = tailetc::open("memory://").connect().await.unwrap();
    let mut runs = 0;
    let mut run = async |token: &Token| {
        let after = db.transact_after(token, |txn| {
            runs += 1;
            txn.put(RAW, "a", Bytes::new())
        });
        within("transaction", after).await.unwrap_err()
    };
    let refused = run(&foreign.snapshot().token()).await;
    assert!(matches!(refused, Error::TokenMismatch { .. }), "{refused:?}");
    // Of this cluster, and ahead of everything that it has: of a history that is gone.
    let printed = db.snapshot().token().to_string();
    let parts: Vec<&str> = printed.split('-').collect();
    let ahead = [&parts[..parts.len() - 1], &["7fffffff"]].concat().join("-");
    let refused = run(&ahead.parse().unwrap()).await;
    assert!(matches!(refused, Error::TokenMismatch { .. }), "{refused:?}");
    assert_eq!(runs, 0);
    assert!(store.get("/t/a").await.is_none());
}

async fn transaction_after_a_token_that_is_not_reached_in_time_is_not_run(store: Store) {
    let gate = Gate::new(&store);
    let mut options = Options::default();
    options.catch_up_timeout = Duration::from_millis(100);
    let db = gate.builder().options(options).connect().await.unwrap();
    let other = store.db().await;
    gate.hold_watches();
    gate.distrust_progress();
    let token = put(&other, "a", "1").await;
    let mut runs = 0;
    let after = db.transact_after(&token, |_| {
        runs += 1;
        Ok::<_, Error>(())
    });
    let late = within("transaction", after).await.unwrap_err();
    let typed = matches!(late, Error::NotCaughtUp { target, committed: None, .. }
        if target == token.revision());
    assert!(typed && late.is_transient() && runs == 0, "{late:?}");
    gate.release_watches();
    let run = async || {
        let after = db.transact_after(&token, |txn| txn.get(RAW, "a"));
        after.await.is_ok_and(|(value, _)| value.is_some())
    };
    within("caught up", async { while !run().await {} }).await;
}

async fn transaction_after_a_token_is_run_again_on_a_conflict(store: Store) {
    let db = store.db().await;
    let token = put(&db, "count", "").await;
    let mut adding = JoinSet::new();
    for _ in 0..8 {
        let db = db.clone();
        adding.spawn(async move {
            let add = db.transact_after(&token, |txn| {
                let count = txn.get(RAW, "count")?.unwrap_or_default();
                txn.put(RAW, "count", Bytes::from([&count[..], b"|"].concat()))
            });
            add.await.unwrap();
        });
    }
    within("all", adding.join_all()).await;
    assert_eq!(db.get(RAW, "count").unwrap().unwrap().len(), 8);
}

async fn client_reads_its_writes_from_either_replica(store: Store) {
    let (gate, mut serving) = (Gate::new(&store), JoinSet::new());
    let dbs = [store.db().await, gate.builder().connect().await.unwrap()];
    let mut replicas = Vec::new();
    for db in &dbs {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        replicas.push(format!("http://{}/greeting", listener.local_addr().unwrap()));
        let app = example::app(db.clone());
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let ask = async |method: Method, replica: usize, token: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(&replicas[replica]);
        let request = request.header("tailetc-token", token).body(Full::from(body)).unwrap();
        let answer = within("answer", client.request(request)).await.unwrap();
        let token = answer.headers()["tailetc-token"].to_str().unwrap().to_owned();
        let status = answer.status().as_u16();
        (status, token, answer.into_body().collect().await.unwrap().to_bytes())
    };
    let mut token = dbs[0].snapshot().token().to_string();
    for round in 0..10 {
        let (status, seen, _) = ask(Method::PUT, round % 2, &token, ".").await;
        assert_eq!(status, 204);
        let (status, seen, body) = ask(Method::GET, (round + 1) % 2, &seen, "").await;
        assert_eq!((status, body.len()), (200, round + 1));
        token = seen;
    }
    // A replica that is behind waits, until it is not any more.
    gate.hold_watches();
    gate.distrust_progress();
    let (_, seen, _) = ask(Method::PUT, 0, &token, "!").await;
    let (answer, ()) = tokio::join!(ask(Method::GET, 1, &seen, ""), async {
        until("it asks the store", || gate.ranges() > 0).await;
        gate.release_watches();
    });
    assert_eq!((answer.0, &*answer.2), (200, &b"..........!"[..]));
    assert_eq!(ask(Method::GET, 1, "not a token", "").await.0, 400);
    let foreign = tailetc::open("memory://").connect().await.unwrap().snapshot().token();
    assert_eq!(ask(Method::GET, 1, &foreign.to_string(), "").await.0, 409);
}
