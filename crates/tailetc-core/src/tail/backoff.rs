//! Pauses between attempts.

use std::time::Duration;

use crate::db::Options;

/// Doubling pauses with jitter.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(options: &Options) -> Self {
        Self { min: options.backoff_min, max: options.backoff_max, next: options.backoff_min }
    }

    /// The next pause, between half of its nominal length and the whole, by `chance` in `0.0..1.0`.
    pub(crate) fn pause(&mut self, chance: f64) -> Duration {
        let nominal = self.next;
        self.next = nominal.saturating_mul(2).min(self.max);
        nominal.mul_f64(0.5 + chance / 2.0)
    }

    /// Begins anew, after something worked.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // D35
    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_reset() {
        let mut backoff = Backoff::new(&Options::default());
        let nominal: Vec<_> = (0..10).map(|_| backoff.pause(1.0).as_millis()).collect();
        assert_eq!(nominal, [50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.reset();
        assert_eq!(backoff.pause(0.0).as_millis(), 25);
    }
}
