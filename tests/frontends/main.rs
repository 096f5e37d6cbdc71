//! Real nginx and Apache in front of real apps.

#[path = "../support/mod.rs"]
mod support;
