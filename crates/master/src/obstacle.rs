//! Looks at the file system for what keeps an app's user out, after something was refused to it.

use std::path::{Path, PathBuf};

use imperator_core::message::Failure;
use imperator_core::why::CauseId;
use imperator_process::access::{self, Barrier, ENTER, READ, Who};
use imperator_process::spawn::{SpawnError, Step};

use crate::effects::Ready;

/// Adds what was expected and found, and the command that mends it.
pub(crate) fn tell(mut failure: Failure, barrier: &Barrier) -> Failure {
    failure.cause = CauseId::Permission;
    failure.hint = Some(match barrier.path == Path::new("/root") {
        // Nobody should have to open that.
        true => format!(
            "move it out of /root, which is root's alone (for python: set python or virtualenv); or: {}",
            barrier.command()
        ),
        false => barrier.command(),
    });
    failure
        .with("path", barrier.path.display().to_string())
        .with("expected", barrier.expected())
        .with("found", barrier.found())
}

/// After a load that failed: of `path` when an OSError named one, or of `module` when it was not
/// found though it is there. Python calls a directory that it may not read empty.
pub(crate) fn look(
    failure: &mut Failure,
    ready: &Ready,
    path: Option<String>,
    module: Option<String>,
) {
    let who = Who::of(ready.identity.as_ref());
    let barrier = match (failure.cause, path, module) {
        (CauseId::Permission, Some(path), _) => {
            let path = ready.cwd.join(path);
            let wanted = if path.is_dir() { READ | ENTER } else { READ };
            access::barrier(&path, &who, wanted)
        }
        (CauseId::ImportError, _, Some(module)) => {
            let first = module.split('.').next().unwrap_or_default();
            searched(ready).find_map(|directory| {
                let file = directory.join(format!("{first}.py"));
                let package = directory.join(first);
                let there = [file, package.join("__init__.py")];
                let there = there.into_iter().find(|path| path.exists())?;
                access::barrier(&directory, &who, READ | ENTER)
                    .or_else(|| access::barrier(&there, &who, READ))
            })
        }
        _ => None,
    };
    if let Some(barrier) = barrier {
        *failure = tell(std::mem::take(failure), &barrier);
    }
}

/// Where the app's modules are looked for first.
fn searched(ready: &Ready) -> impl Iterator<Item = PathBuf> {
    let paths = ready.settings.pythonpath.iter();
    let paths = paths.map(|path| ready.cwd.join(path));
    std::iter::once(ready.cwd.clone()).chain(paths.collect::<Vec<_>>())
}

/// After a start that did not reach the interpreter.
pub(crate) fn look_at_start(failure: &mut Failure, ready: &Ready, error: &SpawnError) {
    let path = Path::new(&error.object);
    *failure = std::mem::take(failure).with("path", error.object.as_str());
    if failure.cause != CauseId::Permission {
        return;
    }
    let wanted = match error.step {
        Step::Chdir => ENTER,
        Step::Exec => READ | ENTER,
        Step::Prepare
        | Step::Fork
        | Step::Group
        | Step::Descriptors
        | Step::Limits
        | Step::Setgroups
        | Step::Setgid
        | Step::Setuid => return,
    };
    let who = Who::of(ready.identity.as_ref());
    if let Some(barrier) = access::barrier(path, &who, wanted) {
        failure.evidence.clear();
        *failure = tell(std::mem::take(failure), &barrier);
    }
}
