//! Which files and apps `check` and `migrate` are asked about, and what their configs mean: the
//! emperor's own rules for what is a vassal, core's own resolver. Files are read by threads that are left
//! behind when a FIFO or a dead file system holds them.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use imperator_core::config::{resolve, resolve_args, vassal_args};
use imperator_core::finding::{Finding, Place};
use imperator_core::message::{Config, Owner};
use imperator_core::options::INI_FILE;
use imperator_core::settings::empire::Empire;
use imperator_core::settings::{Resolved, Settings};
use imperator_core::stanzas;
use imperator_emperor::monitor::file::MAX_INI;
use imperator_emperor::monitor::source::Source;
use imperator_emperor::tyrant;

use crate::line::split_section;
use crate::world::RealWorld;

/// As the emperor gives the resolver: what takes longer hangs.
const LIMIT: Duration = Duration::from_secs(10);
/// So many hung files say that the rest hangs, too.
const MAX_HUNG: usize = 4;
/// Emperors that name emperors that name emperors: deeper is a circle.
const MAX_DEPTH: usize = 3;

/// One app, or an emperor's own file.
#[derive(Debug)]
pub(crate) struct Subject {
    /// As the emperor would call it.
    pub(crate) name: String,
    pub(crate) config: Config,
    pub(crate) cwd: PathBuf,
    /// The resolver's arguments.
    pub(crate) args: Vec<String>,
    /// Subjects of one number run under one emperor.
    pub(crate) source: usize,
    /// Found as a section of its file, not asked for by name.
    pub(crate) is_stanza: bool,
    /// Who its master is, under a tyrant.
    pub(crate) owner: Option<Owner>,
    pub(crate) resolved: Resolved,
}

impl Subject {
    pub(crate) fn is_emperor(&self) -> bool {
        settings_of(self).is_some_and(|settings| !settings.emperor.is_empty())
    }

    pub(crate) fn has_error(&self) -> bool {
        self.resolved.findings.iter().any(Finding::is_error)
    }
}

/// Everything that was asked about.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) subjects: Vec<Subject>,
    /// About files that gave no subject.
    pub(crate) findings: Vec<Finding>,
}

/// One file to be read.
#[derive(Debug, Clone)]
struct Job {
    path: PathBuf,
    /// Only this section.
    section: Option<String>,
    /// The file's name in the names of its apps.
    name: String,
    cwd: PathBuf,
    source: usize,
    around: Around,
}

/// What a config is read with beside its own file.
#[derive(Debug, Clone)]
enum Around {
    Nothing,
    /// An emperor's `vassals-set`, `vassals-include` and their like, and whether it is a tyrant.
    Empire(Box<Empire>),
    /// Debian's init script reads its defaults before each file of `apps-enabled`.
    Debian,
}

impl Around {
    fn owner(&self, file: &Path) -> Result<Option<Owner>, String> {
        match self {
            Self::Empire(empire) => tyrant::owner(file, empire),
            Self::Nothing | Self::Debian => Ok(None),
        }
    }

    fn args(&self, config: &Config, cwd: &Path) -> Vec<String> {
        let own = || resolve_args(config);
        match self {
            Self::Nothing => own(),
            Self::Empire(empire) => vassal_args(&empire.vassals, config, cwd),
            Self::Debian => {
                let name = config.file.file_stem().unwrap_or_default();
                let mut args = vec![
                    "--set-placeholder=deb-confnamespace=app".to_owned(),
                    format!("--set-placeholder=deb-confname={}", name.to_string_lossy()),
                ];
                if Path::new(DEBIAN_DEFAULTS).exists() {
                    args.push(format!("--{INI_FILE}={DEBIAN_DEFAULTS}"));
                }
                args.extend(own());
                args
            }
        }
    }
}

/// The file that Debian's init script reads first (/usr/share/uwsgi/init/specific_daemon).
pub(crate) const DEBIAN_DEFAULTS: &str = "/usr/share/uwsgi/conf/default.ini";

/// Whether Debian's init script runs what is in this directory.
pub(crate) fn is_debians(file: &Path) -> bool {
    let names = ["apps-enabled", "apps-available"];
    let mut parts = file.components().rev().skip(1);
    parts.any(|part| names.iter().any(|name| part.as_os_str() == *name))
}

