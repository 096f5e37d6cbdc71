//! What clients of the control socket ask for, and what is done about it.

use tracing::warn;

use super::{Emperor, now, unix_seconds};
use crate::control::{Reply, Request};
use crate::plan::Plan;
use crate::runtime::AppRecord;
use crate::supervisor::{Event, Name};
use crate::{stats, status};

impl Emperor {
    pub(super) fn serve_clients(&mut self) {
        let now = now();
        if self.control.listen(now) {
            self.unreported = self.effects.ask_all();
        }
        let mut asked = Vec::new();
        let plan = &self.plan;
        let answer = |request| match request {
            Request::Status => {
                let lines = status::lines(plan, &self.supervisor, &self.effects, now);
                let mut emperor = status::emperor(
                    &lines,
                    self.effects.runtime.path(),
                    self.monitor.sources(),
                    self.supervisor.is_stopping(),
                );
                emperor.build.clone_from(&self.effects.build);
                emperor.upgrading = self.upgrade.is_under_way();
                emperor.upgrade_failure.clone_from(&self.upgrade.failure);
                let lines = lines.into_iter().map(|line| Reply::App(Box::new(line)));
                std::iter::once(Reply::Emperor(emperor))
                    .chain(lines)
                    .collect()
            }
            Request::Reload { apps } => obey(plan, apps, &mut asked, Verb::Reload),
            Request::Retry { apps } => obey(plan, apps, &mut asked, Verb::Retry),
            Request::Stop { apps } => obey(plan, apps, &mut asked, Verb::Stop),
            Request::Upgrade => {
                asked.push((Verb::Upgrade, None));
                vec![Reply::Done {
                    text: "upgrade: asking the file on disk".to_owned(),
                }]
            }
        };
        let fresh = self.unreported.is_empty();
        self.control.speak(fresh, now, answer);
        for (verb, name) in asked {
            self.obey(verb, name);
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

    fn obey(&mut self, verb: Verb, name: Option<Name>) {
        match (verb, name) {
            (Verb::Upgrade, _) => {
                if let Err(why) = self.begin_upgrade(false) {
                    self.upgrade.failure = Some(why);
                }
            }
            (Verb::Reload, None) => self.handle(Event::ReloadAll),
            (Verb::Reload, Some(name)) => self.handle(Event::Touched(name)),
            (Verb::Retry, name) => self.handle(Event::Retry(name)),
            // Nobody stops all apps by forgetting a name.
            (Verb::Stop, None) => (),
            (Verb::Stop, Some(name)) => {
                if let Some(app) = self.plan.app(&name) {
                    let record = AppRecord {
                        name: name.clone(),
                        config: app.config.clone(),
                        halted: true,
                    };
                    if let Err(error) = self.effects.runtime.remember(&record) {
                        warn!("[emperor] cannot note that {name} is stopped: {error}");
                    }
                }
                self.handle(Event::Halt(name));
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Reload,
    Retry,
    Stop,
    Upgrade,
}

/// Checks the names of a request and queues what it asks for.
fn obey(
    plan: &Plan,
    apps: Vec<String>,
    asked: &mut Vec<(Verb, Option<Name>)>,
    verb: Verb,
) -> Vec<Reply> {
    let word = match verb {
        Verb::Reload => "reload",
        Verb::Retry => "retry",
        Verb::Stop => "stop",
        Verb::Upgrade => "upgrade",
    };
    if apps.is_empty() {
        asked.push((verb, None));
        return vec![Reply::Done {
            text: format!("{word}: all apps"),
        }];
    }
    let mut replies = Vec::new();
    for text in apps {
        match plan.resolve_name(&text) {
            Ok(name) => {
                replies.push(Reply::Done {
                    text: format!("{word}: {name}"),
                });
                asked.push((verb, Some(name)));
            }
            Err(fits) if fits.is_empty() => replies.push(Reply::Refused {
                why: format!("no app is named \"{text}\"; imperator status names all"),
            }),
            Err(fits) => replies.push(Reply::Refused {
                why: format!("\"{text}\" may be {}", fits.join(" or ")),
            }),
        }
    }
    replies
}
