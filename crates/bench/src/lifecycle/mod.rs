//! The life of an app under load: reloads, bad deploys, killed workers, a killed emperor. The same
//! for ours, the original, gunicorn and Granian, and every client counts what it sent itself.

pub mod account;
pub mod adoption;
pub mod ask;
pub mod breakage;
pub mod command;
mod config;
pub mod crowd;
pub mod leaks;
pub mod place;
pub mod processes;
pub mod reaction;
pub mod rows;
pub mod servers;
pub mod silence;
pub mod table;
pub mod traffic;
