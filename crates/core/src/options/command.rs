//! Rows: what only the command line knows. The command acts on these itself.

use super::Support::Differs;
use super::{Opt, Value, nothing, opt};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "help",
        Value::Nothing,
        Differs("prints how Imperator is used; its options are listed by imperator options"),
        "print how the program is used",
        nothing,
    )
    .aka(&["usage"])
    .short('h')
    .immediate(),
    opt(
        "pause",
        Value::Path,
        TO_A_SERVER,
        "pause or resume the server of this pid file",
        nothing,
    )
    .aka(&["resume", "suspend"])
    .immediate(),
    opt(
        "reload",
        Value::Path,
        TO_A_SERVER,
        "reload the server of this pid file",
        nothing,
    )
    .immediate(),
    opt(
        "stop",
        Value::Path,
        TO_A_SERVER,
        "stop the server of this pid file",
        nothing,
    )
    .immediate(),
    opt(
        "version",
        Value::Nothing,
        Differs("prints Imperator's version"),
        "print the version",
        nothing,
    ),
];

const TO_A_SERVER: super::Support =
    Differs("first on the command line only, and only to a process that is a server");
