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
        "version",
        Value::Nothing,
        Differs("prints Imperator's version"),
        "print the version",
        nothing,
    ),
];
