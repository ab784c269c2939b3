//! Putting the fragments of a watch response together.

use etcd_client::proto::{PbEvent, PbKeyValue, PbWatchResponse};
use tailetc_core::backend::{BackendError, BackendErrorKind};

use crate::error::malformed;

/// The fragments so far of one response. The server sends them one after another, and a revision
/// may be spread over several, so none is of use before the last has come.
#[derive(Debug)]
pub(crate) struct Fragments {
    events: Vec<PbEvent>,
    /// Keys and values in `events`. Invariant: 0 while no response is under way.
    bytes: usize,
    max_bytes: usize,
}

impl Fragments {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { events: Vec::new(), bytes: 0, max_bytes }
    }

    /// Takes a response in and returns it when it is whole.
    pub(crate) fn push(
        &mut self,
        mut response: PbWatchResponse,
    ) -> Result<Option<PbWatchResponse>, BackendError> {
        let under_way = !self.events.is_empty();
        if !response.fragment && !under_way {
            return Ok(Some(response));
        }
        if response.created || response.canceled || response.events.is_empty() {
            return Err(malformed("a watch response between the fragments of another"));
        }
        self.bytes += response.events.iter().map(event_bytes).sum::<usize>();
        if self.bytes > self.max_bytes {
            return Err(BackendError::new(
                BackendErrorKind::Unknown,
                format!(
                    "a watch response is larger than the {} bytes of max_message_bytes",
                    self.max_bytes
                ),
            ));
        }
        self.events.append(&mut response.events);
        if response.fragment {
            return Ok(None);
        }
        self.bytes = 0;
        response.events = std::mem::take(&mut self.events);
        Ok(Some(response))
    }
}

fn event_bytes(event: &PbEvent) -> usize {
    let size = |kv: &PbKeyValue| kv.key.len() + kv.value.len();
    event.kv.as_ref().map_or(0, size) + event.prev_kv.as_ref().map_or(0, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(keys: &[&str], fragment: bool) -> PbWatchResponse {
        let event = |key: &&str| PbEvent {
            kv: Some(PbKeyValue { key: key.as_bytes().to_vec(), ..PbKeyValue::default() }),
            ..PbEvent::default()
        };
        PbWatchResponse {
            events: keys.iter().map(event).collect(),
            fragment,
            ..PbWatchResponse::default()
        }
    }

    fn keys(response: PbWatchResponse) -> Vec<Vec<u8>> {
        response.events.into_iter().map(|e| e.kv.unwrap().key).collect()
    }

    // D17
    #[test]
    fn nothing_is_delivered_before_the_last_fragment() {
        let mut fragments = Fragments::new(100);
        assert!(fragments.push(part(&["a", "b"], true)).unwrap().is_none());
        assert!(fragments.push(part(&["c"], true)).unwrap().is_none());
        let whole = fragments.push(part(&["d"], false)).unwrap().unwrap();
        assert_eq!(keys(whole), [b"a", b"b", b"c", b"d"]);
        // The next response begins anew, with the whole bound for itself.
        let next = fragments.push(part(&["e"], false)).unwrap().unwrap();
        assert_eq!(keys(next), [b"e"]);
    }

    #[test]
    fn bound_holds_for_one_response_and_not_for_the_stream() {
        let mut fragments = Fragments::new(3);
        for _ in 0..5 {
            assert!(fragments.push(part(&["aa"], true)).unwrap().is_none());
            assert!(fragments.push(part(&["b"], false)).unwrap().is_some());
        }
        assert!(fragments.push(part(&["aa"], true)).unwrap().is_none());
        assert!(fragments.push(part(&["bb"], false)).is_err());
    }

    // D17
    #[test]
    fn cancel_in_the_middle_of_fragments_is_an_error() {
        let mut fragments = Fragments::new(100);
        fragments.push(part(&["a"], true)).unwrap();
        let canceled = PbWatchResponse { canceled: true, ..PbWatchResponse::default() };
        assert!(fragments.push(canceled).is_err());
    }
}
