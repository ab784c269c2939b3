//! Listing by prefix and by tag, page by page.

use serde_json::{Value, json};

use crate::support::{Http, Registry, Scratch};

#[tokio::test]
async fn pages_hold_every_service_of_the_prefix_once_and_in_order() {
    let scratch = Scratch::new();
    let file = scratch.services("eu/", 250, 10);
    let elsewhere = Scratch::new();
    let other = elsewhere.services("eu-2/", 3, 10);
    let (registry, http) = Registry::serve(&["--import", &file, "--import", &other]).await;

    let (sizes, names) = pages(&http, "prefix=eu/").await;
    assert_eq!(sizes, [100, 100, 50]);
    let expected: Vec<_> = (0..250).map(|number| format!("eu/{number:06}")).collect();
    assert_eq!(names, expected);
    assert_eq!(http.list_all("", &[]).await.len(), 253);
    registry.stop().await;
}

#[tokio::test]
async fn pages_of_a_tag_hold_every_service_that_has_it_once_and_in_order() {
    let scratch = Scratch::new();
    let lines = (0..250).map(|number| {
        let tags = if number % 2 == 0 { r#"["eu", "eu", "web"]"# } else { r#"["eu-2"]"# };
        format!(r#"{{"name":"a{number:06}","service":{{"version":"1","tags":{tags}}}}}"#) + "\n"
    });
    let file = scratch.file("services.jsonl", &lines.collect::<String>());
    let (registry, http) = Registry::serve(&["--import", &file]).await;
    let (sizes, names) = pages(&http, "tag=eu").await;
    assert_eq!(sizes, [100, 25]);
    let even: Vec<_> = (0..250).step_by(2).map(|number| format!("a{number:06}")).collect();
    assert_eq!(names, even);

    let untagged = json!({ "version": "2", "tags": ["web"] });
    http.put(&even[0], &[("if-match", "*")], &untagged).await.ok();
    http.delete(&even[1], &[]).await;
    assert_eq!(pages(&http, "tag=eu").await.1, even[2..]);
    assert_eq!(pages(&http, "tag=web").await.1.len(), 124);
    assert_eq!(pages(&http, "tag=e").await, (vec![0], vec![]));
    for wrong in ["tag=eu&prefix=a", "tag=eu&after=x"] {
        assert_eq!(http.get(&format!("/v1/services?{wrong}"), &[]).await.status, 400);
    }
    registry.stop().await;
}

/// The sizes of all pages of a listing, and the names on them.
async fn pages(http: &Http, what: &str) -> (Vec<usize>, Vec<String>) {
    let (mut sizes, mut names, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let path = format!("/v1/services?{what}&limit=100{after}");
        let page = http.get(&path, &[]).await.ok();
        let items = page["services"].as_array().unwrap();
        sizes.push(items.len());
        names.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return (sizes, names),
        }
    }
}

#[tokio::test]
async fn page_that_is_just_full_is_the_last() {
    let file = Scratch::new();
    let (registry, http) = Registry::serve(&["--import", &file.services("a", 5, 10)]).await;
    let page = http.get("/v1/services?limit=5", &[]).await.ok();
    assert_eq!((page["services"].as_array().unwrap().len(), &page["next"]), (5, &Value::Null));
    let page = http.get("/v1/services?prefix=b", &[]).await.ok();
    assert_eq!((page["services"].as_array().unwrap().len(), &page["next"]), (0, &Value::Null));
    registry.stop().await;
}

#[tokio::test]
async fn item_has_what_a_read_of_it_has() {
    let scratch = Scratch::new();
    let (registry, http) = Registry::serve(&["--import", &scratch.services("a", 2, 10)]).await;
    let page = http.get("/v1/services?prefix=a000001", &[]).await.ok();
    let item = &page["services"][0];
    let read = http.get("/v1/services/a000001", &[]).await;
    assert_eq!(read.header("etag"), format!("\"{}\"", item["revision"]));
    assert_eq!(read.ok(), item["service"]);
    registry.stop().await;
}

#[tokio::test]
async fn limit_out_of_bounds_is_refused() {
    let (registry, http) = Registry::serve(&[]).await;
    for limit in ["0", "1001", "-1", "x"] {
        assert_eq!(http.get(&format!("/v1/services?limit={limit}"), &[]).await.status, 400);
    }
    registry.stop().await;
}
