//! What programs do with a `Db`: each workload has an invariant of its own, and all are judged by
//! the same oracle.

mod bank;
mod counter;
mod create;
mod queue;
mod random;
mod register;
mod rota;
mod seats;
mod ward;

use fastrand::Rng;
use tailetc_core::{Error, LeaseId};

pub(crate) use self::bank::{ACCOUNTS, BALANCE, account};
pub(crate) use self::random::any;
pub(crate) use self::rota::{ON_DUTY, rota};
pub(crate) use self::seats::{BALCONY, ROOM};
pub(crate) use self::ward::WARD;
use super::session::Session;

/// Reads and writes of one transaction.
pub(crate) fn run(session: &mut Session<'_>, rng: &mut Rng, lease: LeaseId) -> Result<(), Error> {
    match rng.u8(..22) {
        0 | 1 => register::run(session, rng),
        2..4 => bank::run(session, rng),
        4 | 5 => create::run(session, rng),
        6 | 7 => rota::run(session, rng),
        8 | 9 => queue::run(session),
        10 | 11 => counter::run(session, rng),
        12 | 13 => ward::run(session, rng),
        14..18 => seats::run(session, rng),
        _ => random::run(session, rng, lease),
    }
}
