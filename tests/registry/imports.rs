//! Importing a file, on memory; how an import survives a kill is tested with a real etcd.

use crate::support::{Registry, Scratch, eventually};

#[tokio::test]
async fn import_uses_transactions_as_large_as_the_store_takes() {
    let scratch = Scratch::new();
    let (registry, http) = Registry::serve(&["--import", &scratch.services("a", 1000, 10)]).await;
    assert_eq!(http.list_all("", &[]).await.len(), 1000);
    // 128 services in each, and one that says that this replica is alive.
    assert_eq!(http.get("/stats", &[]).await.ok()["commits"], 8 + 1);
    let stderr = registry.stderr();
    assert!(stderr.contains(" of 1000 services"), "{stderr}");
    assert!(stderr.contains("complete: 1000 services, 1000 of them new"), "{stderr}");
    registry.stop().await;
}

#[tokio::test]
async fn import_of_large_records_keeps_below_the_bytes_that_the_store_takes() {
    let scratch = Scratch::new();
    let file = scratch.services("a", 12, 400_000);
    let (registry, http) = Registry::serve(&["--import", &file]).await;
    assert_eq!(http.list_all("", &[]).await.len(), 12);
    assert_eq!(http.get("/stats", &[]).await.ok()["commits"], 4 + 1);
    registry.stop().await;
}

#[tokio::test]
async fn import_leaves_what_is_there_as_it_is() {
    let scratch = Scratch::new();
    let first = scratch.services("a", 300, 10);
    let text = std::fs::read_to_string(&first).unwrap();
    let later = scratch.file("later", &text.replace("ddd", "later"));
    let (registry, http) = Registry::serve(&["--import", &first, "--import", &later]).await;
    let complete = "later is complete: 300 services, 0 of them new";
    assert!(registry.stderr().contains(complete), "{}", registry.stderr());
    assert_eq!(http.get("/stats", &[]).await.ok()["commits"], 3 + 1);
    let kept = http.get("/v1/services/a000000", &[]).await.ok();
    assert_eq!(kept["description"], "d".repeat(10));
    registry.stop().await;
}

#[tokio::test]
async fn import_only_ends_when_it_is_done() {
    let scratch = Scratch::new();
    let file = scratch.services("a", 300, 10);
    let ended = Registry::spawn(&["--import", &file, "--import-only"]).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.contains("listening"), "{ended:?}");
}

#[tokio::test]
async fn file_with_a_bad_line_is_refused_as_a_whole() {
    let scratch = Scratch::new();
    let good = std::fs::read_to_string(scratch.services("a", 300, 10)).unwrap();
    for (bad, reason) in [
        (r#"{"name":"b"}"#, "missing field `service`"),
        (r#"{"name":"b c","service":{"version":"1"}}"#, "is no name"),
        ("b", "expected value"),
    ] {
        let file = scratch.file("bad", &format!("{good}{bad}\n"));
        let ended = Registry::spawn(&["--import", &file, "--import-only"]).ended().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("line 301"), "{ended:?}");
        assert!(ended.stderr.contains(reason), "{ended:?}");
        assert!(!ended.stderr.contains("import:"), "{ended:?}");
    }
}

#[tokio::test]
async fn service_that_the_store_does_not_take_ends_the_import_and_is_named() {
    let scratch = Scratch::new();
    let good = std::fs::read_to_string(scratch.services("a", 300, 10)).unwrap();
    let large = scratch.services("b", 1, 1_600_000);
    let large = std::fs::read_to_string(large).unwrap();
    let file = scratch.file("large", &format!("{good}{large}"));
    let ended = Registry::spawn(&["--import", &file, "--import-only"]).ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in ["from service 301 on: transaction too large", "the 300 first are imported"] {
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
}

#[tokio::test]
async fn interrupted_import_says_so_and_is_no_success() {
    let scratch = Scratch::new();
    let file = scratch.services("a", 40_000, 10);
    let registry = Registry::spawn(&["--import", &file]);
    eventually("progress", async || registry.stderr().contains(" of 40000").then_some(())).await;
    registry.signal("INT").await;
    let ended = registry.ended().await;
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stderr.contains("import: stopped"), "{ended:?}");
    assert!(!ended.stdout.contains("listening"), "{ended:?}");
}
