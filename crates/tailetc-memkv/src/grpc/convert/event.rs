//! Watches.

use etcd_client::proto::{PbEvent, PbWatchRequestUnion, PbWatchResponse};
use tailetc_core::Revision;
use tailetc_core::backend::{Event, EventKind, KeyRange, WatchRequest};

use super::response::{header, key_value};
use crate::store::{CreateRequest, StreamRequest, StreamResponse};

pub(in crate::grpc) fn watch_request(pb: PbWatchRequestUnion) -> StreamRequest {
    let create = match pb {
        PbWatchRequestUnion::CreateRequest(create) => create,
        PbWatchRequestUnion::CancelRequest(cancel) => {
            return StreamRequest::Cancel(cancel.watch_id);
        }
        PbWatchRequestUnion::ProgressRequest(_) => return StreamRequest::Progress,
    };
    let range = KeyRange::from_wire(create.key, create.range_end);
    let mut watch = WatchRequest::new(range, Revision::new(create.start_revision));
    watch.prev_kv = create.prev_kv;
    watch.progress_notify = create.progress_notify;
    watch.no_put = create.filters.contains(&0);
    watch.no_delete = create.filters.contains(&1);
    StreamRequest::Create(CreateRequest {
        watch,
        watch_id: create.watch_id,
        fragment: create.fragment,
    })
}

pub(in crate::grpc) fn watch_response(response: StreamResponse) -> PbWatchResponse {
    PbWatchResponse {
        header: Some(header(response.header)),
        watch_id: response.watch_id,
        created: response.created,
        canceled: response.canceled,
        compact_revision: response.compact_revision.get(),
        cancel_reason: response.cancel_reason.into(),
        fragment: response.fragment,
        events: response.events.into_iter().map(event).collect(),
    }
}

fn event(event: Event) -> PbEvent {
    let kind = match event.kind {
        EventKind::Put => 0,
        EventKind::Delete => 1,
    };
    PbEvent { r#type: kind, kv: Some(key_value(event.kv)), prev_kv: event.prev_kv.map(key_value) }
}
