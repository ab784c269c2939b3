//! Importing a file, on memory; how an import survives a kill is tested with a real etcd.

use crate::support::{Registry, Scratch, eventually};

#[tokio::test]
async fn import_uses_transactions_as_large_as_the_store_takes() {
    let scratch = Scratch::new();
    let (registry, http) = Registry::serve(&["--import", &scratch.services("a", 1000, 10)]).await;
    assert_eq!(http.list_all("", &[]).await.len(), 1000);
    // 127 records and the position in each.
    assert_eq!(http.get("/stats", &[]).await.ok()["commits"], 8);
    assert!(registry.stderr().contains("at line 508 of 1000"), "{}", registry.stderr());
    assert!(registry.stderr().contains("complete: 1000 lines"), "{}", registry.stderr());
    registry.stop().await;
}

#[tokio::test]
async fn import_of_large_records_keeps_below_the_bytes_that_the_store_takes() {
    let scratch = Scratch::new();
    let file = scratch.services("a", 12, 400_000);
    let (registry, http) = Registry::serve(&["--import", &file]).await;
    assert_eq!(http.list_all("", &[]).await.len(), 12);
    assert_eq!(http.get("/stats", &[]).await.ok()["commits"], 4);
    registry.stop().await;
}

#[tokio::test]
async fn import_of_the_same_contents_is_done_once() {
    let scratch = Scratch::new();
    let first = scratch.services("a", 300, 10);
    let copy = scratch.file("copy", &std::fs::read_to_string(&first).unwrap());
    let (registry, http) = Registry::serve(&["--import", &first, "--import", &copy]).await;
    assert!(registry.stderr().contains("copy is complete (300 lines)"), "{}", registry.stderr());
    assert_eq!(http.get("/stats", &[]).await.ok()["commits"], 3);
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
    let large = format!(
        r#"{{"name":"b","service":{{"version":"1","description":"{}"}}}}"#,
        "d".repeat(1_600_000)
    );
    for (bad, reason) in [
        (r#"{"name":"b"}"#, "missing field `service`"),
        (r#"{"name":"b c","service":{"version":"1"}}"#, "is no name"),
        ("", "EOF"),
        (large.as_str(), "too many for one transaction"),
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
async fn interrupted_import_says_where_and_is_no_success() {
    let scratch = Scratch::new();
    let file = scratch.services("a", 40_000, 10);
    let registry = Registry::spawn(&["--import", &file]);
    eventually("progress", async || registry.stderr().contains("at line").then_some(())).await;
    registry.signal("INT").await;
    let ended = registry.ended().await;
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stderr.contains("import: stopped"), "{ended:?}");
    assert!(!ended.stdout.contains("listening"), "{ended:?}");
}
