//! What is asked for in plain HTTP (etcd: `server/etcdserver/api/etcdhttp`).

use hyper::http::{HeaderName, HeaderValue, header};
use hyper::{Method, Response, StatusCode, Uri};
use tonic::body::Body;

use super::face::Face;
use crate::version::EtcdVersion;

/// What Go makes of a text that says nothing of itself.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Sent with every page, as a server is open to every origin unless told otherwise
/// (`server/embed/serve.go`, `addCORSHeader`).
const CORS: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, GET, OPTIONS, PUT, DELETE"),
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "accept, content-type, authorization"),
];

pub(super) fn answer(face: &Face, method: &Method, uri: &Uri) -> Response<Body> {
    let mut response =
        if method == Method::OPTIONS { Response::default() } else { page(face, method, uri) };
    for (name, value) in CORS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn page(face: &Face, method: &Method, uri: &Uri) -> Response<Body> {
    let version = face.version();
    let query = Query(uri.query().unwrap_or_default());
    let checks = Checks::of(uri.path(), version);
    match uri.path() {
        "/health" | "/version" if method != Method::GET => method_not_allowed(),
        "/health" => health(face, query),
        "/version" => versions(version),
        _ if checks.is_some() && method != Method::GET => method_not_allowed(),
        _ => match checks {
            Some(checks) => checks.page(query),
            None => error(StatusCode::NOT_FOUND, "404 page not found"),
        },
    }
}

/// `health.go`, `NewHealthHandler`; in `metrics.go` up to 3.5.10.
fn health(face: &Face, query: Query<'_>) -> Response<Body> {
    let version = face.version();
    let is_excluded =
        version.health_excludes_alarms() && query.values("exclude").any(|alarm| alarm == "NOSPACE");
    let is_healthy = is_excluded || !face.shared.with(|store, _| store.has_alarm());
    let reason = match (version.health_has_a_reason(), is_healthy) {
        (false, _) => "",
        (true, true) => r#","reason":"""#,
        (true, false) => r#","reason":"ALARM NOSPACE""#,
    };
    let body = format!(r#"{{"health":"{is_healthy}"{reason}}}"#);
    if is_healthy { page_of(body, TEXT) } else { error(StatusCode::SERVICE_UNAVAILABLE, &body) }
}

/// `version.go`
fn versions(version: EtcdVersion) -> Response<Body> {
    let cluster = version.cluster();
    let mut body = format!(r#"{{"etcdserver":"{version}","etcdcluster":"{cluster}""#);
    if version.tells_of_storage() {
        body += &format!(r#","storage":"{cluster}""#);
    }
    page_of(body + "}", HeaderValue::from_static("application/json"))
}

/// Checks of a server, which all succeed here: there is no alarm of corruption, and there are no
/// learners (`health.go`, `installLivezEndpoints`, `installReadyzEndpoints`).
struct Checks {
    names: Vec<&'static str>,
    /// Those of a path that stands for several can be left out.
    is_root: bool,
}

impl Checks {
    fn of(path: &str, version: EtcdVersion) -> Option<Self> {
        if !version.has_livez() {
            return None;
        }
        let (kind, check) = match path.strip_prefix('/')?.split_once('/') {
            Some((kind, check)) => (kind, Some(check)),
            None => (path.strip_prefix('/')?, None),
        };
        let mut names = match kind {
            "livez" => vec!["serializable_read"],
            "readyz" => vec!["data_corruption", "serializable_read", "linearizable_read"],
            _ => return None,
        };
        if kind == "readyz" && version.checks_learners() {
            names.push("non_learner");
        }
        if let Some(check) = check {
            names.retain(|name| *name == check);
        }
        (!names.is_empty()).then_some(Self { names, is_root: check.is_none() })
    }

    fn page(self, query: Query<'_>) -> Response<Body> {
        let mut body = String::new();
        if query.values("verbose").next().is_some() {
            for name in self.names {
                if !self.is_root || query.values("exclude").all(|excluded| excluded != name) {
                    body += &format!("[+]{name} ok\n");
                }
            }
        }
        without_sniffing(page_of(body + "ok\n", TEXT))
    }
}

/// What follows the question mark.
#[derive(Clone, Copy)]
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn values(self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }
}

fn page_of(body: String, content: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, content);
    response
}

/// Go's `http.Error`.
fn error(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = without_sniffing(page_of(format!("{text}\n"), TEXT));
    *response.status_mut() = status;
    response
}

fn method_not_allowed() -> Response<Body> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}

fn without_sniffing(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
