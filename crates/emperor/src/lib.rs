//! The emperor: watches files, decides which apps there are, and keeps a master for each.
//!
//! ```text
//! monitor   what happened to the files          plan         what that means for apps   (pure)
//! adopt     masters of an earlier emperor       supervisor   which masters there are    (pure)
//! effects   spawns, orders, keeps sockets       run          the loop around all of it
//! ```

#![forbid(unsafe_code)]

pub mod adopt;
pub mod chronicle;
pub mod control;
pub mod drain;
pub mod effects;
mod hooks;
pub mod monitor;
pub mod options;
pub mod orphans;
mod own_log;
pub mod plan;
pub mod question;
pub mod run;
pub mod runtime;
pub mod seen;
mod stats;
pub mod status;
pub mod store;
pub mod supervisor;
pub mod systemd;
pub mod tyrant;
pub mod upgrade;
pub mod why;
