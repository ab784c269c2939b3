//! What the conformance suite does about stores that lack something.

mod lacking;
mod needs;
