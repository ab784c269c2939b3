//! Accounts between which money is moved: the sum stays what it was at every revision.

use fastrand::Rng;
use tailetc_core::Error;

use super::super::session::Session;
use super::super::value::Name;

pub(crate) const ACCOUNTS: usize = 6;
pub(crate) const BALANCE: i64 = 100;

pub(crate) fn account(number: usize) -> Name {
    Name::item(format!("bank/{number}"))
}

pub(super) fn run(session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Error> {
    let (from, to) = (account(rng.usize(..ACCOUNTS)), account(rng.usize(..ACCOUNTS)));
    let amount = rng.i64(1..20);
    if from == to {
        return Ok(());
    }
    let (Some(a), Some(b)) = (session.get(&from)?, session.get(&to)?) else {
        return Ok(());
    };
    session.put(&from, a.number - amount)?;
    session.put(&to, b.number + amount)
}
