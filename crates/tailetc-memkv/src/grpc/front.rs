//! Which service answers a request.

use etcd_client::proto::{PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer};
use hyper::body::Incoming;
use hyper::http::{HeaderValue, header};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::service::TowerToHyperService;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;

use super::face::Face;
use super::kv::Kv;
use super::lease::Leases;
use super::maintenance::Maintenance;
use super::message_limit;
use super::status::not_offered;
use super::watch::Watches;

/// The services of one server.
pub(super) struct Front {
    routes: TowerToHyperService<Routes>,
    face: Face,
}

impl Front {
    pub(super) fn new(face: &Face) -> Self {
        let limit = message_limit::of(face.shared.options.max_request_bytes);
        let kv = PbKvServer::new(Kv { face: face.clone() });
        let watches = PbWatchServer::new(Watches { face: face.clone() });
        let leases = PbLeaseServer::new(Leases { face: face.clone() });
        let maintenance = PbMaintenanceServer::new(Maintenance { face: face.clone() });
        let routes = Routes::new(kv.max_decoding_message_size(limit))
            .add_service(watches.max_decoding_message_size(limit))
            .add_service(leases.max_decoding_message_size(limit))
            .add_service(maintenance.max_decoding_message_size(limit));
        Self { routes: TowerToHyperService::new(routes), face: face.clone() }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if request.method() == Method::GET {
            return self.page(path);
        }
        let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        if !is_offered(service) {
            self.face.options.log.line(|| format!("{path}: not offered"));
            return not_offered(path).into_http();
        }
        // Its error is that of a service which does not fail.
        let Ok(response) = self.routes.call(request).await;
        let status = Status::from_header_map(response.headers());
        match status.as_ref().and_then(message_limit::too_large) {
            Some(status) => status.into_http(),
            None => response,
        }
    }

    /// What is asked for in plain HTTP (etcd: `server/etcdserver/api/etcdhttp`).
    fn page(&self, path: &str) -> Response<Body> {
        let version = self.face.version();
        let (status, body) = match path {
            "/health" if version.health_has_a_reason() => {
                (StatusCode::OK, r#"{"health":"true","reason":""}"#.to_owned())
            }
            "/health" => (StatusCode::OK, r#"{"health":"true"}"#.to_owned()),
            "/version" => {
                let cluster = version.cluster();
                let mut body = format!(r#"{{"etcdserver":"{version}","etcdcluster":"{cluster}""#);
                if version.tells_of_storage() {
                    body += &format!(r#","storage":"{cluster}""#);
                }
                (StatusCode::OK, body + "}")
            }
            _ => (StatusCode::NOT_FOUND, String::new()),
        };
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

fn is_offered(service: &str) -> bool {
    let offered = ["KV", "Watch", "Lease", "Maintenance"];
    service.strip_prefix("etcdserverpb.").is_some_and(|service| offered.contains(&service))
}
