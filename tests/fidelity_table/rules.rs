//! The identifiers of the rules.

/// How many there are of each kind that is numbered.
const NUMBERED: [(&str, u32); 9] =
    [("R", 10), ("G", 11), ("P", 5), ("T", 18), ("C", 4), ("W", 22), ("L", 7), ("S", 3), ("B", 5)];

/// The details, `X-A` to this.
const LAST_DETAIL: char = 'Y';

/// Every identifier, in the order of the page.
pub(crate) fn all() -> Vec<String> {
    let (trait_rules, server_rules) = NUMBERED.split_last().expect("a constant list");
    let numbered =
        |(kind, count): &(&str, u32)| (1..=*count).map(|n| format!("{kind}{n}")).collect();
    let mut ids: Vec<String> =
        server_rules.iter().flat_map(|kind| -> Vec<_> { numbered(kind) }).collect();
    ids.extend(('A'..=LAST_DETAIL).map(|letter| format!("X-{letter}")));
    ids.extend::<Vec<_>>(numbered(trait_rules));
    ids
}

/// Whether `text` looks like one, existing or not.
pub(crate) fn is_id(text: &str) -> bool {
    let numbered = |kind: &str| {
        let number = text.strip_prefix(kind);
        number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let detail = text.strip_prefix("X-");
    NUMBERED.iter().any(|(kind, _)| numbered(kind))
        || detail.is_some_and(|d| d.len() == 1 && d.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// The identifiers of a list such as `G5, G6` or `G5, G6.`, if it is one.
pub(crate) fn list(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let ids: Vec<&str> = text.strip_suffix('.').unwrap_or(text).split(", ").collect();
    let all = ids.iter().all(|id| is_id(id));
    all.then(|| ids.into_iter().map(str::to_owned).collect())
}
