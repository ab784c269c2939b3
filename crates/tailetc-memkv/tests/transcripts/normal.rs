//! What may differ between two servers, replaced by what may not.

/// The fields of JSON and of `-w fields` that are a server's own.
const OWN_FIELDS: &[&str] = &[
    "cluster_id",
    "ClusterID",
    "member_id",
    "MemberID",
    "leader",
    "Leader",
    "dbSize",
    "DBSize",
    "dbSizeInUse",
    "DBSizeInUse",
    "dbSizeQuota",
    "ts",
    "took",
    "target",
];

/// The launcher asks for the health until a server serves. Of 3.4 servers every such question is an
/// entry of the raft log, so that nobody can say where it stands.
const OWN_FIELDS_OF_3_4: &[&str] =
    &["raftIndex", "RaftIndex", "raftAppliedIndex", "RaftAppliedIndex"];

/// What a server calls its own.
#[derive(Clone)]
pub(crate) struct Own {
    pub(crate) address: String,
    pub(crate) version: String,
    /// The leases that it granted, in order, as `etcdctl` prints them: in hexadecimal.
    pub(crate) leases: Vec<String>,
}

impl Own {
    /// `text` without it.
    pub(crate) fn without(&self, text: &str) -> String {
        let mut text = text.replace(&self.address, "ADDRESS");
        for (at, lease) in self.leases.iter().enumerate() {
            let name = format!("LEASE{at}");
            text = text.replace(lease, &name);
            let number = i64::from_str_radix(lease, 16).expect("leases are hexadecimal");
            text = text.replace(&number.to_string(), &name);
        }
        let of_3_4 = if self.is_3_4() { OWN_FIELDS_OF_3_4 } else { &[] };
        for field in OWN_FIELDS.iter().chain(of_3_4) {
            for separator in ["\":", "\" : "] {
                text = replace_after(&text, &format!("\"{field}{separator}"), is_in_value, "OWN");
            }
        }
        text = replace_after(&text, "LocalAddr: '", |c| c != '\'', "OWN");
        // The library that prints alarms from 3.7 on puts one space or two between fields, from build
        // to build, so that nobody relies on it.
        text = text.replace("  alarm:", " alarm:");
        let is_not_space = |c: char| !c.is_whitespace();
        text = replace_after(&text, "took = ", is_not_space, "TIME");
        text = replace_after(&text, ". took ", is_not_space, "TIME");
        text = replace_after(&text, "remaining(", |c| c.is_ascii_digit(), "TIME");
        text.split_inclusive('\n').map(|line| self.status_line(line)).collect()
    }

    /// Without member and size, if it is a line of a status.
    fn status_line(&self, line: &str) -> String {
        let mut fields: Vec<_> = line.split(", ").collect();
        match &mut fields[..] {
            ["ADDRESS", member, _, size, _, _, _, index, applied, _] => {
                (*member, *size) = ("OWN", "OWN");
                if self.is_3_4() {
                    (*index, *applied) = ("OWN", "OWN");
                }
            }
            // Since 3.6: the storage version, the size, what is in use of it, its share, the quota.
            ["ADDRESS", member, _, _, size, in_use, share, _, _, _, _, _, _, _, _, _] => {
                (*member, *size, *in_use, *share) = ("OWN", "OWN", "OWN", "OWN");
            }
            _ => {}
        }
        fields.join(", ")
    }

    fn is_3_4(&self) -> bool {
        self.version.starts_with("3.4.")
    }
}

/// The same of a message as Rust prints it.
pub(crate) fn without_ids(message: &str) -> String {
    let cluster = replace_after(message, "cluster_id: ", is_in_value, "OWN");
    replace_after(&cluster, "member_id: ", is_in_value, "OWN")
}

/// Numbers and strings.
fn is_in_value(c: char) -> bool {
    !matches!(c, ',' | '}' | '\n')
}

/// Replaces what follows `marker` for as long as `is_part` holds.
fn replace_after(text: &str, marker: &str, is_part: impl Fn(char) -> bool, with: &str) -> String {
    let mut parts = text.split(marker);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        replaced += marker;
        replaced += with;
        replaced += part.trim_start_matches(&is_part);
    }
    replaced
}

#[test]
fn own_values_are_replaced_and_others_stay() {
    let json = r#"{"header":{"cluster_id":14841639068965178418,"revision":2},"count":1}"#;
    let fields = "\"ClusterID\" : 14841639068965178418\n\"Revision\" : 2\n";
    let health = "127.0.0.1:2379 is healthy: took = 1.5ms\n";
    let status = "127.0.0.1:2379, 6d656d6b766e6f64, 3.5.30, 20 kB, true, false, 2, 6, 6, \n";
    let newer = "127.0.0.1:2379, 6d656d6b766e6f64, 3.6.16, 3.6.0, 20 kB, 16 kB, 20%, 2.1 GB, \
                 true, false, 2, 6, 6, , , false\n";
    let grant = "lease 694d0000000000aa granted with TTL(9s), remaining(8s), 7587720947189153962";
    let own = Own {
        address: "127.0.0.1:2379".to_owned(),
        version: "3.5.30".to_owned(),
        leases: vec!["694d0000000000aa".to_owned()],
    };
    let normal = |text| own.without(text);
    assert_eq!(normal(json), r#"{"header":{"cluster_id":OWN,"revision":2},"count":1}"#);
    assert_eq!(normal(fields), "\"ClusterID\" : OWN\n\"Revision\" : 2\n");
    assert_eq!(normal(health), "ADDRESS is healthy: took = TIME\n");
    assert_eq!(normal(status), "ADDRESS, OWN, 3.5.30, OWN, true, false, 2, 6, 6, \n");
    let expected =
        "ADDRESS, OWN, 3.6.16, 3.6.0, OWN, OWN, OWN, 2.1 GB, true, false, 2, 6, 6, , , false\n";
    assert_eq!(normal(newer), expected);
    assert_eq!(normal(grant), "lease LEASE0 granted with TTL(9s), remaining(TIMEs), LEASE0");
}
