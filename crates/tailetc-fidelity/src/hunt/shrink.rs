//! A smaller program that diverges too: fewer steps, and then less in each.

use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::confirm::part;
use super::{Hunt, HuntError};
use crate::duel::{Divergence, Pauses};
use crate::program::{Program, Step};

/// How long smaller programs are tried.
const TIME: Duration = Duration::from_secs(120);

/// Makes programs, which are run one after the other, smaller as long as they diverge.
///
/// This is not proptest's shrinking: removing steps in halves, and whatever can be left out of a
/// step as it is written, takes a fraction of the runs, each of which may need fresh servers.
pub(super) async fn shrink(
    hunt: &Hunt,
    programs: Vec<Program>,
    divergence: Divergence,
) -> Result<(Vec<Program>, Divergence), HuntError> {
    let until = Instant::now() + TIME;
    let mut attempts = Attempts { hunt, until, best: (programs, divergence) };
    attempts.programs().await?;
    for number in (0..attempts.best.0.len()).rev() {
        attempts.steps(number).await?;
        attempts.contents(number).await?;
    }
    let (programs, divergence) = attempts.best;
    // Shown is what fresh servers answer.
    let again = part(hunt, &programs, Pauses::PATIENT).await?;
    Ok((programs, again.unwrap_or(divergence)))
}

struct Attempts<'a> {
    hunt: &'a Hunt,
    until: Instant,
    best: (Vec<Program>, Divergence),
}

impl Attempts<'_> {
    /// Leaves out whole programs.
    async fn programs(&mut self) -> Result<(), HuntError> {
        let mut at = 0;
        while at + 1 < self.best.0.len() {
            let mut programs = self.best.0.clone();
            programs.remove(at);
            at += usize::from(!self.is_better(programs).await?);
        }
        Ok(())
    }

    /// Leaves out steps, first many at once.
    async fn steps(&mut self, number: usize) -> Result<(), HuntError> {
        let mut size = self.best.0[number].0.len();
        while size > 0 {
            let mut at = 0;
            while at < self.best.0[number].0.len() {
                let mut programs = self.best.0.clone();
                let steps = &mut programs[number].0;
                steps.drain(at..(at + size).min(steps.len()));
                if !self.is_better(programs).await? {
                    at += size;
                }
            }
            size /= 2;
        }
        Ok(())
    }

    /// Leaves out what steps can do without.
    async fn contents(&mut self, number: usize) -> Result<(), HuntError> {
        for at in 0..self.best.0[number].0.len() {
            let mut place = 0;
            while let Some(smaller) = without(&self.best.0[number].0[at], place) {
                let mut programs = self.best.0.clone();
                let is_better = match smaller {
                    Some(step) => {
                        programs[number].0[at] = step;
                        self.is_better(programs).await?
                    }
                    None => false,
                };
                place += usize::from(!is_better);
            }
        }
        Ok(())
    }

    async fn is_better(&mut self, programs: Vec<Program>) -> Result<bool, HuntError> {
        if Instant::now() > self.until || programs == self.best.0 {
            return Ok(false);
        }
        let divergence = part(self.hunt, &programs, Pauses::SHORT).await?;
        let diverges = divergence.is_some();
        if let Some(divergence) = divergence {
            self.best = (programs, divergence);
        }
        Ok(diverges)
    }
}

/// The step without the field or the element at this place of all; `Some(None)` if that is no
/// step, `None` if there is no such place.
fn without(step: &Step, place: usize) -> Option<Option<Step>> {
    let mut value = serde_json::to_value(step).ok()?;
    let mut left = place;
    remove(&mut value, &mut left).then(|| {
        let smaller = serde_json::from_value::<Step>(value).ok();
        smaller.filter(|smaller| smaller != step)
    })
}

/// Removes what is at the place, counted through all levels.
fn remove(value: &mut Value, left: &mut usize) -> bool {
    let len = match value {
        Value::Object(fields) => fields.len(),
        Value::Array(elements) => elements.len(),
        _ => return false,
    };
    if *left < len {
        match value {
            Value::Object(fields) => {
                let name = fields.keys().nth(*left).cloned().unwrap_or_default();
                fields.remove(&name);
            }
            Value::Array(elements) => {
                elements.remove(*left);
            }
            _ => {}
        }
        return true;
    }
    *left -= len;
    match value {
        Value::Object(fields) => fields.values_mut().any(|value| remove(value, left)),
        Value::Array(elements) => elements.iter_mut().any(|value| remove(value, left)),
        _ => false,
    }
}
