//! Plain HTTP/1.1.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer without what is of the moment, its header fields sorted, their names in small letters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: String,
    pub(crate) fields: Vec<String>,
    pub(crate) body: String,
}

impl Page {
    /// `address` is such as `127.0.0.1:2379`. HTTP/1.1 is plain HTTP, whatever the content is said
    /// to be.
    pub(crate) async fn ask(address: &str, method: &str, path: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a field");
            format!("{}: {value}", name.to_ascii_lowercase())
        };
        let mut fields: Vec<_> =
            lines.map(field).filter(|field| !is_of_the_moment(field)).collect();
        fields.sort();
        Self { status, fields, body: body.to_owned() }
    }
}

fn is_of_the_moment(field: &str) -> bool {
    field.starts_with("date: ") || field.starts_with("connection: ")
}
