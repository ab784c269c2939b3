//! `Tailetc-Token` in requests.

use serde_json::json;
use tailetc::Token;

use crate::support::Registry;

#[tokio::test]
async fn token_of_a_write_is_where_the_read_is() {
    let (registry, http) = Registry::serve(&[]).await;
    let created = http.put("web", &[("if-none-match", "*")], &json!({ "version": "1" })).await;
    let read = http.get("/v1/services/web", &[("tailetc-token", created.token())]).await;
    assert_eq!((read.status, read.token()), (200, created.token()));
    registry.stop().await;
}

#[tokio::test]
async fn text_that_is_no_token_is_refused() {
    let (registry, http) = Registry::serve(&[]).await;
    for token in ["", "x", "1-2", "1-2-3-4", "1-1-8000000000000000"] {
        assert_eq!(http.get("/v1/services", &[("tailetc-token", token)]).await.status, 400);
    }
    registry.stop().await;
}

#[tokio::test]
async fn token_of_another_cluster_is_refused() {
    let (registry, http) = Registry::serve(&[]).await;
    let own: Token = http.get("/healthz", &[]).await.token().parse().unwrap();
    let other = format!("{:x}-{:x}-1", own.cluster_id() ^ 1, own.raft_term());
    assert_eq!(http.get("/v1/services", &[("tailetc-token", &other)]).await.status, 409);
    // Also for a write: it would be made on a state that the client knows nothing of.
    let headers = [("tailetc-token", other.as_str()), ("if-none-match", "*")];
    assert_eq!(http.put("web", &headers, &json!({ "version": "1" })).await.status, 409);
    registry.stop().await;
}

#[tokio::test]
async fn token_that_the_store_has_not_reached_is_of_a_lost_history() {
    let (registry, http) = Registry::serve(&[]).await;
    let own: Token = http.get("/healthz", &[]).await.token().parse().unwrap();
    let later = format!("{:x}-{:x}-ffff", own.cluster_id(), own.raft_term());
    for path in ["/v1/services", "/v1/services/web", "/v1/changes"] {
        assert_eq!(http.get(path, &[("tailetc-token", &later)]).await.status, 409);
    }
    registry.stop().await;
}
