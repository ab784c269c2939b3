//! What will happen, decided by a seed before anything does.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// One thing that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    KillMember,
    KillLeader,
    KillMajority,
    KillAll,
    PauseMember,
    PauseLeader,
    IsolateMember,
    IsolateLeader,
    /// Connections between one member and the others stay open, and nothing arrives.
    SwallowMember,
    /// What one member sends to another gets lost; the other way is open.
    CutOneWay,
    DelayPeers,
    HoldPeers,
    DelayClients,
    HoldClients,
    /// Clients of one member are on half-open connections.
    SwallowClients,
    /// Requests arrive, and answers get lost.
    SwallowAnswers,
    RefuseClients,
    /// No client reaches anybody.
    RefuseAllClients,
    Compact,
    Defragment,
    MoveLeader,
    Backup,
    RestoreSame,
    RestoreOther,
}

impl Fault {
    const ALL: [Self; 22] = [
        Self::KillMember,
        Self::KillLeader,
        Self::KillMajority,
        Self::KillAll,
        Self::PauseMember,
        Self::PauseLeader,
        Self::IsolateMember,
        Self::IsolateLeader,
        Self::SwallowMember,
        Self::CutOneWay,
        Self::DelayPeers,
        Self::HoldPeers,
        Self::DelayClients,
        Self::HoldClients,
        Self::SwallowClients,
        Self::SwallowAnswers,
        Self::RefuseClients,
        Self::RefuseAllClients,
        Self::Compact,
        Self::Defragment,
        Self::MoveLeader,
        Self::Backup,
    ];

    /// What an operator does while something else happens that leaves a majority.
    const OPERATIONS: [Self; 4] = [Self::Compact, Self::Defragment, Self::MoveLeader, Self::Backup];
    const HARMLESS: [Self; 9] = [
        Self::PauseMember,
        Self::IsolateMember,
        Self::SwallowMember,
        Self::DelayPeers,
        Self::DelayClients,
        Self::HoldClients,
        Self::SwallowClients,
        Self::SwallowAnswers,
        Self::RefuseAllClients,
    ];

    pub(crate) fn is_restore(self) -> bool {
        matches!(self, Self::RestoreSame | Self::RestoreOther)
    }
}

/// Something happens, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Episode {
    pub(crate) faults: Vec<Fault>,
    /// Whom it concerns, where that is one member.
    pub(crate) member: usize,
    /// Another one.
    pub(crate) other: usize,
    pub(crate) lasting: Duration,
    /// How long all is well afterwards.
    pub(crate) calm: Duration,
}

impl fmt::Display for Episode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { faults, member, other, lasting, .. } = self;
        write!(f, "{faults:?} of {member} (and {other}) for {lasting:?}")
    }
}

/// Everything once, in any order, and then anything.
#[derive(Debug)]
pub(crate) struct Schedule {
    rng: Rng,
    restores: bool,
    /// What is left of the first round, last first.
    first: Vec<Fault>,
}

impl Schedule {
    pub(crate) fn new(seed: u64, restores: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut first = Fault::ALL.to_vec();
        rng.shuffle(&mut first);
        if restores {
            // Two of the seven places at which half of the rest is over.
            first.insert(rng.usize(..6), Fault::RestoreOther);
            first.insert(rng.usize(..6), Fault::RestoreSame);
        }
        Self { rng, restores, first }
    }

    /// Whether everything has been there once.
    pub(crate) fn is_complete(&self) -> bool {
        self.first.is_empty()
    }

    pub(crate) fn next(&mut self) -> Episode {
        let faults = match self.first.pop() {
            Some(fault) => vec![fault],
            None => self.draw(),
        };
        let rng = &mut self.rng;
        let member = rng.usize(..3);
        let other = (member + rng.usize(1..3)) % 3;
        // Mostly short, so that much happens; at times longer than every deadline.
        let longest = if rng.u8(..5) == 0 { 4_000 } else { 1_200 };
        let lasting = Duration::from_millis(rng.u64(50..=longest));
        let calm = Duration::from_millis(rng.u64(50..=600));
        Episode { faults, member, other, lasting, calm }
    }

    fn draw(&mut self) -> Vec<Fault> {
        let rng = &mut self.rng;
        let mut one_of = |faults: &[Fault]| faults[rng.usize(..faults.len())];
        let restore = one_of(&[Fault::RestoreSame, Fault::RestoreOther]);
        let (any, harmless) = (one_of(&Fault::ALL), one_of(&Fault::HARMLESS));
        let operation = one_of(&Fault::OPERATIONS);
        match rng.u8(..20) {
            0 if self.restores => vec![restore],
            0..8 if operation == Fault::Compact => vec![harmless, operation],
            // The others need all members.
            0..8 => vec![operation, harmless],
            _ => vec![any],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_decides_the_schedule() {
        let (mut a, mut b) = (Schedule::new(7, true), Schedule::new(7, true));
        for _ in 0..100 {
            assert_eq!(a.next(), b.next());
        }
    }

    #[test]
    fn first_round_has_everything() {
        let mut schedule = Schedule::new(3, true);
        let mut seen = std::collections::BTreeSet::new();
        while !schedule.is_complete() {
            seen.extend(schedule.next().faults);
        }
        assert_eq!(seen.len(), Fault::ALL.len() + 2);
    }
}
