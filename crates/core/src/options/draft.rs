//! Settings while options are applied to them, and what only the whole config can decide: the
//! protocol of plain `socket`s, the callable's place among the mounts.

use std::path::PathBuf;
use std::time::Duration;

use super::listens::Listens;
use super::values;
use crate::finding::{Finding, Place};
use crate::settings::logs::LogDate;
use crate::settings::{Mount, Settings, Target};

/// One option as the config gives it.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// As it is written, alias or not.
    pub name: &'a str,
    pub text: &'a str,
    pub place: &'a Place,
}

/// Why a value cannot be used. The caller adds name and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    pub text: String,
    pub hint: Option<String>,
}

impl Invalid {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: None,
        }
    }

    pub(super) fn with_hint(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: Some(hint.into()),
        }
    }
}

/// Settings in the making.
#[derive(Debug, Default)]
pub struct Draft {
    pub settings: Settings,
    pub(super) listens: Listens,
    pub(super) python: super::gevent::PythonDraft,
    module: Option<(String, Place)>,
    wsgi_file: Option<(PathBuf, Place)>,
    mounts: Vec<Mount>,
    http_keepalive: u64,
    /// log-format-strftime; what it means needs log-date, which may come later.
    pub(super) log_ftime: bool,
    /// Where `cap` stands.
    pub(super) capabilities: Option<Place>,
    /// Text and hint of what is odd about the option that is being applied.
    odd: Vec<(String, String)>,
}

impl Draft {
    /// Notes something odd that does not stop the app, and the way out.
    pub(super) fn warn(&mut self, text: impl Into<String>, hint: impl Into<String>) {
        self.odd.push((text.into(), hint.into()));
    }

