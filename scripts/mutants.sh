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
    git -C "$ROOT" ls-files -z | (cd "$ROOT" && xargs -0 cp --parents -t "$MUTANTS_COPY")
    git -C "$ROOT" apply --directory=target/mutants "$MUTANTS" ||
        die "core has changed: bring tests/mutants/core.patch up to date (git diff makes it)"
}

mutant_names() {
    grep -o 'mutant::on("[^"]*")' "$MUTANTS" | cut -d'"' -f2 | sort -u -V
}

# Runs $1 seeds at most against each mutant, and prints which seed found it.
find_mutants() {
    local seeds=$1 name log missed=()
    copy_with_mutants
    log=$MUTANTS_COPY/log
    local run=(cargo test --release --manifest-path "$MUTANTS_COPY/Cargo.toml"
        --target-dir "$ROOT/target/mutants-build" -p tailetc-testkit --features simulation
        --test simulation)
    "${run[@]}" --no-run
    # Without a defect the same build finds nothing.
    "${run[@]}" -- every_seed >"$log" 2>&1 || die "fails without a mutant: $(tail -n 20 "$log")"
    while read -r name; do
        if TAILETC_MUTANT=$name TAILETC_SEEDS=$seeds "${run[@]}" -- --nocapture every_seed \
            >"$log" 2>&1; then
            missed+=("$name")
            say "mutant $name: not found by $seeds seeds"
        else
            say "mutant $name: $(grep -o 'failed seeds: \[[0-9]*' "$log" | tr -d '[')"
        fi
    done < <(mutant_names)
    [ ${#missed[@]} -eq 0 ] || die "not found: ${missed[*]}"
}
