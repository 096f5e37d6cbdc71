//! Real nginx and Apache in front of real apps, and the guarantees that their users buy: no
//! request is lost by a reload, by the death of the emperor, or by a stop.

mod documents;
mod guarantees;
mod harness;
mod served;
mod sites;
mod validated;

#[path = "../support/mod.rs"]
mod support;
