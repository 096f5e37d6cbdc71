//! Facts and parsers that every process shares. Pure: no process, clock, thread or unsafe code.

#![forbid(unsafe_code)]

pub mod action;
pub mod address;
pub mod backoff;
pub mod carriers;
pub mod command;
pub mod config;
pub mod counters;
pub mod finding;
pub mod history;
pub mod ini;
pub mod message;
pub mod nearest;
pub mod options;
pub mod packet;
pub mod pattern;
pub mod settings;
pub mod signals;
pub mod stanzas;
pub mod template;
pub mod why;
