//! A range in chunks, which etcd has from 3.7 on (`rangeStream` of
//! `server/etcdserver/v3_server.go`).

use std::pin::Pin;
use std::task::{Context, Poll};

use etcd_client::proto::{PbRangeRequest, PbRangeResponse, PbRangeStreamResponse};
use prost::Message;
use tailetc_core::Revision;
use tailetc_core::backend::{
    BackendError, Header, KeyRange, RangeRequest, RangeResponse, SortOrder, SortTarget,
};
use tokio_stream::Stream;
use tonic::Status;

use super::convert;
use super::face::Face;
use super::status::refused;

/// How many keys the first chunk may hold.
const FIRST_CHUNK_KEYS: i64 = 10;

/// Reads a chunk whenever the transport has room for one.
pub(super) struct RangeChunks {
    face: Face,
    /// What is left to read, as the next chunk.
    request: RangeRequest,
    /// How many keys all chunks together may hold.
    limit: i64,
    /// How many they held until now.
    count: i64,
    /// The header of the first chunk, which the last one carries.
    header: Option<Header>,
    done: bool,
}

impl RangeChunks {
    pub(super) fn new(face: Face, pb: PbRangeRequest) -> Result<Self, Status> {
        let request = convert::range(pb, face.version());
        let mut request = request.map_err(|malformed| refused(&malformed.refusal()))?;
        if !request.range.start().is_empty() {
            check(&request)?;
        }
        face.options
            .log
            .line(|| format!("RangeStream {:?} at {}", request.range, request.revision));
        let limit = if request.limit == 0 { i64::MAX } else { request.limit };
        request.limit = limit.min(FIRST_CHUNK_KEYS);
        Ok(Self { face, request, limit, count: 0, header: None, done: false })
    }

    fn chunk(&mut self) -> Result<PbRangeResponse, BackendError> {
        let response = self.read(&self.request)?;
        if self.request.count_only {
            self.done = true;
            return Ok(convert::range_response(RangeResponse::new(
                response.header,
                Vec::new(),
                false,
                response.count,
            )));
        }
        let header = *self.header.get_or_insert(response.header);
        if self.request.revision.is_zero() {
            self.request.revision = header.revision;
        }
        self.count += i64::try_from(response.kvs.len()).unwrap_or(i64::MAX);
        self.done = !response.more || self.count == self.limit;
        if response.more
            && let Some(last) = response.kvs.last()
        {
            let next = [&last.key[..], b"\0"].concat();
            self.request.range = KeyRange::from_wire(next, self.request.range.range_end().clone());
        }
        let mut pb = PbRangeResponse {
            kvs: response.kvs.into_iter().map(convert::key_value).collect(),
            ..PbRangeResponse::default()
        };
        if self.done {
            pb.header = Some(convert::header(header));
            pb.more = response.more;
            pb.count = self.count;
            if response.more {
                let rest = RangeRequest::new(self.request.range.clone());
                let rest = rest.with_revision(self.request.revision).with_count_only();
                pb.count += self.read(&rest)?.count;
            }
        } else {
            let target = self.face.shared.options.max_request_bytes;
            let limit = next_limit(self.request.limit, pb.encoded_len(), target);
            self.request.limit = limit.min(self.limit - self.count);
        }
        Ok(pb)
    }

    fn read(&self, request: &RangeRequest) -> Result<RangeResponse, BackendError> {
        self.face.shared.with(|store, _| store.range(request))
    }
}

/// # Errors
///
/// Refuses what would need all pairs before the first chunk.
fn check(request: &RangeRequest) -> Result<(), Status> {
    let is_in_key_order = request.sort_order == SortOrder::None
        || (request.sort_target == SortTarget::Key && request.sort_order == SortOrder::Ascend);
    if !is_in_key_order {
        return Err(Status::unimplemented("RangeStream does not support custom sort orders"));
    }
    let filters = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    if filters.iter().any(|filter| *filter != Revision::ZERO) {
        return Err(Status::unimplemented("RangeStream does not support revision filters"));
    }
    Ok(())
}

/// How many keys the chunk after one of `size` bytes may hold, for about `target` bytes.
fn next_limit(limit: i64, size: usize, target: usize) -> i64 {
    let limit = if size < target / 2 {
        limit.saturating_mul(2)
    } else if size > target.saturating_mul(2) {
        limit / 2
    } else {
        limit
    };
    // 0 would be no limit.
    if limit == 0 { 1 } else { limit }
}

impl Stream for RangeChunks {
    type Item = Result<PbRangeStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let chunk = self.chunk();
        self.done |= chunk.is_err();
        Poll::Ready(Some(match chunk {
            Ok(pb) => Ok(PbRangeStreamResponse { range_response: Some(pb) }),
            Err(error) => Err(refused(&error)),
        }))
    }
}
