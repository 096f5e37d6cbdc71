//! What clients of the control socket ask for, and what is done about it.

use imperator_core::history::{Entry, What};
use imperator_core::nearest::nearest;
use imperator_process::time::monotonic_micros;
use tracing::warn;

use super::{Emperor, now, unix_micros, unix_seconds};
use crate::chronicle::Chronicle;
use crate::control::{Answer, Asker, Reason, Reply, Request};
use crate::effects::Effects;
use crate::plan::Plan;
use crate::runtime::{AppRecord, Stopped};
use crate::supervisor::{Event, Name, Situation, Supervisor};
use crate::{stats, status, tyrant};

impl Emperor {
    pub(super) fn serve_clients(&mut self) {
        let now = now();
        for apps in self.control.listen(now) {
            let plan = &self.plan;
            let names: Vec<Name> = apps
                .iter()
                .filter_map(|it| plan.resolve_name(it).ok())
                .collect();
            let wanted = |name: &str| apps.is_empty() || names.iter().any(|it| it == name);
            let asked = self.effects.ask(wanted);
            self.unreported.extend(asked);
        }
        let mut asked = Vec::new();
        let (plan, supervisor) = (&self.plan, &self.supervisor);
        let (chronicle, effects) = (&self.chronicle, &mut self.effects);
        let (sources, upgrade) = (self.monitor.sources(), &self.upgrade);
        let mut upgrades = false;
        let answer = |asker: &Asker, request| {
            let desk = Desk {
                asker,
                plan,
                supervisor,
                chronicle,
                effects,
            };
            match request {
                Request::Status { apps } => desk.status(&apps, |lines, effects| {
                    let path = effects.runtime.path();
                    let stopping = supervisor.is_stopping();
                    let mut emperor = status::emperor(lines, path, sources, stopping);
                    emperor.build.clone_from(&effects.build);
                    emperor.upgrading = upgrade.is_under_way();
                    emperor.upgrade_failure.clone_from(&upgrade.failure);
                    emperor
                }),
                Request::Upgrade if asker.is_operator => {
                    upgrades = true;
                    let text = "upgrade: asking the file on disk".to_owned();
                    let (app, order) = (None, 0);
                    vec![(Reply::Done { text, app, order }, None)]
                }
                Request::Upgrade => {
                    let why = "only root and operators upgrade the emperor".to_owned();
                    let reason = Reason::Forbidden;
                    vec![(Reply::Refused { why, reason }, None)]
                }
                Request::Reload { apps } => desk.orders(Verb::Reload, apps, true, &mut asked),
                Request::Retry { apps } => desk.orders(Verb::Retry, apps, true, &mut asked),
                Request::Start { apps } => desk.orders(Verb::Start, apps, true, &mut asked),
                Request::Restart { apps } => desk.orders(Verb::Restart, apps, true, &mut asked),
                Request::Stop { apps, all } => desk.orders(Verb::Stop, apps, all, &mut asked),
                Request::History { apps } => desk.history(&apps),
                Request::Guest { app } => desk.guest(&app),
                Request::Stacks { apps } => desk.stacks(&apps),
            }
        };
        let fresh = self.unreported.is_empty();
        self.control.speak(fresh, now, answer);
        for (verb, name, who) in asked {
            self.obey(verb, name, who);
        }
        if upgrades && let Err(why) = self.begin_upgrade(false) {
            self.upgrade.failure = Some(why);
        }
    }

    pub(super) fn serve_stats(&mut self) {
        let Some(stats) = &mut self.stats else {
            return;
        };
        let now = now();
        let (plan, effects) = (&self.plan, &self.effects);
        let (supervisor, sources, cwd) = (&self.supervisor, self.monitor.sources(), &self.cwd);
        stats.serve(now, || {
            stats::document(&stats::View {
                lines: &status::lines(plan, supervisor, effects, now),
                effects,
                sources,
                cwd,
                now,
                epoch: unix_seconds(),
            })
        });
    }

    fn obey(&mut self, verb: Verb, name: Name, who: String) {
        self.record(&name, verb.what(), "", Some(&who));
        match verb {
            Verb::Reload => self.handle(Event::Touched(name)),
            Verb::Retry | Verb::Start => self.handle(Event::Retry(Some(name))),
            Verb::Restart => self.handle(Event::Restart(name)),
            Verb::Stop => {
                let stopped = Stopped {
                    by: who,
                    at: unix_seconds(),
                };
                if let Some(app) = self.plan.app(&name) {
                    let mut record = AppRecord::new(&name, &app.config);
                    record.halted = true;
                    record.stopped = Some(stopped.clone());
                    record.seen = self.seen(&name);
                    if let Err(error) = self.effects.runtime.remember(&record) {
                        warn!("[emperor] cannot note that {name} is stopped: {error}");
                    }
                }
                self.effects.kept.entry(name.clone()).or_default().stopped = Some(stopped);
                self.handle(Event::Halt(name));
            }
        }
    }

