//! What the server answers in plain HTTP.

use tailetc_memkv::MemKv;
use tailetc_memkv::grpc::Server;

use crate::wire::Page;
use crate::{serve, soon};

const CORS: [&str; 3] = [
    "access-control-allow-headers: accept, content-type, authorization",
    "access-control-allow-methods: POST, GET, OPTIONS, PUT, DELETE",
    "access-control-allow-origin: *",
];
const TEXT: &str = "content-type: text/plain; charset=utf-8";
const NO_SNIFFING: &str = "x-content-type-options: nosniff";

async fn serving(version: &str) -> (MemKv, Server) {
    let store = MemKv::builder().with_imitate(version.parse().expect("a release"));
    let store = store.with_member_id(12).build();
    let (server, _wire) = serve(&store).await;
    (store, server)
}

async fn get(server: &Server, path: &str) -> Page {
    soon(Page::ask(&server.local_addr().to_string(), "GET", path)).await
}

/// Status and body.
async fn body(server: &Server, path: &str) -> (String, String) {
    let page = get(server, path).await;
    (page.status.trim_start_matches("HTTP/1.1 ").to_owned(), page.body)
}

fn page(status: &str, body: &str) -> (String, String) {
    (status.to_owned(), body.to_owned())
}

// S2
#[tokio::test]
async fn health_is_bad_under_an_alarm_that_is_not_excluded() {
    for (version, good, bad, excludes) in [
        ("3.4.15", r#"{"health":"true"}"#, r#"{"health":"false"}"#, false),
        ("3.4.23", r#"{"health":"true"}"#, r#"{"health":"false"}"#, true),
        (
            "3.5.1",
            r#"{"health":"true","reason":""}"#,
            r#"{"health":"false","reason":"ALARM NOSPACE"}"#,
            true,
        ),
        (
            "3.7",
            r#"{"health":"true","reason":""}"#,
            r#"{"health":"false","reason":"ALARM NOSPACE"}"#,
            true,
        ),
    ] {
        let (store, server) = serving(version).await;
        let good = page("200 OK", good);
        let bad = page("503 Service Unavailable", &format!("{bad}\n"));
        assert_eq!(body(&server, "/health").await, good, "{version}");
        assert_eq!(body(&server, "/health?serializable=true").await, good, "{version}");
        store.raise_alarm(12);
        for path in ["/health", "/health?exclude=", "/health?exclude=nospace", "/health?exclude"] {
            assert_eq!(body(&server, path).await, bad, "{version} {path}");
        }
        let expected = if excludes { &good } else { &bad };
        for path in ["/health?exclude=NOSPACE", "/health?exclude=CORRUPT&exclude=NOSPACE"] {
            assert_eq!(body(&server, path).await, *expected, "{version} {path}");
        }
        store.disarm(12);
        assert_eq!(body(&server, "/health").await, good, "{version}");
    }
}

// S2
#[tokio::test]
async fn pages_have_the_header_fields_of_the_server() {
    let (store, server) = serving("3.6.16").await;
    let fields = async |path| get(&server, path).await.fields;
    let health = [CORS[0], CORS[1], CORS[2], "content-length: 29", TEXT];
    assert_eq!(fields("/health").await, health);
    let json = "content-type: application/json";
    let version = [CORS[0], CORS[1], CORS[2], "content-length: 63", json];
    assert_eq!(fields("/version").await, version);
    let absent = [CORS[0], CORS[1], CORS[2], "content-length: 19", TEXT, NO_SNIFFING];
    assert_eq!(fields("/nope").await, absent);
    let ready = [CORS[0], CORS[1], CORS[2], "content-length: 3", TEXT, NO_SNIFFING];
    assert_eq!(fields("/readyz").await, ready);
    store.raise_alarm(12);
    let bad = [CORS[0], CORS[1], CORS[2], "content-length: 44", TEXT, NO_SNIFFING];
    assert_eq!(fields("/health").await, bad);
}

// S2
#[tokio::test]
async fn version_names_the_storage_since_3_6() {
    for (version, expected) in [
        ("3.4.23", r#"{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}"#),
        ("3.5.30", r#"{"etcdserver":"3.5.30","etcdcluster":"3.5.0"}"#),
        ("3.7.3", r#"{"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"3.7.0"}"#),
    ] {
        let (_store, server) = serving(version).await;
        assert_eq!(body(&server, "/version").await, page("200 OK", expected));
    }
}

// S2, S3
#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let (_store, server) = serving("3.7").await;
    let address = server.local_addr().to_string();
    for path in ["/health", "/version", "/livez", "/readyz/non_learner"] {
        let refused = soon(Page::ask(&address, "POST", path)).await;
        assert_eq!(refused.status, "HTTP/1.1 405 Method Not Allowed", "{path}");
        assert_eq!(refused.body, "Method Not Allowed\n");
        assert!(refused.fields.contains(&"allow: GET".to_owned()));
    }
    let absent = page("404 Not Found", "404 page not found\n");
    for path in ["/", "/metrics", "/livez/nope", "/livez/", "/healthz", "/v3/kv/put"] {
        assert_eq!(body(&server, path).await, absent, "{path}");
    }
}

// S3
#[tokio::test]
async fn readiness_lists_its_checks_if_asked_to() {
    let ok = |checks: &[&str]| {
        let lines = checks.iter().map(|check| format!("[+]{check} ok\n"));
        page("200 OK", &format!("{}ok\n", lines.collect::<String>()))
    };
    let [data, local, quorum] = ["data_corruption", "serializable_read", "linearizable_read"];
    for (version, learner) in
        [("3.4.29", false), ("3.5.11", false), ("3.5.19", true), ("3.6.0", true)]
    {
        let (store, server) = serving(version).await;
        // Of another kind than those that count here.
        store.raise_alarm(12);
        assert_eq!(body(&server, "/livez").await, ok(&[]));
        assert_eq!(body(&server, "/livez?verbose").await, ok(&[local]));
        assert_eq!(body(&server, "/livez/serializable_read?verbose").await, ok(&[local]));
        assert_eq!(body(&server, "/readyz/linearizable_read").await, ok(&[]));
        let all = [data, local, quorum, "non_learner"];
        let all = &all[..if learner { 4 } else { 3 }];
        assert_eq!(body(&server, "/readyz?verbose").await, ok(all), "{version}");
        let excluding = format!("/readyz?exclude={data}&exclude=nope&verbose=");
        assert_eq!(body(&server, &excluding).await, ok(&all[1..]), "{version}");
        let expected = if learner { "200 OK" } else { "404 Not Found" };
        assert_eq!(body(&server, "/readyz/non_learner").await.0, expected, "{version}");
    }
    for version in ["3.4.28", "3.5.1"] {
        let (_store, server) = serving(version).await;
        assert_eq!(body(&server, "/livez").await.0, "404 Not Found", "{version}");
    }
}
