//! What a config wants done around the app's life: `hook-*`, `exec-*`, `mount-*`, `umount-*`,
//! `call-*`, waits and written files. Who runs which phase: `docs/architecture.md`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::finding::Place;

/// When something is done. The first ones are in the order in which a start reaches them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Asap,
    PreJail,
    /// Only with `jailed`.
    PostJail,
    InJail,
    /// `file-write`
    Files,
    /// `wait-for-fs` and its like, before anything is done as root.
    Waits,
    AsRoot,
    AsUser,
    /// `wait-for-socket`
    Sockets,
    PreApp,
    PostApp,
    PostFork,
    Accepting,
    /// The first time that a worker of this number accepts in its generation.
    AcceptingOnce,
    /// Worker 1 only.
    Accepting1,
    Accepting1Once,
    MasterStart,
    AsUserAtexit,
    EmperorStop,
    EmperorReload,
    EmperorLost,
    /// `hook-touch`; its line stands with the touched file.
    Touch,
}

impl Phase {
    /// As the original's log writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asap => "asap",
            Self::PreJail => "pre-jail",
            Self::PostJail => "post-jail",
            Self::InJail => "in-jail",
            Self::Files => "file-write",
            Self::Waits => "before root's",
            Self::AsRoot => "as root",
            Self::AsUser => "as user",
            Self::Sockets => "before the app",
            Self::PreApp => "pre app",
            Self::PostApp => "post app",
            Self::PostFork => "post-fork",
            Self::Accepting => "accepting",
            Self::AcceptingOnce => "accepting-once",
            Self::Accepting1 => "accepting1",
            Self::Accepting1Once => "accepting1-once",
            Self::MasterStart => "master-start",
            Self::AsUserAtexit => "atexit",
            Self::EmperorStop => "emperor-stop",
            Self::EmperorReload => "emperor-reload",
            Self::EmperorLost => "emperor-lost",
            Self::Touch => "touch",
        }
    }

    /// Whether a failing step ends the phase, and what it was to lead to.
    pub fn is_fatal(self) -> bool {
        match self {
            Self::Asap
            | Self::PreJail
            | Self::PostJail
            | Self::InJail
            | Self::Files
            | Self::Waits
            | Self::AsRoot
            | Self::AsUser
            | Self::Sockets
            | Self::PreApp
            | Self::PostApp
            | Self::PostFork
            | Self::Accepting
            | Self::AcceptingOnce
            | Self::Accepting1
            | Self::Accepting1Once
            | Self::MasterStart => true,
            Self::AsUserAtexit
            | Self::EmperorStop
            | Self::EmperorReload
            | Self::EmperorLost
            | Self::Touch => false,
        }
    }
}

/// Within a phase the original goes by these, whatever the order in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Hook,
    Mount,
    Umount,
    Exec,
    Call,
}

/// One line of a config: an action in the original's syntax, `name:arguments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    pub phase: Phase,
    pub kind: Kind,
    pub action: String,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// In config order.
    pub all: Vec<Hook>,
    /// `jailed`: something else has confined us, so the phase after it is reached.
    pub jailed: bool,
    /// `unix_signal:15 gracefully_kill_them_all`: what a signal means to this app's master.
    pub signals: Vec<(i32, Command)>,
    pub fs_timeout: Duration,
    pub socket_timeout: Duration,
    /// How long the commands of one start may take (ours).
    pub timeout: Duration,
    /// `binsh`: shells to try before `/bin/sh`.
    pub shells: Vec<PathBuf>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            jailed: false,
            signals: Vec::new(),
            fs_timeout: Duration::from_secs(60),
            socket_timeout: Duration::from_secs(60),
            timeout: Duration::from_secs(600),
            shells: Vec::new(),
        }
    }
}

impl Hooks {
    /// The steps of these phases, in the order in which they are done.
    pub fn steps(&self, phases: &[Phase]) -> Vec<Step> {
        let reached = |phase: Phase| phase != Phase::PostJail || self.jailed;
        let of_phase = |&phase: &Phase| {
            let mut hooks: Vec<&Hook> = self.all.iter().filter(|it| it.phase == phase).collect();
            hooks.sort_by_key(|it| it.kind);
            hooks.into_iter().map(|hook| Step::Act {
                phase: hook.phase,
                action: hook.action.clone(),
                place: Some(hook.place.clone()),
            })
        };
        let phases = phases.iter().filter(|phase| reached(**phase));
        phases.flat_map(of_phase).collect()
    }

    pub fn has(&self, phase: Phase) -> bool {
        self.all.iter().any(|it| it.phase == phase)
    }
}

/// Steps for a process that does nothing else: `imperator perform` reads this as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub steps: Vec<Step>,
    pub fs_timeout: Duration,
    pub socket_timeout: Duration,
    pub shells: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    Act {
        phase: Phase,
        action: String,
        place: Option<Place>,
    },
    /// All that follows is done as this user.
    Become {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    Enter(PathBuf),
    /// A pidfile: this pid and a newline.
    Pid {
        path: PathBuf,
        pid: u32,
    },
}

/// What came of a [`Job`]. What steps changed of their process is the app's from then on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Performed {
    /// The step that ended it: file:line, the action, why.
    pub failure: Option<String>,
    /// Steps that failed without ending it.
    #[serde(default)]
    pub failed: Vec<String>,
    pub cwd: Option<PathBuf>,
    /// `putenv`; `None` removes the variable.
    #[serde(default)]
    pub env: Vec<(String, Option<String>)>,
    /// What the master is to do now.
    #[serde(default)]
    pub commands: Vec<Command>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_goes_by_kind_and_then_by_the_file() {
        let hook = |phase, kind, action: &str| Hook {
            phase,
            kind,
            action: action.to_owned(),
            place: Place {
                file: "app.ini".into(),
                line: 1,
            },
        };
        let hooks = Hooks {
            all: vec![
                hook(Phase::AsRoot, Kind::Exec, "exec:b"),
                hook(Phase::PostJail, Kind::Hook, "print:never"),
                hook(Phase::AsRoot, Kind::Hook, "print:a"),
                hook(Phase::Asap, Kind::Exec, "exec:first"),
                hook(Phase::AsRoot, Kind::Exec, "exec:c"),
            ],
            ..Hooks::default()
        };
        let steps = hooks.steps(&[Phase::Asap, Phase::PostJail, Phase::AsRoot]);
        let actions: Vec<_> = steps
            .iter()
            .map(|step| match step {
                Step::Act { action, .. } => action.as_str(),
                Step::Become { .. } | Step::Enter(_) | Step::Pid { .. } => "",
            })
            .collect();
        assert_eq!(actions, ["exec:first", "print:a", "exec:b", "exec:c"]);
    }
}
