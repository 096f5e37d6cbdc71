//! What a generation needs before its first process: config, user, interpreter, sockets. And what
//! changes when one serves, or fails.

use std::path::PathBuf;
use std::time::Instant;

use imperator_core::address::Address;
use imperator_core::message::Failure;
use imperator_core::settings::limits::Role;
use imperator_core::settings::{Resolved, Settings};
use imperator_core::why::CauseId;
use imperator_process::privileges;
use imperator_process::reap::End;
use imperator_process::title::Area;

use crate::beside::Pending;
use crate::clock;
use crate::effects::{Effects, Ready, own_env};
use crate::event::{Cause, Event};
use crate::extension;
use crate::failure;
use crate::interpreter;
use crate::pem;
use crate::release;
use crate::resolve::{Request, Resolving};
use crate::sockets::{self, Look};
use crate::troubles::out_of_memory;

impl Effects {
    pub(crate) fn prepare(
        &mut self,
        generation: u32,
        only_if_changed: bool,
        now: Instant,
    ) -> Vec<Event> {
        if self.serving.is_none() {
            self.log.forget_recent();
        }
        let args = match (self.falling, &self.fallback) {
            (Some(falling), Some(fallback)) if falling == generation => vec![fallback.clone()],
            (_, _) => {
                self.fallback = None;
                self.origin.resolve.clone()
            }
        };
        self.sources.begin(clock::epoch_micros());
        let request = Request {
            args: &args,
            cwd: &self.origin.cwd,
            env: own_env(true),
            log: std::os::fd::AsFd::as_fd(&self.log.app.write),
            nofile: self.origin.nofile_soft,
        };
        match Resolving::start(request, (generation, only_if_changed), now) {
            Ok(resolving) => {
                self.helpers.insert(resolving.pid);
                self.resolving = Some(resolving);
                Vec::new()
            }
            Err(failure) => vec![self.unprepared(generation, failure)],
        }
    }

    pub(crate) fn abandon(&mut self, generation: u32) {
        let is_this = |it: &Resolving| it.generation == generation;
        if let Some(resolving) = self.resolving.take_if(|it| is_this(it)) {
            resolving.kill();
        }
        self.abandon_start(generation);
        self.drop_sockets_of_nobody();
    }

    /// The resolver's output is readable, or its deadline passed.
    pub(crate) fn continue_resolving(&mut self, now: Instant) -> Vec<Event> {
        let Some(resolving) = &mut self.resolving else {
            return Vec::new();
        };
        let result = match resolving.read() {
            Some(result) => result,
            None if resolving.deadline <= now => Err(resolving.late()),
            None => return Vec::new(),
        };
        let (generation, only_if_changed) = (resolving.generation, resolving.only_if_changed);
        self.resolving = None;
        let result = result.and_then(|resolved| self.understand_config(generation, resolved));
        match result {
            Ok((settings, files, notes)) => {
                self.prepare_settings(generation, only_if_changed, settings, files, notes, now)
            }
            Err(failure) => vec![self.unprepared(generation, failure)],
        }
    }

