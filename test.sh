#!/usr/bin/env bash
# Runs the tests. On a fresh Debian it needs only Rust and git: it installs what is missing
# (protoc with apt, three etcd servers into target/tools) and says so.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: ./test.sh [command]

  (none)          everything: memory, then etcd
  memory          what needs no server: the workspace without tailetc-etcd; needs only Rust
  etcd            what needs a server, with each of the three
  etcd <which>    the same with one: 3.4, 3.5.1, newest, a version in target/tools, or the path of
                  an etcd binary with etcdctl beside it
  tools           installs protoc and the servers, and runs nothing
TEXT
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$ROOT"
# shellcheck source=scripts/tools.sh
. scripts/tools.sh

DONE=()
NOW=preparation

summary() {
    local status=$? passed
    passed=$(printf '%s, ' "${DONE[@]-}")
    if [ "$status" -eq 0 ]; then
        say "PASSED: ${passed%, }"
    else
        say "FAILED: $NOW (passed before: ${passed%, })"
    fi
}
trap summary EXIT

memory() {
    NOW=memory
    say "tests without a server"
    # The tests of the registry run it; built here, none of them waits for the compiler.
    cargo build --example registry
    cargo test --workspace --exclude tailetc-etcd
    DONE+=(memory)
}

# Runs the tests that need a server, with the binary $1.
etcd_with() {
    TAILETC_ETCD=$1
    TAILETC_ETCD_VERSION=$(etcd_version "$1")
    [ -n "$TAILETC_ETCD_VERSION" ] || die "$1 is not an etcd binary"
    export TAILETC_ETCD TAILETC_ETCD_VERSION
    NOW="etcd $TAILETC_ETCD_VERSION"
    say "tests with TAILETC_ETCD_VERSION=$TAILETC_ETCD_VERSION (TAILETC_ETCD=$TAILETC_ETCD)"
    cargo test -p tailetc-etcd --all-features
    # Of the facade's tests, those that need a server are in files with `etcd` in the name, or in
    # modules `etcd`.
    cargo test -p tailetc --features etcd --test '*etcd*'
    cargo test -p tailetc --features etcd --tests -- etcd::
    DONE+=("$NOW")
}

etcd() {
    need_protoc
    local kinds=("$@") kind
    [ $# -gt 0 ] || kinds=("${ETCD_KINDS[@]}")
    for kind in "${kinds[@]}"; do
        case $kind in
        */*) etcd_with "$(realpath "$kind")" ;;
        *)
            need_etcd "$kind"
            etcd_with "$TOOLS/etcd-$ETCD_VERSION/etcd"
            ;;
        esac
    done
}

tools() {
    local kind
    need_protoc
    for kind in "${ETCD_KINDS[@]}"; do
        need_etcd "$kind"
        say "etcd $ETCD_VERSION is in $TOOLS/etcd-$ETCD_VERSION"
    done
    DONE+=(tools)
}

case ${1:-} in
-h | --help | help)
    trap - EXIT
    usage
    exit
    ;;
esac
have cargo || die "cargo is missing: install Rust"
case ${1:-all} in
all)
    memory
    etcd
    ;;
memory) memory ;;
etcd) etcd "${@:2}" ;;
tools) tools ;;
*)
    usage >&2
    exit 2
    ;;
esac
