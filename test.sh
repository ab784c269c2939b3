#!/usr/bin/env bash
# Runs the tests. On a fresh Debian it needs only Rust and git: it installs what is missing
# (protoc with apt, etcd servers into target/tools) and says so. The newer servers are built with
# Go, and left out where there is none.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: ./test.sh [command]

  (none)          everything: memory, memkv, etcd, fidelity, mutants, and a little chaos; with the
                  servers 3.4, 3.5.1 and 3.5 (its newest), and, where there is Go to build them, 3.6
                  and 3.7. Without Go it says at its end what it has left out
  memory          what needs no server: the workspace without tailetc-etcd, tailetc-fidelity and
                  tailetc-chaos; needs only Rust
  etcd            what needs a server, with each of them
  etcd <which>    the same with one: 3.4, 3.5.1, 3.5, 3.6, 3.7, newest (of these), 3.8 (an alpha), a
                  version in target/tools, or the path of an etcd binary with etcdctl beside it,
                  and etcdutl from 3.6 on
  fidelity        TAILETC_PROGRAMS random programs on memkv and on each of the servers, which must
                  answer alike (default 600); that memkv's deliberate mistakes are seen
  fidelity <which>  the same with one of the servers
  memkv           what needs a server, with the binary memkv in its place; etcdctl is the newest's
  simulate        the deterministic simulation, optimised: TAILETC_SEEDS=N (default 1,000) seeds of
                  TAILETC_OPERATIONS (1,000) operations, from TAILETC_FIRST_SEED (0) on; or
                  TAILETC_SEED=x alone, with its trace. docs/testing.md has more
  mutants         that the simulation finds each of the defects in tests/mutants, within
                  TAILETC_SEEDS seeds (600)
  chaos [args]    a cluster of three real servers, the newest or those of TAILETC_KIND (3.6, say),
                  while everything happens to it, with the arguments of the program: --minutes M,
                  --seed S, --restores false, and what `./test.sh chaos --help` lists
  outage [args]   a real server, the newest or that of TAILETC_KIND, that is away: --seconds S (60),
                  twice
  tools           installs protoc and the servers, and runs nothing
TEXT
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$ROOT"
# shellcheck source=scripts/tools.sh
. scripts/tools.sh
# shellcheck source=scripts/mutants.sh
. scripts/mutants.sh

DONE=()
NOW=preparation
# Set at the end: a signal may come with a status of 0.
FINISHED=