    fn understand_config(
        &mut self,
        generation: u32,
        mut resolved: Resolved,
    ) -> Result<(Settings, Vec<PathBuf>, Vec<String>), Failure> {
        let mut notes = Vec::new();
        let mut errors = resolved.findings.iter().filter(|it| it.is_error());
        let first = errors.next();
        let more = errors.count();
        for finding in &resolved.findings {
            if !finding.is_error() {
                notes.push(finding.to_string().replace("\n  hint:", "; hint:"));
            }
        }
        if self.falling == Some(generation) {
            let text = "the app cannot be started, and \"fallback-config\" takes its place";
            let file = self.fallback.as_deref().unwrap_or_default();
            notes.push(format!("{text}: {file}; hint: mend the app and reload it"));
            // Who mends the app itself wants it tried again.
            resolved.files.retain(|file| !self.files.contains(file));
            resolved.files.splice(0..0, self.files.iter().cloned());
            if let Some(settings) = &mut resolved.settings {
                settings.readiness.fallback = None;
            }
        } else if let Some(settings) = &resolved.settings {
            self.fallback.clone_from(&settings.readiness.fallback);
        }
        // Also of a broken config: who mends one of these files wants it tried again.
        self.files.clone_from(&resolved.files);
        self.sources.were_read(&self.files);
        match (resolved.settings, first) {
            (Some(settings), None) => Ok((settings, resolved.files, notes)),
            (_, Some(finding)) => {
                let place = finding.place.as_ref().map(|it| format!("{it}: "));
                let mut summary = format!("{}{}", place.unwrap_or_default(), finding.text);
                if more > 0 {
                    summary.push_str(&format!(" (and {more} more)"));
                }
                let failure = failure::plain(summary, finding.hint.clone());
                let mut failure = failure.of(CauseId::ConfigError);
                if let Some(place) = &finding.place {
                    failure = failure.with("file", place.to_string());
                }
                let all: Vec<_> = resolved.findings.iter().map(ToString::to_string).collect();
                failure.detail = Some(failure::cut(&all.join("\n"))).filter(|_| all.len() > 1);
                Err(failure)
            }
            (None, None) => Err(failure::plain("the config gave no settings", None)),
        }
    }

    fn prepare_settings(
        &mut self,
        generation: u32,
        only_if_changed: bool,
        settings: Settings,
        files: Vec<PathBuf>,
        notes: Vec<String>,
        now: Instant,
    ) -> Vec<Event> {
        let serving = self
            .serving
            .and_then(|serving| self.generations.get_mut(&serving));
        if let Some(serving) = serving
            && only_if_changed
            && serving.settings.same_app(&settings)
        {
            // Lines may have moved.
            serving.settings = settings;
            serving.files = files;
            return vec![Event::Unchanged { generation }];
        }
        if only_if_changed && self.succession.is_outdated {
            // Another master reads it again.
            return vec![Event::Unchanged { generation }, Event::Reload];
        }
        let cwd = match &settings.limits.force_cwd {
            Some(start) => self.origin.cwd.join(start),
            None => self.origin.cwd.clone(),
        };
        let pending = Pending::new(generation, settings, files, notes, cwd);
        self.advance(pending, now)
    }

    pub(crate) fn look_up(
        &mut self,
        settings: Settings,
        files: Vec<PathBuf>,
        mut notes: Vec<String>,
    ) -> Result<Ready, Failure> {
        if settings.listens.is_empty() {
            let hint = "add socket = /path/to/app.sock, or http-socket = 127.0.0.1:8000";
            let file = self.origin.config.file.display();
            let text = format!("{file}: the app has no socket to listen on");
            let failure = failure::plain(text, Some(hint.to_owned()));
            return Err(failure.of(CauseId::ConfigError));
        }
        if settings.mounts.is_empty() {
            let hint = "add module = package.wsgi:application, or wsgi-file = app.py";
            let file = self.origin.config.file.display();
            let text = format!("{file}: the app has nothing to run");
            let failure = failure::plain(text, Some(hint.to_owned()));
            return Err(failure.of(CauseId::ConfigError));
        }
        let identity = crate::identity::of(&settings)?;
        if self.extension.is_none() {
            self.extension = Some(extension::open()?);
        }
        let path = std::env::var_os("PATH");
        let interpreter = interpreter::choose(&settings, &self.origin.cwd, path.as_deref())?;
        let interpreter = release::interpreter(interpreter);
        let tls = pem::read(&settings, &self.origin.cwd)?;
        let mut look = Look {
            mode: settings.chmod_socket,
            tcp: settings.tcp,
            ..Look::default()
        };
        if let Some(owner) = &settings.chown_socket {
            (look.uid, look.gid) = privileges::owner(owner).map_err(|error| {
                let hint = "set chown-socket to user[:group] of this machine";
                failure::at(&settings, &["chown-socket"], error.to_string(), hint)
                    .of(CauseId::UnknownUser)
            })?;
        } else if let Some(identity) = &identity {
            (look.uid, look.gid) = (Some(identity.uid), Some(identity.gid));
        }
        self.apply_umask(settings.limits.umask);
        let somaxconn = sockets::somaxconn();
        let backlog = settings.backlog.min(somaxconn);
        if backlog < settings.backlog {
            notes.push(format!(
                "listen = {} is cut to {somaxconn} by net.core.somaxconn; hint: sysctl -w net.core.somaxconn={}",
                settings.backlog, settings.backlog
            ));
        }
        let wanted: Vec<Address> = settings
            .listens
            .iter()
            .map(|it| it.address.clone())
            .collect();
        // A first generation that failed has left its sockets bound; a new config may want others.
        if self.serving.is_none() && !self.succession.is_heir {
            self.sockets.retain(|address| wanted.contains(address));
        }
        self.sockets
            .bind_missing(&wanted, backlog, look)
            .map_err(|error| {
                let listen = settings
                    .listens
                    .iter()
                    .find(|it| it.address == error.address);
                let place = listen
                    .map(|it| format!("{}: ", it.place))
                    .unwrap_or_default();
                error.failure(&place)
            })?;
        if let Some(identity) = &identity {
            self.log.app.give_to(identity.uid, identity.gid);
            self.log.requests.give_to(identity.uid, identity.gid);
        }
        self.sockets_changed = true;
        Ok(Ready {
            look,
            tls,
            settings,
            files,
            notes,
            interpreter,
            identity,
            python: None,
            load_seconds: 0.0,
            cwd: PathBuf::new(),
            place: PathBuf::new(),
            release: Default::default(),
            env: Vec::new(),
            has_served: false,
            born: Default::default(),
        })
    }

