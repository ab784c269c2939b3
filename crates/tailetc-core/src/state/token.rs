//! A place in a cluster's history that can be handed to another process.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Revision};

/// "At least this revision of this cluster": what one process hands to another so that the other
/// reads what the first has written ([`Db::at_least`](crate::Db::at_least)).
///
/// Within one history of a cluster, revision and raft term never go down. A token whose revision or
/// term is above the cluster's is of a history that is gone (a restored backup), and is refused.
/// etcd has no identity of a history that would tell in every case.
///
/// Prints and parses as `cluster-term-revision` in hexadecimal (at most 50 ASCII characters), fit
/// for an HTTP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    cluster_id: u64,
    raft_term: u64,
    revision: Revision,
}

impl Token {
    pub(crate) fn new(cluster_id: u64, raft_term: u64, revision: Revision) -> Self {
        Self { cluster_id, raft_term, revision }
    }

    /// etcd's cluster identifier.
    pub fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    /// The highest raft term that the `Db` that made the token had seen.
    pub fn raft_term(&self) -> u64 {
        self.raft_term
    }

    /// The revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.cluster_id, self.raft_term, self.revision.get())
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| Error::TokenSyntax { text: text.chars().take(64).collect() })
    }
}

fn parse(text: &str) -> Option<Token> {
    let mut parts = text.split('-').map(|part| {
        let digits = part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits { u64::from_str_radix(part, 16).ok() } else { None }
    });
    let mut part = || parts.next().flatten();
    let (cluster_id, raft_term, revision) = (part()?, part()?, part()?);
    if parts.next().is_some() {
        return None;
    }
    Some(Token::new(cluster_id, raft_term, Revision::new(i64::try_from(revision).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_survives_printing() {
        let token = Token::new(u64::MAX, u64::MAX, Revision::new(i64::MAX));
        assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        assert_eq!(token.to_string().len(), 50);
    }

    #[test]
    fn text_that_is_no_token_is_refused() {
        for text in ["", "1-2", "1-2-3-4", "1-2-+3", "x-1-1", "1-1-8000000000000000", "1--1"] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }
}
