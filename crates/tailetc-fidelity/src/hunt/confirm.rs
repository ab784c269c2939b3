//! Whether a divergence comes again.

use std::sync::atomic::Ordering;

use super::shrink::shrink;
use super::{Finding, Hunt, HuntError, Work, program};
use crate::duel::{Divergence, Duel, Pauses};
use crate::program::Program;

/// Runs the last of `history` again on fresh servers, slowly; if that is not it, with more and more
/// of what ran before.
pub(super) async fn confirm(
    work: &Work,
    history: &[u64],
    first: Divergence,
) -> Result<(), HuntError> {
    let _one = work.confirming.lock().await;
    let hunt = &work.hunt;
    let Some(number) = history.last().copied() else {
        return Ok(());
    };
    if work.stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    let programs: Vec<_> =
        history.iter().map(|number| program(hunt.seed, *number)).collect::<Result<_, _>>()?;
    let mut last = 1;
    loop {
        let tail = &programs[programs.len().saturating_sub(last)..];
        if let Some(divergence) = persists(hunt, tail).await? {
            let (programs, divergence) = match hunt.shrink {
                true => shrink(hunt, tail.to_vec(), divergence).await?,
                false => (tail.to_vec(), divergence),
            };
            let finding = Finding::new(number, programs, &divergence);
            if let Some(tell) = hunt.tell {
                tell(&finding);
            }
            let mut report = work.report.lock().await;
            report.findings.push(finding);
            if report.findings.len() >= hunt.enough {
                work.stop.store(true, Ordering::Relaxed);
            }
            return Ok(());
        }
        if last >= programs.len() {
            break;
        }
        last *= 4;
    }
    work.report.lock().await.vanished.push(format!("program {number}: {first}"));
    Ok(())
}

/// Where these programs part, if they do twice.
async fn persists(hunt: &Hunt, programs: &[Program]) -> Result<Option<Divergence>, HuntError> {
    match part(hunt, programs, Pauses::PATIENT).await? {
        Some(_) => part(hunt, programs, Pauses::PATIENT).await,
        None => Ok(None),
    }
}

/// Where these programs part on one fresh pair.
pub(super) async fn part(
    hunt: &Hunt,
    programs: &[Program],
    pauses: Pauses,
) -> Result<Option<Divergence>, HuntError> {
    let mut duel = Duel::start(&hunt.a, &hunt.b, pauses).await?;
    for program in programs {
        if let Err(divergence) = Box::pin(duel.run(program)).await {
            return Ok(Some(divergence));
        }
    }
    Ok(None)
}