    /// Somebody stopped it under an earlier emperor.
    pub(super) fn stopped_before(&mut self, record: AppRecord) {
        let kept = self.effects.kept.entry(record.name.clone()).or_default();
        kept.stopped = record.stopped;
        self.handle(Event::Halt(record.name));
    }

    pub(super) fn record(&mut self, name: &str, what: What, text: &str, who: Option<&str>) {
        let mut entry = Entry::new(unix_micros(), what, text);
        entry.by = who.map(str::to_owned);
        self.chronicle.tell(name, entry);
    }

    /// What the files say, before it is done.
    pub(super) fn record_all(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Found { name, .. } = event {
                self.chronicle.found(name);
                let config = self.plan.app(name).map(|app| app.config.to_string());
                if !self.supervisor.contains(name) {
                    self.record(name, What::Found, &config.unwrap_or_default(), None);
                }
            } else if let Event::Gone(name) = event {
                self.record(name, What::Gone, "nobody asks for it any more", None);
            } else if let Event::Touched(name) = event {
                self.record(name, What::ReloadAsked, "", Some("a touch of its file"));
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Reload,
    Retry,
    Start,
    Restart,
    Stop,
}

impl Verb {
    fn what(self) -> What {
        match self {
            Self::Reload => What::ReloadAsked,
            Self::Retry => What::RetryAsked,
            Self::Start => What::StartAsked,
            Self::Restart => What::RestartAsked,
            Self::Stop => What::StopAsked,
        }
    }

    fn text(self, name: &str, situation: Option<Situation>) -> String {
        let halted = situation == Some(Situation::Halted);
        match self {
            Self::Reload | Self::Retry | Self::Restart if halted => format!("{name} starts"),
            Self::Reload => format!("{name} reloads"),
            Self::Retry => format!("{name} is tried again"),
            Self::Start if situation == Some(Situation::Up) => format!("{name} runs already"),
            Self::Start => format!("{name} starts"),
            Self::Restart => format!("{name} restarts: its requests are finished first"),
            Self::Stop if halted => format!("{name} was stopped already"),
            Self::Stop => format!("{name} stops; imperator start {name} starts it again"),
        }
    }
}

/// What is there for one who asks.
struct Desk<'a> {
    asker: &'a Asker,
    plan: &'a Plan,
    supervisor: &'a Supervisor,
    chronicle: &'a Chronicle,
    effects: &'a mut Effects,
}

impl Desk<'_> {
    /// Operators may do everything; others what they own.
    fn may(&self, name: &str) -> bool {
        if self.asker.is_operator {
            return true;
        }
        let app = self.plan.app(name).map(|app| app.config.file.as_path());
        let file = app.or_else(|| {
            let mut problems = self.plan.problems();
            problems.find_map(|(it, path, _)| (it == name).then_some(path))
        });
        let owner = file.and_then(|file| tyrant::owner_of(file, &self.effects.empire));
        owner.is_some_and(|(uid, _)| uid == self.asker.uid)
    }

    fn resolve(&self, text: &str) -> Result<Name, Box<Answer>> {
        let fits = match self.plan.resolve_name(text) {
            Ok(name) if self.may(&name) => return Ok(name),
            Ok(name) => {
                let why = format!("{name} belongs to another user: only its owner and root may");
                let reason = Reason::Forbidden;
                return Err(Box::new((Reply::Refused { why, reason }, None)));
            }
            Err(fits) => fits,
        };
        let fits: Vec<Name> = fits.into_iter().filter(|name| self.may(name)).collect();
        let why = match fits.as_slice() {
            [] => {
                let shown = self.plan.problems().map(|(name, _, _)| name);
                let all = self.plan.apps().keys().map(String::as_str).chain(shown);
                let meant = nearest(text, all.filter(|name| self.may(name)));
                let meant = meant.map(|name| format!(", did you mean {name}?"));
                let meant = meant.unwrap_or_else(|| "; imperator status names all".to_owned());
                format!("no app is named \"{text}\"{meant}")
            }
            fits => format!("\"{text}\" may be {}", fits.join(" or ")),
        };
        let reason = Reason::Unknown;
        Err(Box::new((Reply::Refused { why, reason }, None)))
    }

