//! The emperor: watches files, decides which apps there are, and keeps a master for each.

#![forbid(unsafe_code)]

pub mod monitor;
pub mod supervisor;
