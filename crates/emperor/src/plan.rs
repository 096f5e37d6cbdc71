//! From files to apps: which apps there are, and what a change of a file means for each. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use imperator_core::carriers::Carrier;
use imperator_core::message::Config;
use imperator_core::stanzas::{self, Stanza};

use crate::monitor::Change;
use crate::monitor::file::{Stamp, Text};
use crate::monitor::source::Source;
use crate::seen::Seen;
use crate::supervisor::{Event, Name};

/// One app as its file asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub config: Config,
    /// Where resolver and app start.
    pub cwd: PathBuf,
    /// The option lines of its stanza.
    body: Vec<u8>,
}

/// A vassal file and what stands in it.
#[derive(Debug, Clone, Default)]
struct VassalFile {
    source: usize,
    apps: Vec<Name>,
    /// Why the file as it is now cannot be used. Its apps, if any, serve on as they were.
    problem: Option<String>,
    /// The name under which a file without apps is shown.
    shown_as: Name,
}

#[derive(Debug, Default)]
pub struct Plan {
    files: BTreeMap<PathBuf, VassalFile>,
    apps: BTreeMap<Name, App>,
}

impl Plan {
    /// What these changes mean for the apps. `start`: the emperor's working directory.
    /// `includes`: the apps that read a file which is no vassal.
    pub fn apply(
        &mut self,
        changes: Vec<Change>,
        sources: &[Source],
        start: &Path,
        includes: &dyn Fn(&Path) -> Vec<Name>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for change in changes {
            match change {
                Change::Appeared {
                    path,
                    source,
                    text,
                    from,
                } => {
                    let base = sources[source].name_of(&path);
                    let file = VassalFile {
                        source,
                        shown_as: self.free_name(&base, &path),
                        ..VassalFile::default()
                    };
                    self.files.insert(path.clone(), file);
                    let cwd = sources[source].cwd(start);
                    self.read(&path, &text, &cwd, from.as_deref(), &mut events);
                }
                Change::Edited { path, text } => {
                    if let Some(file) = self.files.get(&path) {
                        let cwd = sources[file.source].cwd(start);
                        self.read(&path, &text, &cwd, None, &mut events);
                    }
                }
                Change::Touched(path) => {
                    let apps = self.files.get(&path).map(|file| file.apps.clone());
                    events.extend(apps.into_iter().flatten().map(Event::Touched));
                }
                Change::Removed(path) => {
                    let Some(file) = self.files.remove(&path) else {
                        continue;
                    };
                    for name in file.apps {
                        self.apps.remove(&name);
                        events.push(Event::Gone(name));
                    }
                }
                Change::IncludeEdited(path) => {
                    events.extend(includes(&path).into_iter().map(Event::Changed));
                }
            }
        }
        events
    }

    /// Keeps an app whose master was adopted and whose file cannot be used as it is now: it serves on
    /// as it would have under the emperor before. Tells whether there is such a file.
    pub fn keep(&mut self, name: &str, config: &Config, sources: &[Source], start: &Path) -> bool {
        let Some(file) = self.files.get_mut(&config.file) else {
            return false;
        };
        if file.problem.is_none() {
            return false;
        }
        file.apps.push(name.to_owned());
        let app = App {
            config: config.clone(),
            cwd: sources[file.source].cwd(start),
            body: Vec::new(),
        };
        self.apps.insert(name.to_owned(), app);
        true
    }

    pub fn app(&self, name: &str) -> Option<&App> {
        self.apps.get(name)
    }

    /// What is to be noted of an app whose file was told with this stamp and content.
    pub fn seen(&self, name: &str, told: impl Fn(&Path) -> Option<(u64, Stamp)>) -> Option<Seen> {
        let app = self.apps.get(name)?;
        let (content, stamp) = told(&app.config.file)?;
        Some(Seen::new(&stamp, content, &app.body))
    }

    pub fn apps(&self) -> &BTreeMap<Name, App> {
        &self.apps
    }