    fn status(
        self,
        apps: &[String],
        emperor: impl Fn(&[crate::control::AppLine], &Effects) -> crate::control::EmperorStatus,
    ) -> Vec<Answer> {
        let mut lines = status::lines(self.plan, self.supervisor, self.effects, now());
        lines.retain(|line| self.may(&line.name));
        let mut answers = vec![(Reply::Emperor(emperor(&lines, self.effects)), None)];
        if !apps.is_empty() {
            let mut names = Vec::new();
            for text in apps {
                // One that is on its way out is known by its whole name only.
                match self.resolve(text) {
                    _ if lines.iter().any(|line| line.name == *text) => names.push(text.clone()),
                    Ok(name) => names.push(name),
                    Err(refused) => answers.push(*refused),
                }
            }
            lines.retain(|line| names.contains(&line.name));
        }
        for mut line in lines {
            let history = self.chronicle.of(&line.name);
            // A master tells of a flood of deaths the last one, its history their number.
            let its = line
                .status
                .as_ref()
                .and_then(|status| status.trouble.as_ref());
            let ours = history.and_then(|it| it.trouble());
            line.trouble = its.into_iter().chain(ours).max_by_key(|it| it.at).cloned();
            answers.push((Reply::App(Box::new(line)), None));
        }
        answers
    }

    /// Checks the names and queues what is asked for. `all`: no name means all apps.
    fn orders(
        self,
        verb: Verb,
        apps: Vec<String>,
        all: bool,
        asked: &mut Vec<(Verb, Name, String)>,
    ) -> Vec<Answer> {
        let order = monotonic_micros();
        let who = self.asker.name();
        let is_all = apps.is_empty();
        let texts: Vec<String> = match is_all {
            false => apps,
            true if all => self
                .plan
                .apps()
                .keys()
                .filter(|it| self.may(it))
                .cloned()
                .collect(),
            true => {
                let why = "name an app, or say --all".to_owned();
                let reason = Reason::Unknown;
                return vec![(Reply::Refused { why, reason }, None)];
            }
        };
        let mut answers = Vec::new();
        for text in texts {
            let name = match self.resolve(&text) {
                Ok(name) => name,
                Err(refused) => {
                    answers.push(*refused);
                    continue;
                }
            };
            if self.plan.app(&name).is_none() {
                let why =
                    format!("{name} has no app: its file cannot be used; imperator why {name}");
                let reason = Reason::Failed;
                answers.push((Reply::Refused { why, reason }, None));
                continue;
            }
            let situation = self.supervisor.situation(&name, now()).map(|(it, _)| it);
            let halted = situation == Some(Situation::Halted);
            // Who stopped one app by hand does not mean it with "all".
            if is_all && halted && matches!(verb, Verb::Reload | Verb::Retry | Verb::Restart) {
                continue;
            }
            answers.push((
                Reply::Done {
                    text: verb.text(&name, situation),
                    app: Some(name.clone()),
                    order,
                },
                None,
            ));
            asked.push((verb, name, who.clone()));
        }
        answers
    }

    fn history(self, apps: &[String]) -> Vec<Answer> {
        let mut answers = Vec::new();
        let mut names = Vec::new();
        for text in apps {
            match self.resolve(text) {
                Ok(name) => names.push(name),
                // It may be gone, and its history is not.
                Err(_) if self.asker.is_operator && self.chronicle.of(text).is_some() => {
                    names.push(text.clone());
                }
                Err(refused) => answers.push(*refused),
            }
        }
        if apps.is_empty() {
            names.extend(
                self.chronicle
                    .names()
                    .filter(|name| self.may(name))
                    .cloned(),
            );
        }
        for app in names {
            let history = self.chronicle.of(&app);
            let entries = history.map(|it| it.entries().cloned().collect());
            let entries = entries.unwrap_or_default();
            answers.push((Reply::History { app, entries }, None));
        }
        answers
    }

    fn stacks(self, apps: &[String]) -> Vec<Answer> {
        let mut answers = Vec::new();
        for text in apps {
            let name = match self.resolve(text) {
                Ok(name) => name,
                Err(refused) => {
                    answers.push(*refused);
                    continue;
                }
            };
            if !self.effects.ask_for_stacks(&name) {
                let why = format!("the master of {name} takes no messages now");
                let reason = Reason::Failed;
                answers.push((Reply::Refused { why, reason }, None));
            }
        }
        answers
    }

    fn guest(self, app: &str) -> Vec<Answer> {
        let name = match self.resolve(app) {
            Ok(name) => name,
            Err(refused) => return vec![*refused],
        };
        match self.effects.let_in(&name) {
            Ok(channel) => vec![(Reply::Guest { app: name }, Some(channel))],
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let why = format!("{name} does not run; imperator why {name}");
                let reason = Reason::Failed;
                vec![(Reply::Refused { why, reason }, None)]
            }
            Err(error) => {
                let why = format!("the master of {name} takes no messages now: {error}");
                let reason = Reason::Failed;
                vec![(Reply::Refused { why, reason }, None)]
            }
        }
    }
}
