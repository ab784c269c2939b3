# shellcheck shell=bash
# Defects that are put into core on purpose, each of which the simulation must find. Sourced after
# tools.sh, with ROOT set.
#
# tests/mutants/core.patch builds all of them into a copy of the sources, where TAILETC_MUTANT names
# the one that is on. The sources themselves have no switch.

MUTANTS=$ROOT/tests/mutants/core.patch
MUTANTS_COPY=$ROOT/target/mutants

copy_with_mutants() {
    rm -rf "$MUTANTS_COPY"
    mkdir -p "$MUTANTS_COPY"
    # Cargo finds the configuration of the sources above the copy; twice is once too often.
    git -C "$ROOT" ls-files -z -- . ':!.cargo' |
        (cd "$ROOT" && xargs -0 cp --parents -t "$MUTANTS_COPY")
    git -C "$ROOT" apply --directory=target/mutants "$MUTANTS" ||
        die "core has changed: bring tests/mutants/core.patch up to date (git diff makes it)"
}

mutant_names() {
    grep -o 'mutant::on("[^"]*")' "$MUTANTS" | cut -d'"' -f2 | sort -u -V
}

mutant_test() {
    cargo test --release --manifest-path "$MUTANTS_COPY/Cargo.toml" \
        --target-dir "$ROOT/target/mutants-build" -p tailetc-testkit --features simulation "$@"
}

# Runs $1 seeds at most against each mutant, and the small tests that came of seeds against those
# that these do not meet. Prints what has found it.
find_mutants() {
    local seeds=$1 name log missed=()
    copy_with_mutants
    log=$MUTANTS_COPY/log
    mutant_test --no-run --test simulation --test lost_histories
    # Without a defect the same build finds nothing.
    mutant_test --test simulation --test lost_histories >"$log" 2>&1 ||
        die "fails without a mutant: $(tail -n 20 "$log")"
    while read -r name; do
        export TAILETC_MUTANT=$name
        if ! TAILETC_SEEDS=$seeds mutant_test --test simulation -- --nocapture every_seed \
            >"$log" 2>&1; then
            say "mutant $name: $(grep -o 'failed seeds: \[[0-9]*' "$log" | tr -d '[')"
        elif ! mutant_test --test lost_histories >"$log" 2>&1; then
            say "mutant $name: $(grep -o '^test .*FAILED' "$log" | head -n 1)"
        else
            missed+=("$name")
            say "mutant $name: not found by $seeds seeds"
        fi
    done < <(mutant_names)
    unset TAILETC_MUTANT
    [ ${#missed[@]} -eq 0 ] || die "not found: ${missed[*]}"
}
