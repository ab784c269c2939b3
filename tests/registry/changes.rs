//! The change stream.

use serde_json::json;

use crate::support::events::Events;
use crate::support::{Http, Registry, Scratch};

#[tokio::test]
async fn stream_is_the_state_and_then_each_transaction() {
    let (registry, http) = Registry::serve(&[]).await;
    let created = http.put("a", &[("if-none-match", "*")], &json!({ "version": "1" })).await;

    let mut events = http.events("/v1/changes").await;
    let initial = events.next().await;
    assert_eq!(initial.name, "initial");
    assert_eq!(initial.id.as_deref(), Some(created.token()));
    assert_eq!(initial.changes(), [("create", "a", Some("1"))]);

    let updated = http.put("a", &[("if-match", "*")], &json!({ "version": "2" })).await;
    let event = events.next().await;
    assert_eq!((event.name.as_str(), event.id.as_deref()), ("transaction", Some(updated.token())));
    assert_eq!(event.data["revision"], updated.json()["revision"]);
    assert_eq!(event.changes(), [("update", "a", Some("2"))]);
    assert_eq!(event.data["changes"][0]["before"]["version"], "1");

    let deleted = http.delete("a", &[]).await;
    let event = events.next().await;
    assert_eq!((event.name.as_str(), event.id.as_deref()), ("transaction", Some(deleted.token())));
    assert_eq!(event.changes(), [("delete", "a", None)]);
    registry.stop().await;
}

#[tokio::test]
async fn stream_from_now_begins_with_its_place_in_history() {
    let (registry, http) = Registry::serve(&[]).await;
    let created = http.put("a", &[("if-none-match", "*")], &json!({ "version": "1" })).await;
    let mut events = http.events("/v1/changes?from=now").await;
    let begin = events.next_or_end().await.unwrap();
    assert_eq!((begin.name.as_str(), begin.id.as_deref()), ("", Some(created.token())));
    http.put("b", &[("if-none-match", "*")], &json!({ "version": "1" })).await.ok();
    assert_eq!(events.next().await.changes(), [("create", "b", Some("1"))]);
    assert_eq!(http.get("/v1/changes?from=then", &[]).await.status, 400);
    registry.stop().await;
}

#[tokio::test]
async fn stream_that_connects_again_gets_what_it_has_missed() {
    let (registry, http) = Registry::serve(&[]).await;
    let created = http.put("a", &[("if-none-match", "*")], &json!({ "version": "1" })).await;
    for version in ["2", "3"] {
        http.put("a", &[("if-match", "*")], &json!({ "version": version })).await.ok();
    }
    let seen = created.token();
    let mut streams = [
        http.events_after("/v1/changes", seen).await,
        // The identifier is newer than the address.
        http.events_after("/v1/changes?from=now", seen).await,
        http.events(&format!("/v1/changes?from={seen}")).await,
    ];
    for events in &mut streams {
        for version in ["2", "3"] {
            let event = events.next().await;
            assert_eq!(event.name, "transaction");
            assert_eq!(event.changes(), [("update", "a", Some(version))]);
        }
    }
    let mut coalesced = http.events_after("/v1/changes?mode=coalesced", seen).await;
    let event = coalesced.next().await;
    assert_eq!(event.name, "coalesced");
    assert_eq!(event.changes(), [("update", "a", Some("3"))]);
    assert_eq!(event.data["changes"][0]["before"]["version"], "1");
    registry.stop().await;
}

#[tokio::test]
async fn stream_from_what_is_not_remembered_begins_with_the_state() {
    let (registry, http) = Registry::serve(&["--stream-buffer", "3"]).await;
    let created = http.put("a", &[("if-none-match", "*")], &json!({ "version": "1" })).await;
    for version in ["2", "3", "4"] {
        http.put("a", &[("if-match", "*")], &json!({ "version": version })).await.ok();
    }
    for token in [created.token(), "1-1-1"] {
        let mut events = http.events_after("/v1/changes", token).await;
        let event = events.next().await;
        assert_eq!(event.name, "initial");
        assert_eq!(event.changes(), [("create", "a", Some("4"))]);
    }
    registry.stop().await;
}

