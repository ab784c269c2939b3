//! What the workloads keep true at every revision.

use tailetc_core::Revision;
use tailetc_core::backend::{Event, EventKind, KeyRange};

use super::timeline::Timeline;
use crate::simulation::value::{Item, Name};
use crate::simulation::workload::{ACCOUNTS, BALANCE, BALCONY, ON_DUTY, ROOM, WARD, account, rota};

pub(crate) fn check(timeline: &Timeline, wrong: &mut impl FnMut(String)) {
    let (bank, rota) = (Name::item("bank/").prefix(), rota().prefix());
    let (items, places) = (Name::item("").prefix(), Name::place("").prefix());
    let counters = Name::raw("counter/").prefix();
    for (revision, events) in &timeline.revisions {
        let touches = |range: &KeyRange| events.iter().any(|event| range.contains(&event.kv.key));
        if touches(&bank) {
            let balance = |number| {
                let kv = timeline.get(&account(number).whole(), *revision)?;
                Item::decode(&kv.value)
            };
            let sum: i64 = (0..ACCOUNTS).filter_map(balance).map(|item| item.number).sum();
            if sum != BALANCE * ACCOUNTS as i64 {
                wrong(format!("the bank holds {sum} at {revision}"));
            }
        }
        if touches(&rota) {
            let on_duty = timeline.state(&rota, *revision).count();
            if on_duty > ON_DUTY {
                wrong(format!("{on_duty} are on duty at {revision}"));
            }
        }
        if touches(&items) {
            let numbers = numbers(timeline, &items, *revision);
            let on = numbers.iter().filter(|number| WARD.contains(number)).count();
            if on > ON_DUTY {
                wrong(format!("{on} are on duty in the ward at {revision}"));
            }
        }
        if touches(&places) {
            let mut taken = numbers(timeline, &places, *revision);
            let balcony = taken.iter().filter(|number| BALCONY.contains(number)).count();
            let places = taken.len();
            taken.sort_unstable();
            taken.dedup();
            if taken.len() < places || balcony > ROOM {
                wrong(format!("{places} places, {taken:?} taken at {revision}"));
            }
        }
        for event in events.iter().filter(|event| counters.contains(&event.kv.key)) {
            check_increment(timeline, event, wrong);
        }
    }
}

fn numbers(timeline: &Timeline, of: &KeyRange, at: Revision) -> Vec<i64> {
    let state = timeline.state(of, at);
    state.filter_map(|(_, kv)| Some(Item::decode(&kv.value)?.number)).collect()
}

fn check_increment(timeline: &Timeline, event: &Event, wrong: &mut impl FnMut(String)) {
    let at = event.revision();
    let number = |bytes: &[u8]| Item::decode(bytes).map(|item| item.number);
    let before = timeline.get(&event.kv.key, Revision::new(at.get() - 1));
    let before = before.and_then(|kv| number(&kv.value)).unwrap_or(0);
    if event.kind == EventKind::Put && number(&event.kv.value) != Some(before + 1) {
        wrong(format!("{:?} went from {before} to {:?} at {at}", event.kv.key, event.kv.value));
    }
}