    /// What was odd since the last call.
    pub fn take_odd(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.odd)
    }

    /// A number as C's `atoi` reads it; never negative.
    pub(super) fn number(&mut self, given: &Given<'_>) -> Result<u64, Invalid> {
        let (number, left) = values::leading_number(given.text)?;
        if left || given.text.trim().is_empty() {
            let text = format!(
                "reads only the leading number of \"{}\": {number}",
                given.text
            );
            self.warn(text, format!("write {number}"));
        }
        Ok(number)
    }

    pub(super) fn number32(&mut self, given: &Given<'_>) -> Result<u32, Invalid> {
        Ok(u32::try_from(self.number(given)?).unwrap_or(u32::MAX))
    }

    /// At least one of what the app cannot have none of; without a number `default`, where the
    /// original takes 0, and nothing serves.
    pub(super) fn count(&mut self, given: &Given<'_>, default: u32) -> Result<u32, Invalid> {
        let text = given.text.trim_start();
        if ["{{", "{%", "${"].iter().any(|mark| text.contains(mark)) {
            let text = format!("\"{}\" is no number, but a template's text", given.text);
            return Err(Invalid::with_hint(text, "use what is made of the template"));
        }
        if !text.starts_with(|letter: char| letter.is_ascii_digit() || letter == '-') {
            let text = format!("\"{}\" is no number, and {default} is used", given.text);
            self.warn(text, "write a number, 1 or more");
            return Ok(default);
        }
        let number = self.number32(given)?;
        if number == 0 {
            self.warn("is 0, and 1 is used", "write 1 or more");
        }
        Ok(number.max(1))
    }

    pub(super) fn seconds(&mut self, given: &Given<'_>) -> Result<Duration, Invalid> {
        Ok(Duration::from_secs(self.number32(given)?.into()))
    }

    /// 0 is the original's "off".
    pub(super) fn some(&mut self, given: &Given<'_>) -> Result<Option<u64>, Invalid> {
        Ok(Some(self.number(given)?).filter(|&number| number > 0))
    }

    pub(super) fn mebibytes(&mut self, given: &Given<'_>) -> Result<Option<u64>, Invalid> {
        Ok(self
            .some(given)?
            .map(|number| number.saturating_mul(1 << 20)))
    }

    pub(super) fn flag(&mut self, given: &Given<'_>) -> bool {
        let (truth, plain) = values::flag(given.text);
        if !plain {
            let hint = "write true or false; a comment needs a line of its own";
            self.warn(format!("takes \"{}\" for true", given.text), hint);
        }
        truth
    }

    pub(super) fn path(given: &Given<'_>) -> Result<PathBuf, Invalid> {
        match given.text {
            "" => Err(Invalid::new("needs a path")),
            text => Ok(PathBuf::from(text)),
        }
    }

    pub(super) fn some_text(given: &Given<'_>) -> Result<String, Invalid> {
        match given.text {
            "" => Err(Invalid::new("needs a value")),
            text => Ok(text.to_owned()),
        }
    }

    pub(super) fn module(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        self.module = Some((Self::some_text(given)?, given.place.clone()));
        Ok(())
    }

    pub(super) fn wsgi_file(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        self.wsgi_file = Some((values::file(given.text)?, given.place.clone()));
        Ok(())
    }

    pub(super) fn mount(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        let Some((prefix, target)) = given.text.split_once('=') else {
            return Err(Invalid::with_hint(
                format!("\"{}\" is no mount", given.text),
                "write /prefix=module:callable or /prefix=file.py",
            ));
        };
        // "/" is the root, which an empty prefix names too.
        let prefix = prefix.trim().trim_end_matches('/');
        if !prefix.is_empty() && !prefix.starts_with('/') {
            let hint = format!("write /{prefix}=…");
            self.warn("has a prefix without a slash in front", hint);
        }
        let is_file = [".py", ".wsgi"].iter().any(|end| target.ends_with(end));
        self.mounts.push(Mount {
            prefix: prefix.to_owned(),
            target: match target.trim() {
                "" => return Err(Invalid::new(format!("\"{}\" names no app", given.text))),
                paste if paste.ends_with(".ini") => Target::Paste(paste.to_owned()),
                file if is_file => Target::File(PathBuf::from(file)),
                module => Target::Module(module.to_owned()),
            },
            place: given.place.clone(),
        });
        Ok(())
    }

    pub(super) fn http_keepalive(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        self.http_keepalive = if matches!(given.text, "true" | "") {
            1
        } else {
            self.number(given)?
        };
        Ok(())
    }

    /// The settings, after the last option; `app` is where the config's own section begins.
    pub fn finish(mut self, app: Option<&Place>, findings: &mut Vec<Finding>) -> Settings {
        super::rights::check(&self, findings);
        self.settings.listens = self.listens.finish(findings);
        super::routes::check(&self.settings.routes, findings);
        let module = self
            .module
            .map(|(module, place)| ("module", Target::Module(module), place));
        let file = self
            .wsgi_file
            .map(|(file, place)| ("wsgi-file", Target::File(file), place));
        let [paste, eval] = self.python.targets();
        // uWSGI's order; the second app at one mount point is skipped.
        let mut plain = [module, file, paste, eval].into_iter().flatten();
        let first = plain.next();
        for (name, _, place) in plain {
            let first = first.as_ref().map_or("", |(first, _, _)| first);
            findings.push(
                Finding::warning(
                    place.known(),
                    format!("\"{name}\" has no effect beside \"{first}\""),
                )
                .with_hint("keep the one that is meant"),
            );
        }
        self.settings.mounts = first
            .map(|(_, target, place)| Mount {
                prefix: String::new(),
                target,
                place,
            })
            .into_iter()
            .chain(self.mounts)
            .collect();
        self.python.finish(&mut self.settings, findings);
        self.settings.http_keepalive = match self.http_keepalive {
            0 => None,
            1 => Some(self.settings.http_timeout),
            seconds => Some(Duration::from_secs(seconds)),
        };
        if let (true, Some(LogDate::Strftime(format))) = (self.log_ftime, &self.settings.logs.date)
        {
            self.settings.logs.requests.ftime = Some(format.clone());
        }
        let settings = self.settings;
        // After another error the lack is probably its consequence.
        if settings.emperor.is_empty() && !findings.iter().any(Finding::is_error) {
            findings.extend(missing(&settings, app));
            super::scaling::check(&settings, findings);
            super::recycling::check(&settings, findings);
        }
        settings
    }
}

/// What no app can do without.
fn missing(settings: &Settings, app: Option<&Place>) -> Vec<Finding> {
    let place = || app.cloned();
    let mut findings = Vec::new();
    if settings.listens.is_empty() {
        findings.push(
            Finding::error(place(), "the config names no socket to listen on")
                .with_hint("add socket = /run/app.sock, or http-socket = 127.0.0.1:8000"),
        );
    }
    if settings.mounts.is_empty() && settings.need_app && !settings.static_files.is_used() {
        findings.push(
            Finding::error(place(), "the config names no app to run")
                .with_hint("add module = package.module:callable, or wsgi-file = app.py"),
        );
    }
    findings
}
