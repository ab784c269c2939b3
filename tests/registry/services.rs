//! Creating, reading, updating and deleting.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::http::Reply;
use crate::support::{Http, Registry};

async fn post(http: &Http, service: &Value) -> Reply {
    http.send(Method::POST, "/v1/services", &[], Some(service)).await
}

#[tokio::test]
async fn post_creates_a_service_once() {
    let (registry, http) = Registry::serve(&[]).await;
    let web = json!({ "name": "eu/web", "service": { "version": "1", "addresses": ["a:80"] } });

    let created = post(&http, &web).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), "/v1/services/eu/web");
    assert_eq!(created.header("etag"), format!("\"{}\"", created.json()["revision"]));

    let read = http.get(created.header("location"), &[]).await;
    assert_eq!(read.header("etag"), created.header("etag"));
    assert_eq!(read.ok(), web["service"]);

    assert_eq!(post(&http, &web).await.status, 409);
    registry.stop().await;
}

#[tokio::test]
async fn read_of_a_known_version_is_not_sent_again() {
    let (registry, http) = Registry::serve(&[]).await;
    let created = http.put("web", &[("if-none-match", "*")], &json!({ "version": "1" })).await;
    assert_eq!(created.status, 201);
    let etag = created.header("etag");

    let read = http.get("/v1/services/web", &[("if-none-match", etag)]).await;
    assert_eq!((read.status, read.body.len()), (304, 0));
    assert_eq!(read.header("etag"), etag);
    assert_eq!(http.get("/v1/services/web", &[("if-none-match", "\"1\"")]).await.status, 200);
    registry.stop().await;
}

#[tokio::test]
async fn delete_removes_what_its_condition_names() {
    let (registry, http) = Registry::serve(&[]).await;
    assert_eq!(http.delete("web", &[]).await.status, 404);
    assert_eq!(http.delete("web", &[("if-match", "*")]).await.status, 412);
    let created = http.put("web", &[("if-none-match", "*")], &json!({ "version": "1" })).await;
    let etag = created.header("etag");

    assert_eq!(http.delete("web", &[("if-match", "\"1\"")]).await.status, 412);
    assert_eq!(http.get("/v1/services/web", &[]).await.status, 200);
    assert_eq!(http.delete("web", &[("if-match", etag)]).await.status, 204);
    assert_eq!(http.get("/v1/services/web", &[]).await.status, 404);
    registry.stop().await;
}

#[tokio::test]
async fn request_that_makes_no_sense_is_refused_with_the_reason() {
    let (registry, http) = Registry::serve(&[]).await;
    let any = [("if-match", "*")];
    let service = json!({ "version": "1" });

    assert_eq!(http.get("/v2", &[]).await.status, 404);
    let put = http.send(Method::PUT, "/v1/services", &[], Some(&service)).await;
    assert_eq!(put.status, 405);
    assert_eq!(post(&http, &json!({ "name": "web" })).await.status, 422);
    let dots = json!({ "name": "eu/../web", "service": service });
    assert_eq!(post(&http, &dots).await.status, 422);
    assert_eq!(http.put("a%20b", &any, &service).await.status, 400);
    assert_eq!(http.put("%ff", &any, &service).await.status, 400);
    assert_eq!(http.put("web", &any, &json!({ "version": 1 })).await.status, 422);
    let not_json = http.send(Method::PUT, "/v1/services/web", &any, None).await;
    assert_eq!(not_json.status, 415);
    assert!(http.list_all("", &[]).await.is_empty());
    registry.stop().await;
}

#[tokio::test]
async fn service_that_the_store_does_not_take_is_refused_with_the_numbers() {
    let (registry, http) = Registry::serve(&[]).await;
    let large = json!({ "version": "1", "description": "d".repeat(1_600_000) });
    let refused = http.put("web", &[("if-none-match", "*")], &large).await;
    assert_eq!(refused.status, 413);
    assert!(refused.json()["title"].as_str().unwrap().contains("1572864"), "{refused:?}");
    registry.stop().await;
}

#[tokio::test]
async fn replica_says_where_it_listens() {
    let (registry, http) = Registry::serve(&["--name", "a"]).await;
    let alive = http.get("/v1/replicas", &[]).await.ok();
    let address = http.base().strip_prefix("http://").unwrap();
    assert_eq!(alive["replicas"], json!({ "a": address }));
    registry.stop().await;
}

#[tokio::test]
async fn probes_and_counters_tell_of_the_copy() {
    let (registry, http) = Registry::serve(&[]).await;
    http.put("web", &[("if-none-match", "*")], &json!({ "version": "1" })).await.ok();
    assert_eq!(http.get("/healthz", &[]).await.status, 200);
    assert_eq!(http.get("/readyz", &[]).await.ok()["phase"], "tailing");
    let stats = http.get("/stats", &[]).await.ok();
    // The service, and the key that says that this replica is alive.
    assert_eq!((&stats["keys"], &stats["commits"]), (&json!(2), &json!(2)));
    registry.stop().await;
}
