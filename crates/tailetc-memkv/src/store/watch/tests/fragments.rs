//! Responses in parts.

use std::collections::VecDeque;

use bytes::Bytes;
use tailetc_core::LeaseId;
use tailetc_core::backend::{
    Event, EventKind, Header, KeyValue, KvBackend, PutRequest, TxnRequest,
};

use super::super::fragment::split;
use super::super::message::StreamResponse;
use super::support::{Client, all, rev};
use crate::MemKv;

/// A message in the making, as protobuf writes it.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u8, value: i64) -> Self {
        if value != 0 {
            self.0.push(field << 3);
            self.varint(value as u64);
        }
        self
    }

    fn message(mut self, field: u8, message: &[u8]) -> Self {
        self.0.push((field << 3) | 2);
        self.varint(message.len() as u64);
        self.0.extend(message);
        self
    }

    fn bytes(self, field: u8, bytes: &[u8]) -> Self {
        if bytes.is_empty() { self } else { self.message(field, bytes) }
    }
}

fn encode_pair(kv: &KeyValue) -> Vec<u8> {
    Message::default()
        .bytes(1, &kv.key)
        .number(2, kv.create_revision.get())
        .number(3, kv.mod_revision.get())
        .number(4, kv.version)
        .bytes(5, &kv.value)
        .number(6, kv.lease.get())
        .0
}

fn encode(response: &StreamResponse) -> Vec<u8> {
    let header = Message::default()
        .number(1, response.header.cluster_id as i64)
        .number(2, response.header.member_id as i64)
        .number(3, response.header.revision.get())
        .number(4, response.header.raft_term as i64);
    let mut message = Message::default()
        .message(1, &header.0)
        .number(2, response.watch_id)
        .number(7, response.fragment.into());
    for event in &response.events {
        let kind = i64::from(event.kind == EventKind::Delete);
        let mut encoded = Message::default().number(1, kind).message(2, &encode_pair(&event.kv));
        if let Some(kv) = &event.prev_kv {
            encoded = encoded.message(3, &encode_pair(kv));
        }
        message = message.message(11, &encoded.0);
    }
    message.0
}

/// Events of all shapes, their sizes around the places where a length gets another byte.
fn sample() -> StreamResponse {
    let header =
        Header { cluster_id: u64::MAX, member_id: 1 << 40, revision: rev(90_000), raft_term: 2 };
    let pair = |size: usize| KeyValue {
        key: format!("key/{size}").into(),
        value: Bytes::from(vec![b'v'; size]),
        create_revision: rev(3),
        mod_revision: rev(80_000),
        version: 130,
        lease: LeaseId::new(-1),
    };
    let events = [0, 1, 60, 90, 100, 127, 128, 129, 400, 5, 5, 5, 250, 1, 1].into_iter();
    let events = events.enumerate().map(|(n, size)| match n % 3 {
        0 => Event { kind: EventKind::Put, kv: pair(size), prev_kv: None },
        1 => Event { kind: EventKind::Put, kv: pair(size), prev_kv: Some(pair(size / 2)) },
        _ => {
            let kv = KeyValue { mod_revision: rev(7), ..KeyValue::default() };
            Event { kind: EventKind::Delete, kv, prev_kv: Some(pair(size)) }
        }
    });
    StreamResponse { events: events.collect(), ..StreamResponse::progress(header, -7) }
}

/// What the server does, measuring every part anew.
fn split_by_trial(response: &StreamResponse, limit: usize) -> Vec<StreamResponse> {
    if encode(response).len() < limit || response.events.len() < 2 {
        return vec![response.clone()];
    }
    let mut parts = Vec::new();
    let mut left = &response.events[..];
    while !left.is_empty() {
        let part = |count: usize| StreamResponse {
            events: left[..count].to_vec(),
            fragment: true,
            ..response.clone()
        };
        let fits = |count: &usize| encode(&part(*count)).len() < limit;
        let count = 1 + (2..=left.len()).take_while(fits).count();
        let fragment = count < left.len();
        parts.push(StreamResponse { fragment, ..part(count) });
        left = &left[count..];
    }
    parts
}

// W14
// X-K
#[test]
fn parts_are_filled_up_to_the_byte_below_the_limit() {
    let response = sample();
    for limit in 0..=encode(&response).len() + 1 {
        let mut parts = VecDeque::new();
        split(response.clone(), limit, &mut parts);
        assert_eq!(parts, split_by_trial(&response, limit), "limit {limit}");
    }
}

// W14
#[test]
fn single_event_is_never_split() {
    let mut response = sample();
    response.events.truncate(1);
    let mut parts = VecDeque::new();
    split(response.clone(), 1, &mut parts);
    assert_eq!(parts, [response]);
}

async fn put_large(kv: &MemKv, key: &'static str, size: usize) {
    let put = PutRequest::new(key, vec![b'v'; size]);
    kv.txn(TxnRequest::new([put.into()])).await.unwrap();
}

// W14
// X-K
#[tokio::test]
async fn large_response_comes_in_parts_to_those_who_ask_for_it() {
    let kv = MemKv::new();
    for key in ["a", "b", "c", "d"] {
        put_large(&kv, key, 900_000).await;
    }
    let client = Client::of(&kv);
    client.create(0, all(2));
    client.create_fragmented(all(2));
    let responses: Vec<_> = std::iter::from_fn(|| client.stream.try_next()).skip(2).collect();
    let parts: Vec<_> =
        responses.iter().map(|r| (r.watch_id, r.events.len(), r.fragment)).collect();
    assert_eq!(parts, [(0, 4, false), (1, 2, true), (1, 2, false)]);
    assert!(responses.iter().all(|response| response.header == responses[0].header));
}

/// What a watcher that accepts parts gets of three large puts, the last with `size` bytes.
async fn parts_of_three_puts(size: usize) -> Vec<StreamResponse> {
    let kv = MemKv::builder().with_max_request_bytes(400_000).build();
    for (key, size) in [("a", 390_000), ("b", 390_000), ("c", size)] {
        put_large(&kv, key, size).await;
    }
    let client = Client::of(&kv);
    client.create_fragmented(all(2));
    std::iter::from_fn(|| client.stream.try_next()).skip(1).collect()
}

// W14
#[tokio::test]
async fn limit_of_a_part_is_half_a_mebibyte_above_that_of_requests() {
    let limit = 400_000 + 512 * 1024;
    let probe = 140_000;
    let whole = parts_of_three_puts(probe).await;
    let reaching_the_limit = probe + limit - encode(&whole[0]).len();
    assert_eq!(parts_of_three_puts(reaching_the_limit - 1).await.len(), 1);
    assert_eq!(parts_of_three_puts(reaching_the_limit).await.len(), 2);
}