    /// Files that cannot be used: the name under which each is shown, its path, and why. A file
    /// whose apps serve on as they were is named like them.
    pub fn problems(&self) -> impl Iterator<Item = (&str, &Path, &str)> {
        self.files.iter().flat_map(|(path, file)| {
            let names: Vec<&str> = match file.apps.as_slice() {
                [] => vec![file.shown_as.as_str()],
                apps => apps.iter().map(String::as_str).collect(),
            };
            let problem = file.problem.as_deref();
            names
                .into_iter()
                .filter_map(move |name| Some((name, path.as_path(), problem?)))
        })
    }

    pub fn is_vassal_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// The app that a person means: its whole name, or a stanza's own name where that is
    /// unambiguous.
    ///
    /// # Errors
    /// All names that fit: none or several.
    pub fn resolve_name(&self, text: &str) -> Result<Name, Vec<Name>> {
        let is_file = Carrier::of_file(Path::new(text)).is_some();
        let without = text.rsplit_once('.').filter(|_| is_file);
        let without = without.map_or(text, |(name, _)| name);
        let shown = || self.problems().map(|(name, _, _)| name.to_owned());
        for text in [text, without] {
            if self.apps.contains_key(text) || shown().any(|name| name == text) {
                return Ok(text.to_owned());
            }
        }
        let text = without;
        let fits: Vec<Name> = self
            .apps
            .keys()
            .filter(|name| name.split_once(':').is_some_and(|(_, own)| own == text))
            .cloned()
            .collect();
        match fits.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(fits),
        }
    }

    fn read(
        &mut self,
        path: &Path,
        text: &Text,
        cwd: &Path,
        from: Option<&Path>,
        events: &mut Vec<Event>,
    ) {
        let stanzas = match text {
            Ok(text) => stanzas::of_file(path, text),
            Err(_) => Vec::new(),
        };
        let problem = match text {
            Err(problem) => Some(problem.clone()),
            Ok(_) if stanzas.is_empty() => Some(format!(
                "{}: no app in this file: there is no [uwsgi] section, and no section names \
                 something to run or to listen on",
                path.display()
            )),
            Ok(_) => None,
        };
        let Some(file) = self.files.get_mut(path) else {
            return;
        };
        let broken = problem.is_some();
        file.problem = problem;
        if broken {
            // A broken deploy changes nothing: the apps that this file had serve on.
            return;
        }
        let old: BTreeSet<Name> = std::mem::take(&mut file.apps).into_iter().collect();
        let base = file.shown_as.clone();
        let mut edited = Vec::new();
        let mut same = Vec::new();
        let mut names = Vec::new();
        for stanza in stanzas {
            let named = |base: &str| match &stanza.name {
                Some(own) => format!("{base}:{own}"),
                None => base.to_owned(),
            };
            // `site:x` is the stanza x of site.ini, and may be a file site:x.ini beside it.
            let (mut name, whole) = (named(&base), named(&path.to_string_lossy()));
            let taken = self.apps.contains_key(&name) && !old.contains(&name);
            if taken || old.contains(&whole) {
                name = whole;
            }
            let app = planned(path, cwd, stanza);
            match self.apps.insert(name.clone(), app.clone()) {
                Some(before) if old.contains(&name) => {
                    if before.body == app.body {
                        same.push(Event::Beside(name.clone()));
                    } else {
                        edited.push(Event::Changed(name.clone()));
                    }
                }
                Some(_) | None => events.push(Event::Found {
                    after: from.and_then(|from| self.same_section(from, &app)),
                    name: name.clone(),
                }),
            }
            names.push(name);
        }
        for name in old {
            if !names.contains(&name) {
                self.apps.remove(&name);
                events.push(Event::Gone(name));
            }
        }
        if let Some(file) = self.files.get_mut(path) {
            file.apps = names;
        }
        // The stanza that somebody edited does not wait for its neighbours, which only look
        // whether a section that they share was.
        events.append(&mut edited);
        events.append(&mut same);
    }

    /// The app of another file that has the same section as `app`.
    fn same_section(&self, file: &Path, app: &App) -> Option<Name> {
        let apps = &self.files.get(file)?.apps;
        let same = |name: &&Name| {
            self.apps
                .get(*name)
                .is_some_and(|other| other.config.section == app.config.section)
        };
        apps.iter().find(same).cloned()
    }

    /// `name`, or the path without its suffix when another source has that name already.
    fn free_name(&self, name: &str, path: &Path) -> Name {
        let taken = self
            .files
            .iter()
            .any(|(other, file)| other != path && file.shown_as == name);
        if taken {
            path.with_extension("").to_string_lossy().into_owned()
        } else {
            name.to_owned()
        }
    }
}

