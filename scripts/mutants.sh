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

# What of $1 seeds finds the mutant that is on, or else of the small tests that came of seeds.
# Short runs find what goes wrong at an end.
found_by() {
    local seeds=$1 log=$2 operations found
    for operations in 300 100; do
        if ! TAILETC_OPERATIONS=$operations TAILETC_SEEDS=$seeds \
            mutant_test --test simulation -- --nocapture every_seed >"$log" 2>&1; then
            # Whatever else may have failed has found nothing.
            found=$(grep -m 1 -o 'failed seeds: \[[0-9]*' "$log") || return 1
            echo "${found/[/} of $operations operations"
            return
        fi
    done
    ! mutant_test --test lost_histories >"$log" 2>&1 && grep -m 1 '^test .*FAILED' "$log"
}

find_mutants() {
    local seeds=$1 log=$MUTANTS_COPY/log name found missed=()
    copy_with_mutants
    mutant_test --no-run --test simulation --test lost_histories
    # Without a defect the same build finds nothing.
    TAILETC_SEEDS=$seeds mutant_test --test simulation --test lost_histories >"$log" 2>&1 ||
        die "fails without a mutant: $(tail -n 20 "$log")"
    while read -r name; do
        if found=$(TAILETC_MUTANT=$name found_by "$seeds" "$log"); then
            say "mutant $name: $found"
        else
            missed+=("$name")
            say "mutant $name: not found by $seeds seeds"
        fi
    done < <(mutant_names)
    [ ${#missed[@]} -eq 0 ] || die "not found: ${missed[*]}"
}
