//! The one list of cases, and the macros that read it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tailetc_core::backend::KvBackend;

/// Hands the list of all cases, by area, to the macro in brackets, after the arguments in braces.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_each_conformance_case {
    ([$($then:tt)*] { $($arguments:tt)* }) => {
        $($then)*! {
            { $($arguments)* }
            revisions: [
                fresh_store_is_at_revision_one,
                capabilities_state_limits_that_admit_a_write,
                header_of_every_answer_names_the_same_cluster,
                status_names_version_and_revision,
                write_takes_the_next_revision,
                txn_of_many_writes_takes_one_revision,
                deletion_of_many_keys_takes_one_revision,
                deletion_of_nothing_takes_no_revision,
                txn_without_change_takes_no_revision,
                lease_and_compaction_take_no_revision,
                refused_request_takes_no_revision,
                put_of_the_same_value_takes_a_revision,
                metadata_counts_the_writes_of_a_key,
                metadata_of_a_key_created_again_begins_anew,
                metadata_of_a_key_replaced_in_one_txn_begins_anew,
                key_created_and_deleted_in_one_txn_is_absent,
                txn_with_failed_condition_takes_no_revision,
                revision_of_later_answers_never_goes_back,
            ],
            range: [
                range_of_one_key_gives_only_that_key,
                range_of_an_absent_key_is_empty,
                range_of_a_span_excludes_its_end,
                range_of_a_reversed_span_is_empty,
                range_from_a_key_gives_everything_after_it,
                range_of_a_prefix_gives_the_keys_below_it,
                range_orders_binary_keys_bytewise,
                range_of_an_empty_key_is_refused,
                range_with_limit_gives_the_first_keys,
                range_with_limit_of_zero_or_less_gives_everything,
                range_that_counts_gives_no_pairs,
                range_of_keys_only_leaves_values_out,
                range_with_least_mod_revision_leaves_count_alone,
                range_with_least_mod_revision_and_limit_filters_first,
                range_with_least_mod_revision_combines_with_keys_and_count,
                range_at_an_old_revision_shows_the_store_as_it_was,
                range_at_an_old_revision_takes_limit_and_filter,
                range_at_a_future_revision_is_refused,
                range_at_a_negative_revision_reads_the_current_state,
                paging_at_one_revision_is_not_disturbed_by_writes,
                paging_at_a_revision_compacted_meanwhile_is_refused,
                serializable_range_gives_a_state_of_the_store,
                range_after_a_write_shows_it,
            ],
            put_delete: [
                put_of_any_bytes_keeps_them,
                put_with_prev_kv_returns_the_pair_before,
                put_with_prev_kv_sees_earlier_operations,
                put_of_an_empty_key_is_refused,
                put_that_ignores_value_keeps_it,
                put_that_ignores_lease_keeps_it,
                put_that_ignores_value_and_lease_still_writes,
                put_that_ignores_what_it_gives_is_refused,
                put_that_ignores_parts_of_an_absent_key_is_refused,
                deletion_counts_its_keys,
                deletion_with_prev_kv_returns_the_pairs_in_key_order,
                deletion_with_prev_kv_sees_earlier_operations,
                deletion_of_an_empty_key_is_refused,
            ],
            txn: [
                txn_whose_conditions_hold_runs_success_only,
                txn_with_one_failed_condition_runs_failure_only,
                txn_without_operations_answers_its_conditions,
                txn_answers_each_operation_in_its_place,
                range_in_a_txn_sees_earlier_operations,
                range_in_a_txn_carries_the_revision_so_far,
                range_in_a_txn_takes_all_its_options,
                range_in_a_txn_at_the_revision_before_it_does_not_see_its_writes,
                range_in_a_txn_at_a_negative_revision_is_compacted,
                deletions_in_a_txn_may_overlap,
                nested_txn_runs_its_own_branch,
                nested_conditions_look_at_the_state_before_the_txn,
                nested_txns_of_several_levels_are_one_txn,
                txn_does_not_run_into_the_branch_not_chosen,
                txn_with_an_unknown_lease_changes_nothing,
                txn_with_a_range_in_the_future_changes_nothing,
                txn_with_a_compacted_range_changes_nothing,
                txn_moves_a_key_at_one_revision,
                txn_failure_branch_answers_prev_kvs,
                txn_that_only_reads_shows_the_current_revision,
            ],
            compare: [
                compare_of_version_follows_the_number,
                compare_of_create_revision_follows_the_number,
                compare_of_mod_revision_follows_the_number,
                compare_of_lease_follows_the_number,
                compare_of_value_is_bytewise,
                compare_of_value_of_an_absent_key_is_false,
                compare_of_an_empty_value_tells_it_from_an_absent_key,
                compare_of_a_deleted_key_sees_it_absent,
                compares_must_all_hold,
                compare_of_a_range_must_hold_for_every_key,
                compare_of_a_range_without_keys_is_that_of_an_absent_key,
                compare_of_a_range_notices_later_writes,
                compare_does_not_see_the_writes_of_its_txn,
                compare_of_mod_revision_guards_a_write,
                compare_of_an_empty_key_is_refused,
            ],
            validation: [
                txn_with_more_operations_than_the_limit_is_refused,
                txn_with_more_compares_than_the_limit_is_refused,
                txn_with_more_ranges_than_the_limit_is_refused,
                nested_txn_has_the_rest_of_the_limit,
                nested_txns_side_by_side_have_a_limit_each,
                txn_that_puts_a_key_twice_is_refused,
                txn_branches_may_put_the_same_key,
                txn_that_puts_and_deletes_a_key_is_refused,
                txn_that_puts_beside_a_deletion_is_taken,
                txn_that_puts_and_deletes_from_a_key_on_is_taken,
                nested_put_of_a_key_that_the_parent_writes_is_refused,
                nested_deletion_of_a_key_that_the_parent_puts_is_refused,
                nested_txns_side_by_side_conflict_by_later_puts,
                refusal_for_many_operations_comes_before_empty_and_duplicate_keys,
                refusal_for_unknown_lease_comes_after_those_for_keys,
                refusal_for_a_given_value_comes_before_that_for_a_lease,
                refusal_names_the_first_bad_operation,
                write_just_below_the_size_limit_is_taken,
                write_above_the_size_limit_is_refused,
                write_far_above_the_size_limit_is_refused,
                read_above_the_size_limit_is_taken,
                refusal_for_size_comes_after_validation_and_before_leases,
            ],
            watch: [
                watch_delivers_writes_and_deletions,
                watch_event_shows_the_lease,
                watch_delivers_a_write_of_the_same_value,
                watch_delivers_nothing_for_requests_without_change,
                watch_delivers_a_txn_whole_and_in_its_order,
                watch_delivers_the_deletion_of_a_range_in_key_order,
                watch_with_prev_kv_shows_the_pair_before,
                watch_delivers_put_then_delete_of_a_key_in_one_txn,
                watch_delivers_delete_then_put_of_a_key_in_one_txn,
                watch_delivers_only_its_range,
                watch_of_an_empty_key_is_that_of_the_zero_byte,
                watch_of_an_empty_range_is_refused,
                watch_from_zero_delivers_what_follows_its_confirmation,
                watch_from_the_future_delivers_nothing_older,
                watches_of_one_store_are_independent,
                watch_dropped_does_not_disturb_another,
                watch_next_dropped_midway_loses_nothing,
                watch_delivers_a_txn_of_a_megabyte_whole,
            ],
            history: [
                watch_from_the_past_replays_and_goes_on,
                watch_from_the_past_shows_the_pairs_before,
                watch_with_a_long_backlog_delivers_each_revision_once,
                watch_catching_up_delivers_what_is_written_meanwhile,
                watch_of_a_rare_key_finds_it_in_a_long_backlog,
                watch_from_the_compaction_revision_delivers_it,
                watch_from_below_the_compaction_revision_is_refused,
                watch_after_a_refused_one_works,
                watch_up_to_date_survives_a_compaction,
                watch_from_the_future_survives_a_compaction,
                watch_overtaken_by_compaction_ends_without_a_gap,
                watch_of_a_slow_consumer_ends_without_a_gap,
                watch_resumed_after_the_last_revision_is_gapless,
                watch_after_its_first_error_does_not_panic,
            ],
            compaction: [
                compaction_keeps_its_revision_and_later_ones,
                compaction_answers_with_the_current_revision,
                compaction_leaves_the_current_state_alone,
                compaction_of_the_current_revision_is_taken,
                compaction_at_or_below_the_last_one_is_refused,
                compaction_of_a_future_revision_is_refused,
                compaction_of_a_fresh_store_begins_at_zero,
                compaction_forgets_earlier_generations,
                compaction_after_each_write_keeps_the_rest,
            ],
            lease: [
                lease_without_identifier_gets_a_positive_one,
                lease_with_identifier_keeps_it,
                lease_with_a_taken_identifier_is_refused,
                lease_with_too_long_a_time_is_refused,
                lease_with_too_short_a_time_is_raised,
                lease_of_a_put_shows_on_key_and_lease,
                lease_of_a_key_is_replaced_by_each_write,
                lease_unknown_to_the_store_is_refused_in_a_put,
                lease_revoked_deletes_its_keys_in_one_revision,
                lease_revoked_shows_the_pairs_before_its_deletions,
                lease_unknown_to_the_store_is_refused_in_a_revocation,
                lease_renewed_has_its_full_time,
                lease_unknown_to_the_store_has_no_time_to_live,
                lease_in_a_txn_follows_its_operations,
                lease_expired_deletes_its_keys,
                leases_expired_together_take_a_revision_each,
                lease_renewed_in_time_outlives_one_that_is_not,
                lease_expired_leaves_detached_keys_alone,
            ],
            progress: [
                progress_of_a_quiet_watch_names_the_current_revision,
                progress_comes_after_the_events_it_covers,
                progress_asked_for_during_catch_up_is_not_early,
                progress_never_goes_back,
                progress_of_a_watch_from_the_future_waits_for_its_start,
                progress_asked_for_many_times_loses_no_event,
                progress_notify_leaves_events_alone,
            ],
            concurrency: [
                increments_with_guards_are_never_lost,
                creation_raced_for_has_one_winner,
                writes_at_once_take_a_revision_each,
                txn_is_never_seen_in_part,
                txn_dropped_midway_is_whole_or_absent,
                watch_during_writes_at_once_agrees_with_the_store,
            ],
        }
    };
}

