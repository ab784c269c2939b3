//! Reading server-sent events.

use axum::body::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::timeout;

use super::PATIENCE;

/// An open change stream.
pub(crate) struct Events {
    body: http_body_util::combinators::BoxBody<Bytes, BoxError>,
    read: Vec<u8>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One event, or a comment, whose name is empty.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    /// The data as JSON; of a comment, its text.
    pub(crate) data: Value,
}

impl Events {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: axum::body::HttpBody<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        Self { body: body.map_err(Into::into).boxed(), read: Vec::new() }
    }

    /// The next event, comments passed over. Panics when the stream ends.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            let event = self.next_or_end().await.expect("the stream goes on");
            if !event.name.is_empty() {
                return event;
            }
        }
    }

    /// The next event or comment; none at the end of the stream.
    pub(crate) async fn next_or_end(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.read.drain(..end + 2).collect();
                return Some(parse(std::str::from_utf8(&block).expect("UTF-8")));
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("an event in time");
            match frame {
                Some(frame) => {
                    let data = frame.expect("an unbroken stream").into_data().expect("data");
                    self.read.extend_from_slice(&data);
                }
                None => {
                    assert!(self.read.is_empty(), "the stream ends with a whole event");
                    return None;
                }
            }
        }
    }
}

fn parse(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.lines().filter(|line| !line.is_empty()) {
        let (field, value) = line.split_once(':').expect("a field");
        let value = value.trim_start();
        match field {
            "" => event.data = value.into(),
            "event" => event.name = value.to_owned(),
            "id" => event.id = Some(value.to_owned()),
            "data" => event.data = serde_json::from_str(value).unwrap_or_else(|_| value.into()),
            _ => panic!("unknown field in {block}"),
        }
    }
    event
}

impl Event {
    /// The changes as `(what, name, version after)`.
    pub(crate) fn changes(&self) -> Vec<(&str, &str, Option<&str>)> {
        let changes = self.data["changes"].as_array().expect("changes");
        changes
            .iter()
            .map(|change| {
                let what = change["change"].as_str().expect("what changed");
                let name = change["name"].as_str().expect("a name");
                (what, name, change["service"]["version"].as_str())
            })
            .collect()
    }
}
