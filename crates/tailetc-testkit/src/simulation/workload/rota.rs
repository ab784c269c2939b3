//! A rota with room for so many: whoever finds room enters. Guarded by nothing but the range.

use fastrand::Rng;
use tailetc_core::Error;

use super::super::session::Session;
use super::super::value::Name;

/// The most that are on duty.
pub(crate) const ON_DUTY: usize = 3;

pub(crate) fn rota() -> Name {
    Name::raw("rota/")
}

pub(super) fn run(session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Error> {
    let there = session.range(&rota())?;
    if there.len() < ON_DUTY {
        let name = Name::raw(format!("rota/{}", rng.u8(..50)));
        return session.put(&name, 1);
    }
    let (leaving, _) = &there[rng.usize(..there.len())];
    session.delete(leaving)
}
