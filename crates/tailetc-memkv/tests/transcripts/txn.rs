//! Transactions, as `etcdctl txn` reads them from its input.

use crate::pair::Pair;

#[tokio::test]
async fn transactions() {
    let mut pair = Pair::start().await;
    pair.ctl("put a 1").await;
    pair.ctl("put b 2").await;
    for format in ["simple", "json", "fields"] {
        let txn = format!("txn -w {format}");
        for input in [
            "\n\n\n",
            "value(\"a\") = \"1\"\n\nput a 1\nget a\n\nput b 3\n\n",
            "value(\"a\") = \"9\"\n\nput a 1\n\nget b\nput b 2\nget b\ndel nothing\n\n",
            "mod(\"a\") > \"1\"\nversion(\"b\") < \"9\"\n\ndel a\nget a\nput a2 x\n\n\n",
            "create(\"absent\") = \"0\"\n\nput a 1\n\n\n",
            "value(\"absent\") != \"1\"\n\nget a\n\nget b\n\n",
            "\nget a --rev=2\nget a --prefix --limit=1\n\n\n",
        ] {
            pair.ctl_with(&txn, input).await;
        }
    }
}

#[tokio::test]
async fn refusals_of_transactions() {
    let mut pair = Pair::start().await;
    pair.ctl("put a 1").await;
    let too_many: String = (0..129).map(|key| format!("put k{key} v\n")).collect();
    let too_many = format!("\n{too_many}\n\n");
    for input in [
        "\nput a 1\nput a 2\n\n\n",
        "\nput a 1\ndel a\n\n\n",
        "\nput a 1 --lease=77\n\n\n",
        "\nget a --rev=99\n\n\n",
        "\nput absent --ignore-value\n\n\n",
        "nonsense\n\n\n\n",
        &too_many,
    ] {
        pair.ctl_with("txn", input).await;
    }
    pair.ctl("get a -w json").await;
}
