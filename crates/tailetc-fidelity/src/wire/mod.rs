//! etcd's protocol, as raw messages: nothing stands between the comparison and what was sent.

mod call;
mod client;
mod stream;

pub(crate) use self::call::{Answer, Call, Refusal};
pub(crate) use self::client::Client;
pub(crate) use self::stream::{WatchStream, create};