#[tokio::test]
async fn stream_of_a_prefix_has_nothing_else() {
    let (registry, http) = Registry::serve(&[]).await;
    let mut events = http.events("/v1/changes?prefix=eu/").await;
    assert!(events.next().await.changes().is_empty());
    for name in ["us/a", "eu/a", "eu-2/a", "eu/b"] {
        http.put(name, &[("if-none-match", "*")], &json!({ "version": "1" })).await.ok();
    }
    assert_eq!(events.next().await.changes(), [("create", "eu/a", Some("1"))]);
    assert_eq!(events.next().await.changes(), [("create", "eu/b", Some("1"))]);
    registry.stop().await;
}

#[tokio::test]
async fn large_state_comes_in_parts_and_the_last_has_the_identifier() {
    let scratch = Scratch::new();
    let (registry, http) = Registry::serve(&["--import", &scratch.services("a", 1200, 10)]).await;
    let mut events = http.events("/v1/changes").await;
    let mut sizes = Vec::new();
    loop {
        let event = events.next().await;
        assert_eq!(event.name, "initial");
        sizes.push(event.changes().len());
        assert_eq!(event.id.is_none(), event.data["more"] == true);
        if event.id.is_some() {
            break;
        }
    }
    assert_eq!(sizes, [500, 500, 200]);
    registry.stop().await;
}

#[tokio::test]
async fn idle_stream_has_heartbeats() {
    let (registry, http) = Registry::serve(&["--heartbeat", "0.05"]).await;
    let mut events = http.events("/v1/changes").await;
    assert_eq!(events.next().await.name, "initial");
    for _ in 0..2 {
        assert_eq!(events.next_or_end().await.unwrap().data, "heartbeat");
    }
    registry.stop().await;
}

#[tokio::test]
async fn client_that_does_not_read_is_told_that_it_lagged_and_gets_the_final_state() {
    let (registry, http) = Registry::serve(&["--stream-buffer", "8"]).await;
    let mut events = http.events("/v1/changes").await;
    let names = names_until_the_end_of_a_load(&http, &mut events).await;
    assert!(names.iter().any(|name| name == "lagged"), "{names:?}");
    assert!(names.len() < 60, "{names:?}");
    assert!(http.get("/stats", &[]).await.ok()["lagged_watches"].as_u64().unwrap() > 0);
    registry.stop().await;
}

#[tokio::test]
async fn coalesced_client_that_does_not_read_gets_the_difference() {
    let (registry, http) = Registry::serve(&["--stream-buffer", "8"]).await;
    let mut events = http.events("/v1/changes?mode=coalesced").await;
    let names = names_until_the_end_of_a_load(&http, &mut events).await;
    assert!(names.len() < 60, "{names:?}");
    assert!(names[1..].iter().all(|name| name == "coalesced"), "{names:?}");
    assert_eq!(http.get("/stats", &[]).await.ok()["lagged_watches"], 0);
    registry.stop().await;
}

/// Writes a service 60 times while nobody reads; then what events there are until the last value.
async fn names_until_the_end_of_a_load(http: &Http, events: &mut Events) -> Vec<String> {
    // Far more than sockets and buffers hold.
    let description = "d".repeat(500_000);
    for version in 0..60 {
        let service = json!({ "version": version.to_string(), "description": description });
        let condition = if version == 0 { ("if-none-match", "*") } else { ("if-match", "*") };
        http.put("a", &[condition], &service).await.ok();
    }
    let mut names = Vec::new();
    loop {
        let event = events.next().await;
        if event.name != "lagged" && event.changes() == [("update", "a", Some("59"))]
            || event.name == "initial" && event.changes() == [("create", "a", Some("59"))]
        {
            names.push(event.name);
            return names;
        }
        names.push(event.name);
    }
}