/// Reads what the operator named: files, `FILE:section`, directories, globs. Emperors' own files bring
/// their vassals. `as_today`: with what Debian's init script of uWSGI adds.
///
/// # Errors
/// What is named does not exist, or this process cannot tell where it is.
pub(crate) fn gather(
    targets: &[String],
    world: &RealWorld,
    as_today: bool,
) -> anyhow::Result<Gathered> {
    let here = std::env::current_dir().context("cannot tell the working directory")?;
    let mut gathered = Gathered::default();
    let mut jobs = Vec::new();
    let mut sources = 0;
    for target in targets {
        let found = of_target(target, &here, &mut sources);
        let mut found = found.map_err(anyhow::Error::msg)?;
        for job in found
            .iter_mut()
            .filter(|job| as_today && is_debians(&job.path))
        {
            job.around = Around::Debian;
        }
        jobs.extend(found);
    }
    for depth in 0..MAX_DEPTH {
        let known = |job: &Job| {
            let mut subjects = gathered.subjects.iter();
            subjects.any(|it| it.config.file == job.path && job.section == it.config.section)
        };
        jobs.retain(|job| !known(job));
        let read = read_all(std::mem::take(&mut jobs), world);
        for (path, result) in read {
            if !gathered.files.contains(&path) {
                gathered.files.push(path);
            }
            match result {
                Ok(subjects) => {
                    if depth + 1 < MAX_DEPTH {
                        for subject in subjects.iter().filter(|it| it.is_emperor()) {
                            jobs.extend(vassals(subject, &mut sources, &mut gathered.findings));
                        }
                    }
                    gathered.subjects.extend(subjects);
                }
                Err(finding) => gathered.findings.push(finding),
            }
        }
    }
    tell_names_apart(&mut gathered.subjects);
    Ok(gathered)
}

/// The files that an emperor's own file names; what is missing there is a finding of that file.
fn vassals(subject: &Subject, sources: &mut usize, findings: &mut Vec<Finding>) -> Vec<Job> {
    let settings = settings_of(subject).into_iter();
    let mut jobs = Vec::new();
    for text in settings.flat_map(|settings| &settings.emperor) {
        match of_target(text, &subject.cwd, sources) {
            Ok(mut found) => {
                for job in &mut found {
                    let empire = settings_of(subject).map(|it| it.empire.clone());
                    job.around = Around::Empire(Box::new(empire.unwrap_or_default()));
                }
                jobs.extend(found);
            }
            Err(why) => {
                let place = settings_of(subject).and_then(|it| it.places.get("emperor"));
                let hint = "make the directory, or name another one";
                findings.push(Finding::warning(place.cloned(), why).with_hint(hint));
            }
        }
    }
    jobs
}

fn settings_of(subject: &Subject) -> Option<&Settings> {
    subject.resolved.settings.as_ref()
}

fn of_target(target: &str, cwd: &Path, sources: &mut usize) -> Result<Vec<Job>, String> {
    *sources += 1;
    let source = *sources;
    let (file, section) = split_section(target);
    let (text, at) = (file.to_owned(), cwd.to_owned());
    let hung = || format!("\"{file}\" was not read within {} s", LIMIT.as_secs());
    let (found, paths) = within(move || {
        let found = Source::parse(&text, &at).map_err(|error| error.why)?;
        let paths = found.list().map_err(|error| error.to_string())?;
        Ok::<_, String>((found, paths))
    })
    .ok_or_else(hung)?
    .map_err(|why| format!("cannot check \"{file}\": {why}"))?;
    let cwd = found.cwd(cwd);
    let job = |path: PathBuf| Job {
        name: found.name_of(&path),
        path,
        section: section.map(str::to_owned),
        cwd: cwd.clone(),
        source,
        around: Around::Nothing,
    };
    Ok(paths.into_iter().map(job).collect())
}

/// What a thread finds out before the deadline; after it, the thread is left behind.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    spawn(move || {
        let _ = sender.send(work());
    });
    receiver.recv_timeout(LIMIT).ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this process forks nothing while they run, and a hung file must hang a thread alone"
)]
fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

type Answer = Result<Vec<Subject>, Finding>;

enum News {
    Begun(usize),
    Done(usize, Answer),
}

/// What threads of [`read_all`] share.
struct Pool {
    queue: Mutex<VecDeque<(usize, Job)>>,
    world: RealWorld,
}