/// One separately named `#[tokio::test]` for each case of the conformance suite, each on a fixture
/// of its own.
///
/// The argument is a type that implements
/// [`Fixture`](crate::conformance::Fixture). The crate that calls the macro needs `tokio` among its
/// dev-dependencies, with the features `macros` and `rt-multi-thread`. See
/// [`conformance`](crate::conformance) for an example.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:ty) => {
        $crate::__for_each_conformance_case! { [$crate::__conformance_tests] { $fixture } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ({ $fixture:ty } $($area:ident: [$($case:ident,)*],)*) => {
        $crate::__conformance_tests! { @each $($($area $case { $fixture })*)* }
    };
    (@each $($area:ident $case:ident { $fixture:ty })*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::run::<$fixture, _, _>($crate::conformance::$area::$case).await;
            }
        )*
    };
}

/// One case of the suite, as data.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// What the case is about: the module that it is in.
    pub area: &'static str,
    /// Its name, which is also that of its function and its test.
    pub name: &'static str,
    run: fn(Arc<dyn KvBackend>) -> Running,
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Case {
    /// Runs the case on a store that is fresh and empty.
    ///
    /// # Panics
    ///
    /// When the store does not do what it must.
    pub async fn run(&self, backend: Arc<dyn KvBackend>) {
        (self.run)(backend).await;
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.area, self.name)
    }
}

