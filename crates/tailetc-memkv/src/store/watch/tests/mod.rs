//! Streams, as their clients see them.

mod backlog;
mod cancellation;
mod creation;
mod fragments;
mod live;
mod progress;
mod support;
mod wakes;
