//! Two registries and a foreign writer on one prefix.

use serde_json::json;
use tailetc_testkit::etcd_server::EtcdServer;

use crate::support::events::{Event, Events};
use crate::support::{Http, Registry, Scratch, eventually};

#[tokio::test]
async fn write_on_one_replica_is_read_on_the_other_with_its_token() {
    let server = EtcdServer::start().await.unwrap();
    let (a, to_a) = Registry::serve(&["--url", &server.url()]).await;
    let (b, to_b) = Registry::serve(&["--url", &server.url()]).await;
    assert_ne!(to_a.base(), to_b.base());
    let created = to_a.put("web", &[("if-none-match", "*")], &json!({ "version": "0" })).await;
    let (mut etag, mut token) = (created.header("etag").to_owned(), created.token().to_owned());
    for round in 1..=50 {
        let (writer, reader) = if round % 2 == 0 { (&to_a, &to_b) } else { (&to_b, &to_a) };
        let service = json!({ "version": round.to_string() });
        // With the token, no replica looks for the condition in a state that is older.
        let headers = [("if-match", etag.as_str()), ("tailetc-token", &token)];
        let written = writer.put("web", &headers, &service).await;
        assert_eq!(written.status, 200);
        (etag, token) = (written.header("etag").to_owned(), written.token().to_owned());
        let read = reader.get("/v1/services/web", &[("tailetc-token", &token)]).await;
        assert_eq!(read.ok(), service);
    }
    let deleted = to_a.delete("web", &[]).await;
    assert_eq!(deleted.status, 204);
    let read = to_b.get("/v1/services/web", &[("tailetc-token", deleted.token())]).await;
    assert_eq!(read.status, 404);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn foreign_writes_are_in_the_streams_of_both_replicas() {
    let server = EtcdServer::start().await.unwrap();
    let (a, to_a) = Registry::serve(&["--url", &server.url()]).await;
    let (b, to_b) = Registry::serve(&["--url", &server.url()]).await;
    let mut streams = [to_a.events("/v1/changes").await, to_b.events("/v1/changes").await];
    // One may show the entry of the other replica already, which the other one does not yet.
    for stream in &mut streams {
        let event = stream.next().await;
        assert_eq!((event.name.as_str(), event.changes().len()), ("initial", 0));
    }

    let key = "/registry/services/by-hand";
    server.etcdctl(&["put", key, r#"{"version":"1"}"#]).await.unwrap();
    for event in both(&mut streams).await {
        assert_eq!(event.changes(), [("create", "by-hand", Some("1"))]);
    }
    server.etcdctl(&["put", key, "no JSON"]).await.unwrap();
    for event in both(&mut streams).await {
        assert_eq!(event.changes(), [("update", "by-hand", None)]);
        assert!(event.data["changes"][0]["error"].is_string(), "{event:?}");
    }
    assert_eq!(to_a.get("/v1/services/by-hand", &[]).await.status, 500);
    let listed = to_b.list_all("", &[]).await;
    assert_eq!((listed.len(), listed[0]["name"].as_str()), (1, Some("by-hand")));
    assert!(listed[0]["error"].is_string(), "{listed:?}");
    to_a.put("by-hand", &[("if-match", "*")], &json!({ "version": "2" })).await.ok();
    for event in both(&mut streams).await {
        assert_eq!(event.changes(), [("update", "by-hand", Some("2"))]);
    }
    server.etcdctl(&["del", key]).await.unwrap();
    for event in both(&mut streams).await {
        assert_eq!(event.changes(), [("delete", "by-hand", None)]);
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn stream_goes_on_at_another_replica() {
    let server = EtcdServer::start().await.unwrap();
    let (a, to_a) = Registry::serve(&["--url", &server.url()]).await;
    let (b, to_b) = Registry::serve(&["--url", &server.url()]).await;
    let mut events = to_a.events("/v1/changes").await;
    events.next().await;
    to_b.put("web", &[("if-none-match", "*")], &json!({ "version": "1" })).await.ok();
    let event = events.next().await;
    a.stop().await;
    to_b.put("web", &[("if-match", "*")], &json!({ "version": "2" })).await.ok();
    let mut events = to_b.events_after("/v1/changes", &event.id.unwrap()).await;
    assert_eq!(events.next().await.changes(), [("update", "web", Some("2"))]);
    b.stop().await;
}

#[tokio::test]
async fn replica_that_stops_or_is_killed_is_not_listed_any_more() {
    let server = EtcdServer::start().await.unwrap();
    let url = server.url();
    let (a, to_a) = Registry::serve(&["--url", &url, "--name", "a"]).await;
    let (b, to_b) = Registry::serve(&["--url", &url, "--name", "b"]).await;
    let (c, to_c) = Registry::serve(&["--url", &url, "--name", "c"]).await;
    let alive = async |headers: &[(&str, &str)]| {
        let mut alive = to_a.get("/v1/replicas", headers).await.ok();
        alive["replicas"].take()
    };
    let address = |http: &Http| http.base().strip_prefix("http://").unwrap().to_owned();
    let token = to_c.get("/healthz", &[]).await.token().to_owned();
    let all = json!({ "a": address(&to_a), "b": address(&to_b), "c": address(&to_c) });
    assert_eq!(alive(&[("tailetc-token", &token)]).await, all);

    b.stop().await;
    c.signal("KILL").await;
    eventually("the only one that is left", async || {
        (alive(&[]).await == json!({ "a": address(&to_a) })).then_some(())
    })
    .await;
    a.stop().await;
}

/// The next event of each of two streams, which must be the same.
async fn both(streams: &mut [Events; 2]) -> [Event; 2] {
    let [a, b] = streams;
    let events = [a.next().await, b.next().await];
    assert_eq!(events[0].id, events[1].id);
    events
}

#[tokio::test]
async fn token_of_another_cluster_is_refused() {
    let (server, other) = (EtcdServer::start().await.unwrap(), EtcdServer::start().await.unwrap());
    let (a, to_a) = Registry::serve(&["--url", &server.url()]).await;
    let (b, to_b) = Registry::serve(&["--url", &other.url()]).await;
    let written = to_b.put("web", &[("if-none-match", "*")], &json!({ "version": "1" })).await;
    let refused = to_a.get("/v1/services", &[("tailetc-token", written.token())]).await;
    assert_eq!(refused.status, 409);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn replica_without_a_server_is_not_ready_and_serves_its_last_state() {
    let mut server = EtcdServer::start().await.unwrap();
    let scratch = Scratch::new();
    let file = scratch.services("a", 300, 10);
    let url = server.url();
    let args = ["--url", &url, "--import", &file, "--timeout", "1"];
    let (a, to_a) = Registry::serve(&args).await;
    server.kill().await.unwrap();
    eventually("a replica that is not ready", async || {
        (to_a.get("/readyz", &[]).await.status == 503).then_some(())
    })
    .await;
    assert_eq!(to_a.get("/healthz", &[]).await.status, 200);
    assert_eq!(to_a.list_all("a", &[]).await.len(), 300);
    let put = to_a.put("b", &[("if-none-match", "*")], &json!({ "version": "1" })).await;
    assert!(matches!(put.status, 503 | 504), "{put:?}");

    server.restart().await.unwrap();
    eventually("a replica that is ready again", async || {
        (to_a.get("/readyz", &[]).await.status == 200).then_some(())
    })
    .await;
    let put = to_a.put("c", &[("if-none-match", "*")], &json!({ "version": "1" })).await;
    assert_eq!(put.status, 201);
    a.stop().await;
}
