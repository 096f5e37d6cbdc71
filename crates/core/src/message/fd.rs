//! Descriptors with a fixed number in every process that executes an interpreter or a master.

/// The channel to the parent: emperor for a master, master for a mold or worker.
pub const CHANNEL: i32 = 3;
/// The extension module, opened once per master.
pub const EXTENSION: i32 = 4;
/// Where a worker writes its request-log lines; non-blocking.
pub const REQUEST_LOG: i32 = 5;
/// A file in memory whose bytes are the app's locks: one for all its processes.
pub const LOCKS: i32 = 6;
