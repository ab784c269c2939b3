//! Responses in parts (etcd: `sendFragments` in `server/etcdserver/api/v3rpc/watch.go`).

use std::collections::VecDeque;

use tailetc_core::backend::{Event, EventKind, Header, KeyValue};

use super::message::StreamResponse;

/// Sends `response` to `parts`, in parts if it has `limit` bytes or more and more than one event.
///
/// A part has as many events as fit below the limit, and one at least. All but the last say that
/// more follows.
pub(super) fn split(
    mut response: StreamResponse,
    limit: usize,
    parts: &mut VecDeque<StreamResponse>,
) {
    let sizes: Vec<usize> = response.events.iter().map(|event| field(event_bytes(event))).collect();
    let without_events = response_bytes(&response);
    if without_events + sizes.iter().sum::<usize>() < limit || sizes.len() < 2 {
        parts.push_back(response);
        return;
    }
    let mut events = std::mem::take(&mut response.events).into_iter().zip(sizes).peekable();
    // The last part, too, is measured as if more followed.
    let part = StreamResponse { fragment: true, ..response };
    let part_bytes = response_bytes(&part);
    while let Some((event, size)) = events.next() {
        let mut part = part.clone();
        let mut bytes = part_bytes + size;
        part.events.push(event);
        while let Some((event, size)) = events.next_if(|(_, size)| bytes + size < limit) {
            bytes += size;
            part.events.push(event);
        }
        part.fragment = events.peek().is_some();
        parts.push_back(part);
    }
}

/// The size of a response as protobuf, but for its events.
fn response_bytes(response: &StreamResponse) -> usize {
    field(header_bytes(&response.header))
        + int(response.watch_id)
        + flag(response.created)
        + flag(response.canceled)
        + int(response.compact_revision.get())
        + bytes(response.cancel_reason.len())
        + flag(response.fragment)
}

fn header_bytes(header: &Header) -> usize {
    let Header { cluster_id, member_id, revision, raft_term } = header;
    unsigned(*cluster_id) + unsigned(*member_id) + int(revision.get()) + unsigned(*raft_term)
}

fn event_bytes(event: &Event) -> usize {
    let kind = flag(event.kind == EventKind::Delete);
    kind + field(pair_bytes(&event.kv))
        + event.prev_kv.as_ref().map_or(0, |kv| field(pair_bytes(kv)))
}

fn pair_bytes(kv: &KeyValue) -> usize {
    bytes(kv.key.len())
        + int(kv.create_revision.get())
        + int(kv.mod_revision.get())
        + int(kv.version)
        + bytes(kv.value.len())
        + int(kv.lease.get())
}

/// A length-delimited field of `len` bytes with its tag, which is one byte for every number here.
fn field(len: usize) -> usize {
    1 + varint(len as u64) + len
}

/// A `bytes` or `string` field, left out when empty.
fn bytes(len: usize) -> usize {
    if len == 0 { 0 } else { field(len) }
}

fn int(value: i64) -> usize {
    // Negative numbers are written as their two's complement.
    unsigned(value as u64)
}

fn unsigned(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint(value) }
}

fn flag(value: bool) -> usize {
    if value { 2 } else { 0 }
}

fn varint(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}
