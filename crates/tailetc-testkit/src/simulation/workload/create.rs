//! Keys that are created by whoever finds them absent: one at a time succeeds.

use fastrand::Rng;
use tailetc_core::Error;

use super::super::session::Session;
use super::super::value::Name;

pub(super) fn run(session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Error> {
    let name = Name::raw(format!("unique/{}", rng.u8(..6)));
    match session.contains(&name)? {
        false => session.put(&name, 1),
        true => session.delete(&name),
    }
}
