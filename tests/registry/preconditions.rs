//! Writes that say what they expect to find.

use serde_json::json;

use crate::support::{Http, Registry};

#[tokio::test]
async fn put_without_a_condition_is_refused() {
    let (registry, http) = Registry::serve(&[]).await;
    assert_eq!(http.put("web", &[], &json!({ "version": "1" })).await.status, 428);
    assert_eq!(http.get("/v1/services/web", &[]).await.status, 404);
    registry.stop().await;
}

#[tokio::test]
async fn put_if_none_match_creates_once() {
    let (registry, http) = Registry::serve(&[]).await;
    let absent = [("if-none-match", "*")];
    assert_eq!(http.put("web", &absent, &json!({ "version": "1" })).await.status, 201);
    assert_eq!(http.put("web", &absent, &json!({ "version": "2" })).await.status, 412);
    assert_eq!(http.get("/v1/services/web", &[]).await.ok()["version"], "1");
    registry.stop().await;
}

#[tokio::test]
async fn put_if_match_updates_only_the_version_named() {
    let (registry, http) = Registry::serve(&[]).await;
    assert_eq!(http.put("web", &[("if-match", "*")], &json!({ "version": "0" })).await.status, 412);
    let created = http.put("web", &[("if-none-match", "*")], &json!({ "version": "1" })).await;
    let first = created.header("etag").to_owned();

    let updated = http.put("web", &[("if-match", &first)], &json!({ "version": "2" })).await;
    assert_eq!(updated.status, 200);
    let second = updated.header("etag").to_owned();
    let stale = http.put("web", &[("if-match", &first)], &json!({ "version": "3" })).await;
    assert_eq!(stale.status, 412);
    assert!(stale.json()["title"].as_str().unwrap().contains(&second), "{stale:?}");
    // A weak tag never matches a strong comparison (RFC 9110, section 13.1.1).
    let weak = format!("W/{second}");
    assert_eq!(
        http.put("web", &[("if-match", &weak)], &json!({ "version": "3" })).await.status,
        412
    );
    assert_eq!(http.get("/v1/services/web", &[]).await.ok()["version"], "2");

    let either = format!("{first}, {second}");
    assert_eq!(
        http.put("web", &[("if-match", &either)], &json!({ "version": "4" })).await.status,
        200
    );
    assert_eq!(http.put("web", &[("if-match", "*")], &json!({ "version": "5" })).await.status, 200);
    registry.stop().await;
}

#[tokio::test]
async fn malformed_condition_is_refused() {
    let (registry, http) = Registry::serve(&[]).await;
    let service = json!({ "version": "1" });
    let conditions: [&[(&str, &str)]; 5] = [
        &[("if-match", "7")],
        &[("if-match", "")],
        &[("if-none-match", "\"7\"")],
        &[("if-match", "*"), ("if-none-match", "*")],
        &[("if-match", "*, \"7\"")],
    ];
    for condition in conditions {
        assert_eq!(http.put("web", condition, &service).await.status, 400, "{condition:?}");
    }
    registry.stop().await;
}

#[tokio::test]
async fn concurrent_updates_lose_nothing() {
    const WORKERS: u64 = 6;
    const EACH: u64 = 10;
    let (registry, http) = Registry::serve(&[]).await;
    let zero = json!({ "version": "1", "size": 0 });
    http.put("counter", &[("if-none-match", "*")], &zero).await.ok();

    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let http = http.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    increment(&http).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let counter = http.get("/v1/services/counter", &[]).await.ok();
    assert_eq!(counter["size"], WORKERS * EACH);
    registry.stop().await;
}

async fn increment(http: &Http) {
    loop {
        let read = http.get("/v1/services/counter", &[]).await;
        let etag = read.header("etag").to_owned();
        let mut counter = read.ok();
        counter["size"] = json!(counter["size"].as_u64().unwrap() + 1);
        match http.put("counter", &[("if-match", &etag)], &counter).await.status {
            200 => return,
            412 => {}
            status => panic!("{status}"),
        }
    }
}
