//! Places with numbers, no two with the same: a unique index. Few may be on the balcony, in a
//! guarded collection.

use std::ops::RangeInclusive;

use fastrand::Rng;
use tailetc_core::Error;

use super::super::session::Session;
use super::super::value::{Area, Name};

/// The numbers on the balcony.
pub(crate) const BALCONY: RangeInclusive<i64> = 100..=105;

/// The most that may be there.
pub(crate) const ROOM: usize = 2;

/// Few numbers, so that they are often wanted.
const NUMBERS: i64 = 4;

pub(super) fn run(session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Error> {
    let place = |rng: &mut Rng| Name::place(format!("{}", rng.u8(..8)));
    match rng.u8(..8) {
        0 => session.delete(&place(rng)),
        1 => {
            // Two exchange their numbers.
            let (a, b) = (place(rng), place(rng));
            match (session.get(&a)?, session.get(&b)?) {
                (Some(of_a), Some(of_b)) if a != b => {
                    session.put(&a, of_b.number)?;
                    session.put(&b, of_a.number)
                }
                _ => Ok(()),
            }
        }
        2 => {
            // Whoever finds nobody there.
            let number = rng.i64(0..NUMBERS);
            match session.numbers(Area::Places, number..=number)?.first() {
                Some((taken, _)) => session.delete(taken),
                None => session.put(&place(rng), number),
            }
        }
        3 | 4 => {
            // Whether a number is taken, noted elsewhere: nothing but the read guards that.
            let number = rng.i64(0..NUMBERS);
            let taken = session.numbers(Area::Places, number..=number)?.len();
            session.put(&Name::raw(format!("taken/{number}")), i64::try_from(taken).unwrap_or(0))
        }
        5 => {
            let there = session.numbers(Area::Places, BALCONY)?;
            match there.first() {
                Some((leaving, _)) if there.len() >= ROOM => {
                    session.put(leaving, rng.i64(0..NUMBERS))
                }
                _ => session.put(&place(rng), rng.i64(BALCONY)),
            }
        }
        6 => {
            let there = session.range(&Name::place(""))?;
            let last = there.iter().map(|(_, item)| item.number).max().unwrap_or(NUMBERS);
            session.put(&place(rng), (last + 1).clamp(NUMBERS, 99))
        }
        _ => session.put(&place(rng), rng.i64(0..NUMBERS)),
    }
}
