//! Counters that are incremented.

use fastrand::Rng;
use tailetc_core::Error;

use super::super::session::Session;
use super::super::value::Name;

pub(super) fn run(session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Error> {
    let counter = Name::raw(format!("counter/{}", rng.u8(..2)));
    let count = session.get(&counter)?.map_or(0, |item| item.number);
    session.put(&counter, count + 1)
}
