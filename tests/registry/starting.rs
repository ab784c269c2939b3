//! Starting: what is printed, and what is refused.

use axum::http::Method;
use serde_json::Value;

use crate::support::{Http, Registry, eventually};

#[tokio::test]
async fn command_lines_that_it_prints_work_in_their_order() {
    let (registry, http) = Registry::serve(&[]).await;
    let stdout = eventually("the end of what is printed", async || {
        Some(registry.stdout()).filter(|stdout| stdout.contains("Ctrl-C stops the registry."))
    });
    let stdout = stdout.await;
    let mut answers = Vec::new();
    for line in stdout.lines().filter_map(|line| line.strip_prefix("  curl ")) {
        answers.push(curl(&http, line).await);
    }
    let [created, read, updated, list, tagged, deleted, replicas, ready, stream] = &answers[..]
    else {
        panic!("{answers:?}");
    };
    assert_eq!(created, r#"201 {"name":"web","revision":3}"#);
    assert_eq!(read, r#"200 {"version":"1.0"}"#);
    assert_eq!(updated, r#"200 {"name":"web","revision":4}"#);
    for list in [list, tagged] {
        assert!(list.contains(r#""services":[{"name":"web","revision":4"#), "{list}");
    }
    assert!(replicas.contains(http.base().strip_prefix("http://").unwrap()), "{replicas}");
    assert!(stream.contains(r#""kind": String("initial")"#), "{stream}");
    assert_eq!(deleted, "204 ");
    assert!(ready.contains(r#""phase":"tailing""#), "{ready}");
    registry.stop().await;
}

/// Does what `curl` would do with these arguments. Panics on those that it does not know.
async fn curl(http: &Http, line: &str) -> String {
    let (mut method, mut headers, mut body, mut url) = (Method::GET, Vec::new(), None, None);
    let words = words(line);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-i" | "-s" | "-sN" => {}
            "-X" => method = words.next().unwrap().parse().unwrap(),
            "-H" => headers.push(words.next().unwrap().split_once(": ").unwrap()),
            "-d" => body = Some(serde_json::from_str::<Value>(words.next().unwrap()).unwrap()),
            _ => assert_eq!(url.replace(word), None, "{line}"),
        }
    }
    let path = url.unwrap().strip_prefix(http.base()).expect("the address that it listens on");
    if path == "/v1/changes" {
        return format!("{:?}", http.events(path).await.next().await);
    }
    let reply = http.send(method, path, &headers, body.as_ref()).await;
    format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body))
}

/// The words of a shell command, which may be in single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (part, text) in line.split('\'').enumerate() {
        if part % 2 == 1 {
            words.push(text.to_owned());
        } else {
            words.extend(text.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[tokio::test]
async fn bad_command_line_ends_with_the_reason() {
    let (registry, http) = Registry::serve(&[]).await;
    let taken = http.base().strip_prefix("http://").unwrap();
    for (args, reason) in [
        (["--url", "ftp://a"], "scheme must be memory, http, https or etcd"),
        (["--prefix", "/registry"], "must end with '/'"),
        (["--import", "/no/such/file"], "cannot read /no/such/file"),
        (["--timeout", "0"], "must be more than 0 seconds"),
        (["--listen", taken], "cannot listen on"),
    ] {
        let ended = Registry::spawn(&args).ended().await;
        assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
        assert!(ended.stderr.contains(reason), "{ended:?}");
    }
    registry.stop().await;
}
