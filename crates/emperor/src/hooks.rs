//! `vassals-start-hook` and `vassals-stop-hook`: programs of the operator's, run with a vassal's id (`blog.ini`).

use std::ffi::OsString;
use std::path::Path;

use imperator_core::message::Config;
use imperator_process::spawn::{self, Plan, SpawnError};

/// Where the vassals are; the original sets it for hook and vassal.
const DIRECTORY: &str = "UWSGI_VASSALS_DIR";

/// Runs hook and id, then becomes the master. The hook's result does not matter, as in the
/// original, and it gets no descriptor of the master's. One that hangs delays its own vassal alone.
const BEFORE: &str = "\"$1\" \"$2\" 3<&-; exec \"$4\" master \"$3\"";

/// The plan of a master that runs the start hook first, in the vassals' directory.
pub(crate) fn before<'a>(
    hook: &Path,
    config: &Config,
    name: &str,
    program: &Path,
    cwd: &Path,
) -> Plan<'a> {
    let id = config.id();
    let mut plan = Plan::new("/bin/sh");
    let words: [&std::ffi::OsStr; 6] = [
        "-c".as_ref(),
        BEFORE.as_ref(),
        "imperator".as_ref(),
        hook.as_ref(),
        id.as_ref(),
        name.as_ref(),
    ];
    plan.args = words.map(OsString::from).to_vec();
    plan.args.push(program.into());
    plan.env.push((DIRECTORY.into(), cwd.into()));
    plan.chdir = Some(cwd.to_owned());
    plan
}

/// Starts the stop hook; nobody waits for it.
///
/// # Errors
/// What hinders its start.
pub(crate) fn after(
    hook: &Path,
    config: &Config,
    env: &[(OsString, OsString)],
) -> Result<(), SpawnError> {
    let mut plan = Plan::new(hook);
    plan.args = vec![config.id().into()];
    plan.env = env.to_vec();
    spawn::spawn(&plan).map(|_| ())
}
