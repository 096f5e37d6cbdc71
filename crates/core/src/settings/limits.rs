//! What the processes of an app may use, and as whom and what they show themselves.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the kernel is told about each process of the app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// `limit-as`: bytes of address space.
    pub address_space: Option<u64>,
    /// `limit-nproc`: processes of the app's user.
    pub processes: Option<u64>,
    /// `max-fd`: open files.
    pub open_files: Option<u64>,
    pub umask: Option<u32>,
    /// `prio`: nice value.
    pub priority: Option<i32>,
    /// Processors per worker.
    pub cpu_affinity: Option<u32>,
    /// `never-swap`: keep the memory of workers resident.
    pub never_swap: bool,
    /// `thread-stacksize` in bytes.
    pub thread_stack: Option<u64>,
    /// No supplementary groups but `add_gids`.
    pub no_initgroups: bool,
    /// More groups, by name or number.
    pub add_gids: Vec<String>,
    /// `force-cwd`: stands in for the directory that the server was started in.
    pub force_cwd: Option<PathBuf>,
    /// `chdir2`: changed into when the app is loaded.
    pub chdir2: Option<PathBuf>,
    /// Children of a worker that the app does not wait for are reaped after each request.
    pub reaper: bool,
    /// End workers without Python's `atexit` and the app's.
    pub skip_atexit: bool,
    /// Leave the standard input of the start to the app.
    pub honour_stdin: bool,
}

/// What `ps` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Titles {
    /// `auto-procname` was asked for in words: the original's titles.
    pub auto: bool,
    /// `procname`, for workers and mold.
    pub all: Option<String>,
    /// `procname-master`.
    pub master: Option<String>,
    pub prefix: Option<String>,
    pub append: Option<String>,
}

/// The role of a process in its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Master,
    Mold,
    Worker(u32),
}

impl Titles {
    /// Whether a title was asked for in words.
    pub fn is_named(&self) -> bool {
        *self != Self::default()
    }

    /// The title, as the original composes it: prefix, name of the role, what is appended. An app
    /// that names nothing gets our own.
    pub fn title(&self, app: &str, role: Role) -> String {
        if !self.is_named() {
            return match role {
                Role::Master => format!("imperator: {app} master"),
                Role::Mold => format!("imperator: {app} mold"),
                Role::Worker(worker) => format!("imperator: {app} worker {worker}"),
            };
        }
        let name = match (role, &self.all, &self.master) {
            (Role::Master, _, Some(name)) => name.clone(),
            (Role::Master | Role::Mold | Role::Worker(_), Some(name), _) => name.clone(),
            (Role::Master, None, None) => "uWSGI master".to_owned(),
            (Role::Mold, None, _) => "uWSGI mold".to_owned(),
            (Role::Worker(worker), None, _) => format!("uWSGI worker {worker}"),
        };
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let append = self.append.as_deref().unwrap_or_default();
        format!("{prefix}{name}{append}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_put_together_as_the_original_does() {
        let plain = Titles::default();
        assert_eq!(
            plain.title("blog", Role::Worker(2)),
            "imperator: blog worker 2"
        );
        let named = Titles {
            prefix: Some("[shop] ".into()),
            append: Some(" (live)".into()),
            master: Some("chief".into()),
            ..Titles::default()
        };
        assert_eq!(
            named.title("blog", Role::Worker(2)),
            "[shop] uWSGI worker 2 (live)"
        );
        assert_eq!(named.title("blog", Role::Master), "[shop] chief (live)");
    }
}
