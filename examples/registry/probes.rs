//! Liveness, readiness and counters.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tailetc::{Health, Phase};

use crate::app::App;

/// `GET /healthz`: whether the process is of any use; if not, it should be started anew.
pub(crate) async fn alive(State(app): State<App>) -> Response {
    let health = app.db.health();
    let alive = !matches!(health.phase, Phase::Closed(_));
    answer(alive, &health)
}

/// `GET /readyz`: whether this replica follows the store. One that does not still answers, from
/// the last state that it has seen; a balancer should prefer others.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let health = app.db.health();
    answer(health.is_tailing() && !app.stop.is_requested(), &health)
}

fn answer(good: bool, health: &Health) -> Response {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(describe(health))).into_response()
}

fn describe(health: &Health) -> Value {
    let phase = match health.phase {
        Phase::Tailing => "tailing",
        Phase::Lagging => "lagging",
        Phase::Reconnecting => "reconnecting",
        Phase::Resyncing => "resyncing",
        Phase::Closed(_) => "closed",
        _ => "other",
    };
    json!({
        "phase": phase,
        "phase_for_seconds": health.phase_for.as_secs_f64(),
        "revision": health.revision.get(),
        "store_revision": health.store_revision.get(),
        "age_seconds": health.age.as_secs_f64(),
        "last_contact_seconds": health.last_contact.as_secs_f64(),
        "last_error": health.last_error.as_deref(),
    })
}

/// `GET /stats`
pub(crate) async fn stats(State(app): State<App>) -> Json<Value> {
    let (snapshot, stats) = (app.db.snapshot(), app.db.stats());
    Json(json!({
        "keys": snapshot.len(),
        "undecodable": snapshot.quarantined().count(),
        "revision": snapshot.revision().get(),
        "health": describe(&app.db.health()),
        "commits": stats.commits,
        "conflicts": stats.conflicts,
        "local_conflicts": stats.local_conflicts,
        "unknown_outcomes": stats.unknown_outcomes,
        "applied_from_answer": stats.applied_from_answer,
        "applied_without_decoding": stats.applied_without_decoding,
        "revisions": stats.revisions,
        "changes": stats.changes,
        "publications": stats.publications,
        "reconnects": stats.reconnects,
        "resyncs": stats.resyncs,
        "silent_watches": stats.silent_watches,
        "progress_requests": stats.progress_requests,
        "proofs": stats.proofs,
        "self_checks": stats.self_checks,
        "self_check_mismatches": stats.self_check_mismatches,
        "resolved_outcomes": stats.resolved_outcomes,
        "observer_panics": stats.observer_panics,
        "lagged_watches": stats.lagged_watches,
    }))
}