/// Reads files beside each other; each has its own deadline. The answers are in the files' order.
fn read_all(jobs: Vec<Job>, world: &RealWorld) -> Vec<(PathBuf, Answer)> {
    let paths: Vec<PathBuf> = jobs.iter().map(|job| job.path.clone()).collect();
    let pool = Arc::new(Pool {
        queue: Mutex::new(jobs.into_iter().enumerate().collect()),
        world: world.clone(),
    });
    let (sender, receiver) = mpsc::channel();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..cpus.min(paths.len()) {
        let (pool, sender) = (Arc::clone(&pool), sender.clone());
        spawn(move || serve(&pool, &sender));
    }
    let mut answers: BTreeMap<usize, Answer> = BTreeMap::new();
    let mut running: BTreeMap<usize, Instant> = BTreeMap::new();
    let mut hung = 0;
    while answers.len() < paths.len() && hung < MAX_HUNG {
        let deadline = running.values().min().map(|begun| *begun + LIMIT);
        let left = deadline.map_or(LIMIT, |it| it.saturating_duration_since(now()));
        match receiver.recv_timeout(left) {
            Ok(News::Begun(index)) => {
                running.insert(index, now());
            }
            Ok(News::Done(index, answer)) => {
                if running.remove(&index).is_some() {
                    answers.insert(index, answer);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let late = |begun: &Instant| *begun + LIMIT <= now();
                let overdue: Vec<usize> = running
                    .iter()
                    .filter(|(_, begun)| late(begun))
                    .map(|(index, _)| *index)
                    .collect();
                for index in overdue {
                    running.remove(&index);
                    answers.insert(index, Err(unread(&paths[index])));
                    hung += 1;
                    let (pool, sender) = (Arc::clone(&pool), sender.clone());
                    spawn(move || serve(&pool, &sender));
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    paths
        .into_iter()
        .enumerate()
        .map(|(index, path)| {
            let answer = answers.remove(&index);
            let answer = answer.unwrap_or_else(|| Err(unread(&path)));
            (path, answer)
        })
        .collect()
}

fn unread(path: &Path) -> Finding {
    let place = Place {
        file: path.to_owned(),
        line: 0,
    };
    let text = format!("the config was not read within {} s", LIMIT.as_secs());
    Finding::error(Some(place), text)
        .with_hint("look for a FIFO, a command or a network file system in it")
}

fn serve(pool: &Pool, sender: &Sender<News>) {
    loop {
        let mut queue = pool.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((index, job)) = queue.pop_front() else {
            return;
        };
        drop(queue);
        let told = sender.send(News::Begun(index));
        if told.is_err()
            || sender
                .send(News::Done(index, read(&job, &pool.world)))
                .is_err()
        {
            return;
        }
    }
}

fn read(job: &Job, world: &RealWorld) -> Answer {
    let place = || {
        Some(Place {
            file: job.path.clone(),
            line: 0,
        })
    };
    let world = world.within(&job.cwd);
    let subject = |name: String, section: Option<String>| {
        let config = Config {
            file: job.path.clone(),
            section,
        };
        let args = job.around.args(&config, &job.cwd);
        let mut resolved = resolve(&args, &world);
        for place in resolved
            .findings
            .iter_mut()
            .filter_map(|it| it.place.as_mut())
        {
            place.file = job.cwd.join(&place.file);
        }
        let owner = job.around.owner(&job.path).unwrap_or_else(|why| {
            resolved.findings.push(Finding::warning(place(), why));
            None
        });
        Subject {
            name,
            resolved,
            args,
            config,
            owner,
            cwd: job.cwd.clone(),
            source: job.source,
            is_stanza: false,
        }
    };
    if let Some(section) = &job.section {
        let own = section.strip_prefix("uwsgi:").unwrap_or(section);
        let name = format!("{}:{own}", job.name);
        return Ok(vec![subject(name, Some(section.clone()))]);
    }
    let bytes = bytes(&job.path).map_err(|why| {
        let text = format!("cannot read the file: {why}");
        Finding::error(place(), text)
    })?;
    let stanzas = stanzas::of_file(&job.path, &bytes);
    if stanzas.is_empty() {
        // The resolver says what is missing.
        return Ok(vec![subject(job.name.clone(), None)]);
    }
    let named = |stanza: stanzas::Stanza| {
        let name = match &stanza.name {
            Some(own) => format!("{}:{own}", job.name),
            None => job.name.clone(),
        };
        Subject {
            is_stanza: stanza.name.is_some(),
            ..subject(name, stanza.section)
        }
    };
    Ok(stanzas.into_iter().map(named).collect())
}

/// As much of a file as the emperor reads of it.
fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let plain = |error: std::io::Error| crate::world::plain_reason(&error);
    if !std::fs::metadata(path).map_err(plain)?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(plain)?;
    let mut bytes = Vec::new();
    file.take(MAX_INI).read_to_end(&mut bytes).map_err(plain)?;
    Ok(bytes)
}

/// Files of one name in several directories: then the path is the name, as for the emperor.
fn tell_names_apart(subjects: &mut [Subject]) {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for subject in subjects.iter() {
        *count.entry(subject.name.clone()).or_default() += 1;
    }
    for subject in subjects {
        if count.get(&subject.name).is_some_and(|&count| count > 1) {
            let own = subject.name.split_once(':').map(|(_, own)| own.to_owned());
            let path = subject.config.file.with_extension("");
            let path = path.to_string_lossy();
            subject.name = match own {
                Some(own) => format!("{path}:{own}"),
                None => path.into_owned(),
            };
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge reads the clock")]
fn now() -> Instant {
    Instant::now()
}
