//! A client for one registry.

use axum::http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tailetc::Token;
use tokio::time::timeout;

use super::PATIENCE;
use super::events::Events;

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Talks to one registry.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<axum::body::Bytes>>,
    base: String,
}

/// An answer, with its whole body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: axum::body::Bytes,
}

impl Http {
    pub(crate) fn new(base: String) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), base }
    }

    /// The URL without a path.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) async fn get(&self, path: &str, headers: Headers<'_>) -> Reply {
        self.send(Method::GET, path, headers, None).await
    }

    pub(crate) async fn put(&self, name: &str, headers: Headers<'_>, body: &Value) -> Reply {
        self.send(Method::PUT, &format!("/v1/services/{name}"), headers, Some(body)).await
    }

    pub(crate) async fn delete(&self, name: &str, headers: Headers<'_>) -> Reply {
        self.send(Method::DELETE, &format!("/v1/services/{name}"), headers, None).await
    }

    /// Every page of a listing, as one list of its items.
    pub(crate) async fn list_all(&self, prefix: &str, headers: Headers<'_>) -> Vec<Value> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/v1/services?prefix={prefix}&limit=1000{after}");
            let mut page = self.get(&path, headers).await.ok();
            items.append(page["services"].as_array_mut().expect("a list"));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return items,
            }
        }
    }

    /// Opens a change stream.
    pub(crate) async fn events(&self, path: &str) -> Events {
        self.stream(path, &[]).await
    }

    /// Opens it as a client does that has seen an event.
    pub(crate) async fn events_after(&self, path: &str, id: &str) -> Events {
        self.stream(path, &[("last-event-id", id)]).await
    }

    async fn stream(&self, path: &str, headers: Headers<'_>) -> Events {
        let request = self.request(Method::GET, path, headers, None);
        let response = timeout(PATIENCE, self.client.request(request)).await;
        let response = response.expect("no answer").expect("a connection");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        check_token(response.headers());
        Events::new(response.into_body())
    }

    /// Sends a request whose answer must come, whatever it is.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: Headers<'_>,
        body: Option<&Value>,
    ) -> Reply {
        let request = self.request(method, path, headers, body);
        let exchange = async {
            let response = self.client.request(request).await.expect("an answer");
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("the whole body").to_bytes();
            Reply { status: head.status.as_u16(), headers: head.headers, body }
        };
        let reply = timeout(PATIENCE, exchange).await.expect("an answer in time");
        check_token(&reply.headers);
        if path.starts_with("/v1") && reply.status >= 400 {
            assert_eq!(reply.headers["content-type"], "application/problem+json");
            let problem = reply.json();
            assert_eq!(problem["status"], reply.status, "{problem}");
            assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        }
        reply
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: Headers<'_>,
        body: Option<&Value>,
    ) -> Request<Full<axum::body::Bytes>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        request.body(Full::from(body)).expect("a request")
    }
}

/// Every answer carries a token.
fn check_token(headers: &HeaderMap) {
    let token = headers.get("tailetc-token").expect("a token");
    assert!(token.to_str().is_ok_and(|text| text.parse::<Token>().is_ok()), "{token:?}");
}

impl Reply {
    /// The body of a success.
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("{name} in {self:?}"));
        value.to_str().expect("a header of text")
    }

    pub(crate) fn token(&self) -> &str {
        self.header("tailetc-token")
    }
}
