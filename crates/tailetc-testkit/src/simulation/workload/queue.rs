//! A queue: who pushes takes the number after the last, who pops takes the first.

use tailetc_core::Error;

use super::super::session::Session;
use super::super::value::Name;

const FULL: usize = 5;

pub(super) fn run(session: &mut Session<'_>) -> Result<(), Error> {
    let waiting = session.range(&Name::item("queue/"))?;
    match waiting.first() {
        Some((first, _)) if waiting.len() >= FULL => session.delete(first),
        _ => {
            let last = waiting.last().map_or(0, |(_, item)| item.number);
            session.put(&Name::item(format!("queue/{:06}", last + 1)), last + 1)
        }
    }
}
