//! What a move from uWSGI means for one app: a verdict, and the lines that are behind it. Decides from
//! options and findings alone.

use std::collections::BTreeSet;

use imperator_core::config::Listed;
use imperator_core::finding::{Finding, Place};
use imperator_core::options::{self, Support};

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) option: Option<String>,
    pub(crate) place: Option<Place>,
    pub(crate) text: String,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// Further options of which the same is true: one decision.
    pub(crate) also: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Unchanged,
    Differs,
    Decide,
}

/// What becomes of one app.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Lines that mean here what they meant there.
    pub(crate) carried: usize,
    /// Options that have no effect here, and need none.
    pub(crate) harmless: Vec<String>,
    pub(crate) differs: Vec<Item>,
    /// What the original accepted in silence and did not do as written.
    pub(crate) wrong: Vec<Item>,
    /// What somebody must decide before the move.
    pub(crate) decide: Vec<Item>,
}

impl Account {
    pub(crate) fn of(listed: &[Listed], findings: &[Finding]) -> Self {
        let mut account = Self::default();
        let mut told = BTreeSet::new();
        for option in listed {
            // A placeholder is no option, and what has no line is not the operator's.
            let (Some(row), Some(_)) = (options::find(&option.key), &option.place) else {
                continue;
            };
            let is_first = told.insert(row.name);
            match row.support {
                Support::Full => account.carried += 1,
                Support::Ignored(_) if is_first => account.harmless.push(option.key.clone()),
                Support::Differs(how) => {
                    account.carried += 1;
                    if is_first && !is_none(how, row.name, &option.value) {
                        account.differs.push(Item {
                            option: Some(option.key.clone()),
                            place: option.place.clone(),
                            text: how.to_owned(),
                            hint: None,
                            also: Vec::new(),
                        });
                    }
                }
                Support::Ignored(_) | Support::Later(_) | Support::Refused { .. } => (),
            }
        }
        account.sort(listed, findings);
        account
    }

    /// Findings are mistakes that were silent, or ask for a decision.
    fn sort(&mut self, listed: &[Listed], findings: &[Finding]) {
        let mut decided = BTreeSet::new();
        let unset: Vec<&Finding> = findings
            .iter()
            .filter(|it| variable(it).is_some())
            .collect();
        for finding in findings {
            let plain = |option: Option<String>| Item {
                option,
                place: finding.place.clone(),
                text: finding.text.clone(),
                hint: finding.hint.clone(),
                also: Vec::new(),
            };
            if let Some(name) = variable(finding) {
                if decided.insert(name.to_owned()) {
                    self.decide.push(Item {
                        hint: Some(format!("in imperator's unit: Environment={name}=…")),
                        text: format!("needs the variable {name} that uWSGI's service has"),
                        ..plain(None)
                    });
                }
                continue;
            }
            let follows = |it: &&Finding| it.place == finding.place && finding.is_error();
            if unset.iter().any(follows) {
                continue;
            }
            match missing(listed, finding) {
                Some(option) if decided.insert(option.to_owned()) => {
                    let why = |text: &str| text.split_once("\" ").map(|(_, why)| why.to_owned());
                    let known = self.decide.iter_mut().find(|it| {
                        it.option.is_some()
                            && it.hint == finding.hint
                            && why(&it.text) == why(&finding.text)
                    });
                    match known {
                        Some(known) => known.also.push(option.to_owned()),
                        None => self.decide.push(plain(Some(option.to_owned()))),
                    }
                }
                Some(_) => (),
                None if finding.is_error() => self.decide.push(plain(None)),
                None => self.wrong.push(plain(None)),
            }
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match (self.decide.is_empty(), self.differs.is_empty()) {
            (false, _) => Verdict::Decide,
            (true, false) => Verdict::Differs,
            (true, true) => Verdict::Unchanged,
        }
    }

    /// `runs, 2 things differ`
    pub(crate) fn sentence(&self) -> String {
        match (self.verdict(), self.decide.len(), self.differs.len()) {
            (Verdict::Unchanged, ..) => "runs unchanged".to_owned(),
            (Verdict::Differs, _, 1) => "runs, 1 thing differs".to_owned(),
            (Verdict::Differs, _, count) => format!("runs, {count} things differ"),
            (Verdict::Decide, 1, _) => "needs 1 decision".to_owned(),
            (Verdict::Decide, count, _) => format!("needs {count} decisions"),
        }
    }
}

/// Whether a row's difference is none for this line: another default where the config decides, values
/// that are as in uWSGI, or what a finding tells where it is so.
fn is_none(how: &str, name: &str, value: &str) -> bool {
    let of_default = ["is on unless", "the default is", "where it is not set"];
    let told = [" are known", "ask for a password"];
    of_default.iter().any(|start| how.starts_with(start))
        || told.iter().any(|part| how.contains(part))
        || match name {
            "memory-report" => value != "2",
            "log-date" => options::is_true(value),
            _ => false,
        }
}

/// The option that a finding says we do not have.
fn missing<'l>(listed: &'l [Listed], finding: &Finding) -> Option<&'l str> {
    let option = listed.iter().find(|option| {
        let begins = format!("option \"{}\" ", option.key);
        option.place == finding.place && finding.text.starts_with(&begins)
    })?;
    match options::find(&option.key)?.support {
        Support::Later(_) | Support::Refused { .. } => Some(&option.key),
        Support::Full | Support::Differs(_) | Support::Ignored(_) => None,
    }
}