    pub(crate) fn serve(&mut self, generation: u32) {
        let is_first = self.serving.replace(generation).is_none();
        if is_first {
            self.beside.wakes(generation);
        }
        // Why a fallback serves is told until the app itself does.
        if self.falling != Some(generation) {
            self.failure = None;
        }
        self.notes.clear();
        self.calm_all(generation);
        self.configure(generation);
        if let Some(ready) = self.generations.get(&generation)
            && let Err(error) = self.sockets.set_look(ready.look)
        {
            self.note(error.to_string());
        }
        self.drop_sockets_of_nobody();
        self.modules.forget_before(generation);
        self.announce(generation);
        if let Some(ready) = self.generations.get_mut(&generation) {
            ready.has_served = true;
        }
        if self.succession.is_heir {
            return;
        }
        self.begin_beside(generation, is_first, clock::now());
    }

    /// Log targets, stats server and pidfile as this generation's config wants them.
    pub(crate) fn configure(&mut self, generation: u32) {
        let again = self.configured.replace(generation) == Some(generation);
        let Some(ready) = self.generations.get(&generation) else {
            return;
        };
        if ready.settings.titles.is_named() {
            let title = ready.settings.titles.title(&self.origin.name, Role::Master);
            self.title = self.title.or_else(Area::with_environment);
            if let Some(area) = self.title {
                area.show(title.as_bytes());
            }
        }
        let mut problems =
            self.log
                .configure(&ready.settings.logs, ready.identity.as_ref(), &ready.cwd);
        self.log.alarms.configure(&ready.settings.alarms);
        if self.succession.is_heir {
            // The rest is in another master's hand.
            return problems.into_iter().for_each(|problem| self.note(problem));
        }
        if let Err(problem) = self
            .stats
            .configure(ready.settings.stats.as_ref(), ready.settings.logs.stats)
        {
            problems.push(problem);
        }
        let pidfile = ready.settings.pidfile.as_ref();
        let pidfile = pidfile.map(|path| self.origin.cwd.join(path));
        if self.pidfile != pidfile {
            crate::pidfile::remove(self.pidfile.as_deref());
            if let Some(Err(problem)) = pidfile.as_deref().map(crate::pidfile::write) {
                problems.push(problem);
            }
            self.pidfile = pidfile;
        }
        let notes = ready.notes.clone();
        let cwd = ready.cwd.clone();
        self.touched.watch(&ready.settings.touch_reload, &cwd);
        problems.extend(self.configure_beside(generation, again, clock::now()));
        for problem in problems {
            self.note(problem);
        }
        for note in notes {
            if again {
                self.keep_note(note);
            } else {
                self.note(note);
            }
        }
    }

