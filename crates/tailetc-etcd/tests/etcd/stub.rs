//! A server that answers what a test tells it to, down to the frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// Well, with this message.
    Message(&'static [u8]),
    /// With this message and no end: a stream.
    Open(&'static [u8]),
    /// Each message with this one and after this time, for as long as there are any; over few
    /// streams at a time.
    Each(&'static [u8], Duration),
    /// With this code of gRPC.
    Status(u8),
    /// With a message, then this code.
    MessageThenStatus(&'static [u8], u8),
    /// With a message, then no end that gRPC knows.
    MessageThenEnd(&'static [u8]),
    /// Not, but the stream is reset.
    Reset(h2::Reason),
    /// With a message, then the stream is reset.
    MessageThenReset(&'static [u8], h2::Reason),
    /// By somebody who speaks HTTP alone.
    Http(u16),
    /// Not, but the connection is closed.
    HangUp,
}

/// A status: cluster 1, version 3.5.30.
pub(crate) const STATUS: Answer = Answer::Message(b"\x0a\x02\x08\x01\x12\x063.5.30");

/// How many streams [`Answer::Each`] allows on a connection, as some proxies do.
pub(crate) const FEW_STREAMS: u32 = 8;

pub(crate) struct Stub {
    pub(crate) url: String,
    asked: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Stub {
    /// Answers every request for a status well, and all others alike.
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                connections.spawn(serve(socket, answer, Arc::clone(&count)));
            }
        });
        Self { url, asked, task: task.abort_handle() }
    }

    /// How many requests for anything but a status there were.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: TcpStream, answer: Answer, asked: Arc<AtomicUsize>) {
    let mut builder = h2::server::Builder::new();
    if matches!(answer, Answer::Each(..)) {
        builder.max_concurrent_streams(FEW_STREAMS);
    }
    let Ok(mut connection) = builder.handshake(socket).await else { return };
    let mut conversations = JoinSet::new();
    // What is dropped is reset.
    let mut open = Vec::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let answer = if request.uri().path().ends_with("/Status") {
            STATUS
        } else {
            asked.fetch_add(1, Ordering::SeqCst);
            answer
        };
        if matches!(answer, Answer::HangUp) {
            return;
        }
        if let Answer::Each(message, after) = answer {
            conversations.spawn(converse(request.into_body(), respond, message, after));
            continue;
        }
        open.push(send(respond, answer));
    }
}

/// Answers each message. Those of these tests are shorter than a frame.
async fn converse(
    mut questions: h2::RecvStream,
    mut respond: SendResponse<Bytes>,
    answer: &'static [u8],
    after: Duration,
) {
    let mut body = respond.send_response(head().body(()).unwrap(), false).unwrap();
    while let Some(Ok(mut data)) = questions.data().await {
        questions.flow_control().release_capacity(data.len()).unwrap();
        while !data.is_empty() {
            tokio::time::sleep(after).await;
            let _ = data.split_to(5 + usize::from(data[4]));
            if body.send_data(framed(answer), false).is_err() {
                return;
            }
        }
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame.into()
}

/// Returns what keeps a stream open.
fn send(mut respond: SendResponse<Bytes>, answer: Answer) -> Option<h2::SendStream<Bytes>> {
    let (message, end) = match answer {
        Answer::Message(message) => (message, End::Status(0)),
        Answer::Open(message) => (message, End::None),
        Answer::MessageThenStatus(message, code) => (message, End::Status(code)),
        Answer::MessageThenEnd(message) => (message, End::Bare),
        Answer::MessageThenReset(message, reason) => (message, End::Reset(reason)),
        Answer::Status(code) => {
            let head = head().header("grpc-status", code.to_string());
            let head = head.header("grpc-message", "as it was told").body(()).unwrap();
            respond.send_response(head, true).unwrap();
            return None;
        }
        Answer::Reset(reason) => {
            respond.send_reset(reason);
            return None;
        }
        Answer::Http(status) => {
            let head = Response::builder().status(status).body(()).unwrap();
            let mut body = respond.send_response(head, false).unwrap();
            body.send_data(Bytes::from_static(b"no gRPC here"), true).unwrap();
            return None;
        }
        Answer::HangUp | Answer::Each(..) => return None,
    };
    let mut body = respond.send_response(head().body(()).unwrap(), false).unwrap();
    body.send_data(framed(message), matches!(end, End::Bare)).unwrap();
    match end {
        End::None => return Some(body),
        End::Bare => {}
        End::Status(code) => {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", code.to_string().parse().unwrap());
            body.send_trailers(trailers).unwrap();
        }
        End::Reset(reason) => body.send_reset(reason),
    }
    None
}

enum End {
    None,
    Bare,
    Status(u8),
    Reset(h2::Reason),
}

fn head() -> http::response::Builder {
    Response::builder().header("content-type", "application/grpc")
}
