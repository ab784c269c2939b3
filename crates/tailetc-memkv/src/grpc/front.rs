//! Which service answers a request.

use etcd_client::proto::{PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer};
use hyper::body::Incoming;
use hyper::http::{Version, header};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::service::TowerToHyperService;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;

use super::compression;
use super::face::Face;
use super::kv::Kv;
use super::lease::Leases;
use super::maintenance::Maintenance;
use super::message_limit;
use super::pages;
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
        macro_rules! with_gzip_and_limit {
            ($service:ident) => {
                $service
                    .accept_compressed(Gzip)
                    .send_compressed(Gzip)
                    .max_decoding_message_size(limit)
            };
        }
        let routes = Routes::new(with_gzip_and_limit!(kv))
            .add_service(with_gzip_and_limit!(watches))
            .add_service(with_gzip_and_limit!(leases))
            .add_service(with_gzip_and_limit!(maintenance));
        Self { routes: TowerToHyperService::new(routes), face: face.clone() }
    }

    pub(super) async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        if !is_grpc(&request) {
            return pages::answer(&self.face, request.method(), request.uri());
        }
        let path = request.uri().path();
        let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        if !is_offered(service) {
            self.face.options.log.line(|| format!("{path}: not offered"));
            return not_offered(path).into_http();
        }
        if let Err(status) = compression::settle(request.headers_mut(), self.face.version()) {
            return status.into_http();
        }
        // Its error is that of a service which does not fail.
        let Ok(response) = self.routes.call(request).await;
        let status = Status::from_header_map(response.headers());
        match status.as_ref().and_then(message_limit::too_large) {
            Some(status) => status.into_http(),
            None => response,
        }
    }
}

/// As etcd tells gRPC from plain HTTP on one port (`server/embed/serve.go`, `grpcHandlerFunc`).
fn is_grpc(request: &Request<Incoming>) -> bool {
    let content = request.headers().get(header::CONTENT_TYPE);
    let content = content.and_then(|value| value.to_str().ok());
    request.version() == Version::HTTP_2
        && content.is_some_and(|content| content.contains("application/grpc"))
}

fn is_offered(service: &str) -> bool {
    let offered = ["KV", "Watch", "Lease", "Maintenance"];
    service.strip_prefix("etcdserverpb.").is_some_and(|service| offered.contains(&service))
}