    /// Closes the sockets that neither the serving nor a starting generation wants. An heir closes
    /// none: another master serves there.
    pub(crate) fn drop_sockets_of_nobody(&mut self) {
        let Some(serving) = self.serving.filter(|_| !self.succession.is_heir) else {
            return;
        };
        let generations = &self.generations;
        self.sockets.retain(|address| {
            let mut current = generations.range(serving..).map(|(_, ready)| ready);
            current.any(|it| it.settings.listens.iter().any(|it| it.address == *address))
        });
        self.sockets_changed = true;
    }

    /// As above, while nothing serves: those of a config that waits to be wanted.
    pub(crate) fn keep_sockets_of(&mut self, generation: u32) {
        let is_heir = self.succession.is_heir;
        if let Some(ready) = self.generations.get(&generation).filter(|_| !is_heir) {
            let listens = &ready.settings.listens;
            self.sockets
                .retain(|address| listens.iter().any(|it| it.address == *address));
            self.sockets_changed = true;
        }
    }

    pub(crate) fn failed(&mut self, generation: u32, cause: &Cause) {
        self.log.read_app();
        let default = Settings::default();
        let ready = self.generations.get(&generation);
        let settings = ready.map_or(&default, |ready| &ready.settings);
        let ran = ready.is_some_and(|ready| ready.python.is_some());
        let mut its = self
            .children
            .values()
            .filter(|it| it.generation == generation);
        let is_asked = its.any(|it| it.worker.is_some() && it.has_loaded);
        let asked = settings.readiness.request.as_deref().filter(|_| is_asked);
        let recent = self.log.recent();
        let mut failure = match (cause, asked) {
            (Cause::Late { after }, Some(path)) => {
                failure::never_ready(settings, path, *after, &recent)
            }
            (Cause::Late { .. } | Cause::Said(_) | Cause::Ended { .. }, _) => {
                failure::explain(settings, cause, &recent, ran)
            }
        };
        if matches!(
            cause,
            Cause::Ended {
                end: End::Signal(nix::libc::SIGKILL),
                ..
            }
        ) && self.troubles.is_oom()
        {
            failure = out_of_memory(failure);
        }
        failure.at = clock::epoch();
        failure.generation = Some(generation);
        self.failing = Some(generation);
        let mut text = format!("generation {generation} failed: {}", failure.summary);
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("\n  hint: {hint}"));
        }
        if let (Cause::Said(_), Some(detail)) = (cause, &failure.detail) {
            text = format!("{}\n{text}", detail.trim_end());
        }
        if let Some(serving) = self.serving.filter(|&serving| serving != generation) {
            text.push_str(&format!("\n  generation {serving} serves on"));
        }
        self.log.note(&text);
        self.failure = Some(failure);
        if self.serving.is_some() && self.serving != Some(generation) {
            self.generations.remove(&generation);
            self.drop_sockets_of_nobody();
        }
    }

    /// A few readable lines for whoever looks at the terminal or the log.
    fn announce(&mut self, generation: u32) {
        let sockets = self.shown_sockets().join(" ");
        let Some(ready) = self.generations.get(&generation) else {
            return;
        };
        let settings = &ready.settings;
        let python = ready.python.as_deref().unwrap_or("?");
        let plural = |count: u32, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let threads = match settings.threads {
            0 | 1 => String::new(),
            threads => format!(" of {threads} threads"),
        };
        // Under an emperor the name is on every line.
        let name = match self.origin.is_alone {
            true => format!("{}: ", self.origin.name),
            false => String::new(),
        };
        let text = format!(
            "{name}generation {generation} serves on {sockets} ({}{threads}, Python {python}, loaded in {:.1} s)",
            plural(settings.processes.max(1), "worker"),
            ready.load_seconds,
        );
        self.log.note(&text);
        // From now on little happens here.
        imperator_process::memory::give_back();
    }

    pub(crate) fn unprepared(&self, generation: u32, failure: Failure) -> Event {
        let failure = Box::new(failure);
        let fallback = self.fallback.is_some() && self.falling != Some(generation);
        Event::PrepareFailed {
            generation,
            failure,
            fallback,
        }
    }
}