macro_rules! as_data {
    ({} $($area:ident: [$($case:ident,)*],)*) => {
        &[$($(
            Case {
                area: stringify!($area),
                name: stringify!($case),
                run: |backend| Box::pin(super::$area::$case(backend)),
            },
        )*)*]
    };
}

/// Every case, in the order of the list that [`conformance_tests!`](crate::conformance_tests)
/// makes tests of.
pub const CASES: &[Case] = crate::__for_each_conformance_case! { [as_data] {} };

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::CASES;

    /// The cases that the modules define.
    fn defined() -> BTreeSet<(String, String)> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
        let mut found = BTreeSet::new();
        for file in fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            let area = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let source = fs::read_to_string(&path).unwrap();
            for line in source.lines() {
                if let Some(rest) = line.strip_prefix("pub async fn ") {
                    let name = rest.split(['(', '<']).next().unwrap();
                    found.insert((area.clone(), name.to_owned()));
                }
            }
        }
        found.remove(&("mod".to_owned(), "run".to_owned()));
        found
    }

    #[test]
    fn list_holds_exactly_the_cases_that_are_defined() {
        let listed: BTreeSet<(String, String)> =
            CASES.iter().map(|case| (case.area.to_owned(), case.name.to_owned())).collect();
        assert_eq!(listed, defined());
        assert_eq!(listed.len(), CASES.len(), "a case is listed twice");
    }

    #[test]
    fn names_of_cases_are_unique_over_all_areas() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }
}