fn planned(path: &Path, cwd: &Path, stanza: Stanza) -> App {
    App {
        config: Config {
            file: path.to_owned(),
            section: stanza.section,
        },
        cwd: cwd.to_owned(),
        body: stanza.body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::source::Kind;

    const TWO: &str = "[a]\nmodule = a\n[b]\nmodule = b\n";

    struct World {
        plan: Plan,
        sources: Vec<Source>,
    }

    impl World {
        fn new() -> Self {
            let source = |path: &str| Source {
                text: path.to_owned(),
                kind: Kind::Directory(PathBuf::from(path)),
            };
            Self {
                plan: Plan::default(),
                sources: vec![source("/v"), source("/w")],
            }
        }

        #[track_caller]
        fn check(&mut self, change: Change, expected: &str) {
            let includes = |_: &Path| vec!["site".to_owned()];
            let events =
                self.plan
                    .apply(vec![change], &self.sources, Path::new("/start"), &includes);
            let said: Vec<String> = events.iter().map(show).collect();
            assert_eq!(said.join(", "), expected);
        }
    }

    fn show(event: &Event) -> String {
        match event {
            Event::Found { name, after: None } => format!("found {name}"),
            Event::Found {
                name,
                after: Some(after),
            } => format!("found {name} after {after}"),
            Event::Gone(name) => format!("gone {name}"),
            Event::Changed(name) => format!("changed {name}"),
            Event::Beside(name) => format!("beside {name}"),
            Event::Touched(name) => format!("touched {name}"),
            Event::Adopted(..)
            | Event::Spawned(..)
            | Event::SpawnFailed(_)
            | Event::Reported { .. }
            | Event::HungUp(_)
            | Event::Ended(_)
            | Event::Retry(_)
            | Event::Halt(_)
            | Event::Restart(_)
            | Event::ReloadAll
            | Event::PauseAll
            | Event::Stop
            | Event::StopNow
            | Event::Outdated(_)
            | Event::HeirSpawned(..)
            | Event::HeirFailed(_)
            | Event::HeirReported(..)
            | Event::Retired(..)
            | Event::GiveUpHeir(_)
            | Event::Dispensable(_)
            | Event::Failed(..)
            | Event::Dozed(_)
            | Event::Called(_)
            | Event::Leave
            | Event::Tick => panic!("a plan does not say {event:?}"),
        }
    }

    fn appeared(path: &str, text: &str) -> Change {
        Change::Appeared {
            path: PathBuf::from(path),
            source: usize::from(path.starts_with("/w")),
            text: Ok(text.as_bytes().to_vec()),
            from: None,
        }
    }

    fn edited(path: &str, text: &str) -> Change {
        Change::Edited {
            path: PathBuf::from(path),
            text: Ok(text.as_bytes().to_vec()),
        }
    }

    #[test]
    fn each_stanza_is_an_app_and_comes_goes_and_changes_alone() {
        let mut world = World::new();
        world.check(appeared("/v/site.ini", TWO), "found site:a, found site:b");
        let all = format!("{TWO}[c]\nmodule = c\n");
        world.check(
            edited("/v/site.ini", &all),
            "found site:c, beside site:a, beside site:b",
        );
        // The edited one first.
        let other = all.replace("module = b", "module = bb");
        world.check(
            edited("/v/site.ini", &other),
            "changed site:b, beside site:a, beside site:c",
        );
        world.check(
            edited("/v/site.ini", "[a]\nmodule = a\n"),
            "gone site:b, gone site:c, beside site:a",
        );
        world.check(Change::Touched("/v/site.ini".into()), "touched site:a");
        world.check(Change::Removed("/v/site.ini".into()), "gone site:a");
    }

    #[test]
    fn a_broken_file_leaves_its_apps_alone_and_is_shown() {
        let mut world = World::new();
        world.check(appeared("/v/site.ini", "[uwsgi]\n"), "found site");
        let broken = Change::Edited {
            path: "/v/site.ini".into(),
            text: Err("binary".into()),
        };
        world.check(broken, "");
        let problems: Vec<_> = world
            .plan
            .problems()
            .map(|(name, _, why)| (name, why))
            .collect();
        assert_eq!(problems, [("site", "binary")]);
        world.check(edited("/v/site.ini", ""), "");
        world.check(edited("/v/site.ini", "[uwsgi]\n"), "beside site");
        assert_eq!(world.plan.problems().count(), 0);
        world.check(appeared("/v/empty.ini", ""), "");
        assert_eq!(world.plan.problems().count(), 1);
        assert_eq!(world.plan.resolve_name("empty").as_deref(), Ok("empty"));
        world.check(Change::Removed("/v/empty.ini".into()), "");
        assert_eq!(world.plan.problems().count(), 0);
    }

    #[test]
    fn an_adopted_app_whose_file_is_broken_is_kept_until_the_file_says_otherwise() {
        let mut world = World::new();
        world.check(appeared("/v/site.ini", ""), "");
        let config = |file: &str| Config {
            file: PathBuf::from(file),
            section: None,
        };
        let keep = |world: &mut World, name: &str, file: &str| {
            let start = Path::new("/start");
            world.plan.keep(name, &config(file), &world.sources, start)
        };
        assert!(keep(&mut world, "site", "/v/site.ini"));
        assert!(!keep(&mut world, "gone", "/v/gone.ini"));
        assert_eq!(world.plan.problems().count(), 1);
        world.check(edited("/v/site.ini", "[uwsgi]\n"), "beside site");
        assert!(!keep(&mut world, "other", "/v/site.ini"));
        world.check(Change::Removed("/v/site.ini".into()), "gone site");
    }

    #[test]
    fn names_are_unique_over_all_sources() {
        let mut world = World::new();
        world.check(appeared("/v/site.ini", "[uwsgi]\n"), "found site");
        world.check(appeared("/w/site.ini", "[uwsgi]\n"), "found /w/site");
        world.check(appeared("/w/two.ini", TWO), "found two:a, found two:b");
        assert_eq!(world.plan.resolve_name("a").as_deref(), Ok("two:a"));
        world.check(appeared("/v/two:a.ini", "[uwsgi]\n"), "found /v/two:a.ini");
        world.check(
            edited("/v/two:a.ini", "[uwsgi]\nx\n"),
            "changed /v/two:a.ini",
        );
        let name = world.plan.resolve_name("/v/two:a.ini");
        assert_eq!(name.as_deref(), Ok("/v/two:a.ini"));
        world.check(Change::Removed("/v/two:a.ini".into()), "gone /v/two:a.ini");
        assert_eq!(world.plan.resolve_name("site.ini").as_deref(), Ok("site"));
        assert!(world.plan.resolve_name("c").is_err());
        world.check(Change::IncludeEdited("/etc/base".into()), "changed site");
    }

    #[test]
    fn a_renamed_file_names_its_predecessors() {
        let mut world = World::new();
        world.check(appeared("/v/old.ini", TWO), "found old:a, found old:b");
        let renamed = Change::Appeared {
            path: "/v/new.ini".into(),
            source: 0,
            text: Ok(TWO.as_bytes().to_vec()),
            from: Some("/v/old.ini".into()),
        };
        world.check(renamed, "found new:a after old:a, found new:b after old:b");
    }
}
