//! What a server's version says about what can be relied on.

/// What the rest of the backend asks a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reliable {
    /// A progress notification proves that every earlier event was delivered.
    ///
    /// Up to 3.4.24 and 3.5.7 the answer to a request for progress could overtake events (etcd
    /// issue 15220); up to 3.4.30 and 3.5.12 it was put off until the next event, so that it might
    /// never come. Both are mended in 3.4.31 and 3.5.13 and in every later minor version.
    pub(crate) progress: bool,
    /// A watch from exactly the compaction revision is sent the deletions made at it.
    ///
    /// Mended in 3.4.34 and 3.5.16 (etcd issue 18089) but for a server that was restarted, in
    /// 3.4.36 and 3.5.18 (etcd issue 19179) for that too.
    pub(crate) deletions: bool,
}

impl Reliable {
    /// Of a server whose version is not known because it keeps it from the user: only servers from
    /// 3.4.42, 3.5.28 and 3.6.0 on do that (etcd issue 21663).
    pub(crate) const EVERYTHING: Self = Self { progress: true, deletions: true };

    /// Of a server that may be of any version.
    pub(crate) const NOTHING: Self = Self { progress: false, deletions: false };

    /// A version that cannot be read, or a pre-release of the first good one, counts as not mended.
    pub(crate) fn of(version: &str) -> Self {
        let since = |in_3_4, in_3_5| is_since(version, in_3_4, in_3_5);
        Self { progress: since(31, 13), deletions: since(36, 18) }
    }

    /// What both can be relied on for.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            progress: self.progress && other.progress,
            deletions: self.deletions && other.deletions,
        }
    }
}

/// Whether the version is at least this patch of 3.4 or of 3.5, or of a later minor version.
fn is_since(version: &str, in_3_4: u32, in_3_5: u32) -> bool {
    let (numbers, pre_release) = match version.split_once('-') {
        Some((numbers, _)) => (numbers, true),
        None => (version.split('+').next().unwrap_or_default(), false),
    };
    let mut numbers = numbers.trim_start_matches('v').split('.');
    let mut next = || numbers.next()?.parse::<u32>().ok();
    let (Some(major), Some(minor), Some(patch)) = (next(), next(), next()) else {
        return false;
    };
    let first_good = match (major, minor) {
        (3, 4) => in_3_4,
        (3, 5) => in_3_5,
        _ => return (major, minor) > (3, 5),
    };
    patch > first_good || (patch == first_good && !pre_release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_reliable_from_the_patch_that_mended_it() {
        for version in [
            "3.4.31",
            "3.4.37",
            "3.5.13",
            "3.5.30",
            "3.6.0",
            "3.6.0-rc.1",
            "3.7.2",
            "4.0.0",
            "v3.5.13",
            "3.5.13+git",
        ] {
            assert!(Reliable::of(version).progress, "{version}");
        }
        for version in [
            "3.3.27",
            "3.4.0",
            "3.4.23",
            "3.4.30",
            "3.5.0",
            "3.5.1",
            "3.5.12",
            "3.5.13-rc.0",
            "2.3.8",
            "",
            "3.5",
            "not a version",
        ] {
            assert!(!Reliable::of(version).progress, "{version}");
        }
    }

    // D36
    #[test]
    fn deletions_outlast_compaction_from_the_patch_that_mended_it_after_restarts_too() {
        for version in ["3.4.36", "3.5.18", "3.5.30", "3.6.0", "3.7.3"] {
            assert!(Reliable::of(version).deletions, "{version}");
        }
        for version in ["3.4.34", "3.4.35", "3.5.16", "3.5.17", "3.5.18-rc.0", ""] {
            assert!(!Reliable::of(version).deletions, "{version}");
        }
    }
}