/// The variable that this finding misses in the environment: of the service, not of this shell.
fn variable(finding: &Finding) -> Option<&str> {
    let (name, rest) = finding.text.strip_prefix("\"$(")?.split_once(")\"")?;
    rest.contains("not set").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(key: &str, line: u32) -> Listed {
        Listed {
            key: key.to_owned(),
            value: "1".to_owned(),
            place: Some(place(line)),
        }
    }

    fn place(line: u32) -> Place {
        Place {
            file: "a.ini".into(),
            line,
        }
    }

    #[test]
    fn the_verdict_is_the_worst_of_what_is_found() {
        // Other defaults are no difference where the config decides.
        let set = [
            "socket",
            "vacuum",
            "need-app",
            "buffer-size",
            "listen",
            "logger",
        ];
        let mut options: Vec<Listed> = (2..).zip(set).map(|(line, it)| listed(it, line)).collect();
        options.push(listed("thunder-lock", 90));
        let account = Account::of(&options, &[]);
        assert_eq!(account.sentence(), "runs unchanged");
        assert_eq!(account.harmless, ["thunder-lock"]);
        let typo = Finding::warning(Some(place(4)), "unknown option \"x\", and no %(x) uses it");
        let account = Account::of(&options, &[typo]);
        assert_eq!(account.sentence(), "runs unchanged");
        assert_eq!(account.wrong.len(), 1);
        let broken = Finding::error(Some(place(4)), "no");
        let account = Account::of(&options, &[broken.clone(), broken]);
        assert_eq!(account.sentence(), "needs 2 decisions");
    }

    #[test]
    fn options_of_one_missing_thing_are_one_decision() {
        let options = [listed("spooler", 2), listed("spooler-processes", 3)];
        let why = "has no effect here: there is no spooler";
        let finding = |line: u32, key: &str| {
            let text = format!("option \"{key}\" {why}");
            Finding::warning(Some(place(line)), text).with_hint("use a queue")
        };
        let findings = [finding(2, "spooler"), finding(3, "spooler-processes")];
        let account = Account::of(&options, &findings);
        assert_eq!(account.sentence(), "needs 1 decision");
        assert_eq!(account.decide[0].also, ["spooler-processes"]);
    }

    #[test]
    fn a_variable_of_the_service_is_one_decision_and_what_follows_is_none() {
        let unset = Finding::warning(
            Some(place(2)),
            "\"$(PORT)\" is not set in the environment and stays as it is",
        );
        let follows = Finding::error(Some(place(2)), "option \"socket\": no port");
        let account = Account::of(&[listed("socket", 2)], &[unset, follows]);
        assert_eq!(account.sentence(), "needs 1 decision");
        assert_eq!(
            account.decide[0].hint.as_deref(),
            Some("in imperator's unit: Environment=PORT=…")
        );
    }
}