summary() {
    local status=$? passed
    passed=$(printf '%s, ' "${DONE[@]-}")
    if [ "$status" -eq 0 ] && [ -n "$FINISHED" ]; then
        say "PASSED: ${passed%, }"
        if [ ${#LEFT_OUT[@]} -ne 0 ]; then
            say "LEFT OUT, as there is no Go to build them: ${LEFT_OUT[*]}"
        fi
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
    cargo test --workspace --exclude tailetc-etcd --exclude tailetc-fidelity \
        --exclude tailetc-chaos --features tailetc-testkit/simulation
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
    cargo test -p tailetc-etcd --all-features --lib --test etcd
    # What `etcdctl` prints, of the server and of the memkv that imitates it.
    cargo test -p tailetc-memkv --features cli --test transcripts
    # Of the facade's tests, those that need a server are in files with `etcd` in the name, or in
    # modules `etcd`.
    cargo test -p tailetc --features etcd --test '*etcd*'
    cargo test -p tailetc --features etcd --tests -- etcd::
    DONE+=("$NOW")
}

# Calls function $1 with the binary of each of the servers that are named, or of all.
with_each() {
    need_protoc
    local call=$1 kinds=("${@:2}") kind
    [ $# -gt 1 ] || kinds=("${ETCD_KINDS[@]}")
    for kind in "${kinds[@]}"; do
        case $kind in
        */*) "$call" "$(realpath "$kind")" ;;
        *)
            need_etcd "$kind"
            "$call" "$TOOLS/etcd-$ETCD_VERSION/etcd"
            ;;
        esac
    done
}

# Runs programs on memkv and the binary $1.
fidelity_with() {
    NOW="fidelity to $(etcd_version "$1")"
    say "$NOW: programs on memkv and on $1"
    TMPDIR=$(data_place) TAILETC_ETCD=$1 cargo test --release -p tailetc-fidelity --tests -- --nocapture \
        --test-threads=1
    DONE+=("$NOW")
}

# Tests that kill the server and want back what it had, which memkv keeps nowhere. All others are
# run with it.
NEED_DURABILITY=(
    failing_etcd::killed_server_is_noticed_and_found_again
    crash::killed_server_loses_no_acknowledged_write_and_the_replicas_converge
)

memkv() {
    need_protoc
    need_etcd newest
    NOW=memkv
    say "the server's tests with memkv; left out, as it keeps nothing: ${NEED_DURABILITY[*]}"
    cargo build --release -p tailetc-memkv --features cli
    cargo test -p tailetc-etcd --all-features --doc
    cargo test -p tailetc-etcd --all-features --test conformance_memkv
    local skips=() name
    for name in "${NEED_DURABILITY[@]}"; do
        skips+=(--skip "$name")
    done
    TAILETC_ETCD=$ROOT/target/release/memkv
    TAILETC_ETCDCTL=$TOOLS/etcd-$ETCD_VERSION/etcdctl
    export TAILETC_ETCD TAILETC_ETCDCTL
    cargo test -p tailetc-memkv --features cli --test grpc
    cargo test -p tailetc --features etcd --test '*etcd*' -- "${skips[@]}"
    cargo test -p tailetc --features etcd --tests -- etcd:: "${skips[@]}"
    unset TAILETC_ETCD TAILETC_ETCDCTL
    DONE+=(memkv)
}

simulate() {
    NOW=simulate
    export TAILETC_SEEDS=${TAILETC_SEEDS:-1000} TAILETC_OPERATIONS=${TAILETC_OPERATIONS:-1000}
    if [ -n "${TAILETC_SEED:-}" ]; then
        say "simulation: seed $TAILETC_SEED, $TAILETC_OPERATIONS operations"
    else
        say "simulation: $TAILETC_SEEDS seeds of $TAILETC_OPERATIONS operations"
    fi
    cargo test --release -p tailetc-testkit --features simulation --test simulation -- \
        --nocapture every_seed
    DONE+=(simulate)
}

mutants() {
    NOW=mutants
    say "defects of core that the simulation must find"
    find_mutants "${TAILETC_SEEDS:-600}"
    DONE+=(mutants)
}

# Where the servers' data goes in runs that write more than they compute.
data_place() {
    if [ -w /dev/shm ]; then
        echo /dev/shm
    else
        echo "${TMPDIR:-/tmp}"
    fi
}

# Whose clusters the tests let everything happen to: all but those with old faults of their own.
chaos_kinds() {
    local kind
    CHAOS_KINDS=()
    for kind in "${ETCD_KINDS[@]}"; do
        case $kind in
        3.4 | 3.5.1) ;;
        *) CHAOS_KINDS+=("$kind") ;;
        esac
    done
}

# Everything once, with the binary $1.
some_chaos_with() {
    NOW="chaos on $(etcd_version "$1")"
    say "$NOW: everything once, and a short outage"
    TMPDIR=$(data_place) TAILETC_ETCD=$1 cargo test -p tailetc-chaos -- --nocapture \
        --test-threads=1
    DONE+=("$NOW")
}

# Runs the program `chaos` with these arguments and the newest server.
chaos_program() {
    NOW="chaos $*"
    need_protoc
    need_etcd "${TAILETC_KIND:-newest}"
    TMPDIR=$(data_place) TAILETC_ETCD=$TOOLS/etcd-$ETCD_VERSION/etcd \
        cargo run --release -p tailetc-chaos -- "$@"
    DONE+=("$NOW")
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
# What needs Rust alone does not look for Go.
case ${1:-all} in
memory | simulate | mutants) ;;
*) settle_kinds ;;
esac
case ${1:-all} in
all)
    memory
    memkv
    with_each etcd_with
    with_each fidelity_with
    chaos_kinds
    with_each some_chaos_with "${CHAOS_KINDS[@]}"
    mutants
    ;;
memory) memory ;;
memkv) memkv ;;
etcd) with_each etcd_with "${@:2}" ;;
fidelity) with_each fidelity_with "${@:2}" ;;
simulate) simulate ;;
mutants) mutants ;;
chaos) chaos_program run "${@:2}" ;;
outage) chaos_program outage "${@:2}" ;;
tools) tools ;;
*)
    usage >&2
    exit 2
    ;;
esac
FINISHED=1
