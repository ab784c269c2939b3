//! Anything, on keys that foreign writers and leases change too.

use fastrand::Rng;
use tailetc_core::{Error, LeaseId};

use super::super::session::Session;
use super::super::value::Name;

/// One of the keys that everybody uses.
pub(crate) fn any(rng: &mut Rng) -> Name {
    let number = rng.u8(..10);
    match rng.bool() {
        true => Name::item(format!("any/{number}")),
        false => Name::raw(format!("any/{number}")),
    }
}

pub(super) fn run(session: &mut Session<'_>, rng: &mut Rng, lease: LeaseId) -> Result<(), Error> {
    for _ in 0..rng.usize(1..=5) {
        let name = any(rng);
        match rng.u8(..12) {
            0..3 => drop(session.get(&name)?),
            3 => drop(session.contains(&name)?),
            4 => drop(session.range(&Name { rest: part(&name), ..name.clone() })?),
            5..9 => session.put(&name, rng.i64(..1_000))?,
            9 => session.put_with_lease(&name, rng.i64(..1_000), lease)?,
            10 => session.delete(&name)?,
            _ => session.validate(),
        }
    }
    Ok(())
}

/// The prefix under which all keys like this are.
fn part(name: &Name) -> String {
    name.rest.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()
}
