//! What a server's version says about its progress notifications.

/// Whether a progress notification of this server proves that every earlier event was delivered.
///
/// Up to 3.4.24 and 3.5.7 the answer to a request for progress could overtake events (etcd issue
/// 15220); up to 3.4.30 and 3.5.12 it was put off until the next event, so that it might never
/// come. Both are mended in 3.4.31 and 3.5.13 and in every later minor version. A version that
/// cannot be read, or a pre-release of the first good one, counts as not mended.
pub(crate) fn has_reliable_progress(version: &str) -> bool {
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
        (3, 4) => 31,
        (3, 5) => 13,
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
            assert!(has_reliable_progress(version), "{version}");
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
            assert!(!has_reliable_progress(version), "{version}");
        }
    }
}
