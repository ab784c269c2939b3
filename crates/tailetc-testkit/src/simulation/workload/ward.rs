//! A ward with room for so many on duty. Who is on duty says an index, and nothing but reading it
//! guards that.

use std::ops::RangeInclusive;

use fastrand::Rng;
use tailetc_core::Error;

use super::super::session::Session;
use super::super::value::{Area, Name};
use super::rota::ON_DUTY;

/// The numbers of those on duty.
pub(crate) const WARD: RangeInclusive<i64> = 10_000..=10_009;

pub(super) fn run(session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Error> {
    let on_duty = session.numbers(Area::Items, WARD)?;
    match on_duty.get(rng.usize(..ON_DUTY)) {
        Some((leaving, _)) if rng.bool() => session.put(leaving, 1),
        Some((leaving, _)) => session.delete(leaving),
        None if on_duty.len() < ON_DUTY => {
            let name = Name::item(format!("ward/{}", rng.u8(..20)));
            session.put(&name, rng.i64(WARD))
        }
        None => Ok(()),
    }
}
