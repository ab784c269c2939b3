//! Registers that are read and overwritten, not always by who has read them.

use fastrand::Rng;
use tailetc_core::Error;

use super::super::session::Session;
use super::super::value::Name;

pub(super) fn run(session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Error> {
    let register = Name::item(format!("register/{}", rng.u8(..3)));
    if rng.bool() {
        session.get(&register)?;
    }
    if rng.u8(..4) > 0 {
        session.put(&register, rng.i64(..100))?;
        session.get(&register)?;
    } else {
        session.validate();
    }
    Ok(())
}
