//! Routes: rules that each request passes before the app has it (uWSGI: core/routing.c).

mod condition;
mod expand;

use std::io::Write;

use imperator_core::pattern::{Groups, Matcher};
use imperator_core::settings::routes::{Action, Route, Subject, When};

use crate::app::Free;
use crate::context::WorkerContext;
use crate::exchange::Exchange;
use crate::http::target::decoded;
use crate::refusal::phrase;
use crate::request::{Known, Request};
use crate::static_files::Files;
use condition::Test;
use expand::{Matched, Template};

/// All rules, made ready once.
#[derive(Debug)]
pub(crate) struct Routes {
    rules: Vec<Rule>,
    /// Names of places, and the rules that stand there.
    labels: Vec<(String, usize)>,
}

#[derive(Debug)]
struct Rule {
    when: Trigger,
    then: Act,
}

#[derive(Debug)]
enum Trigger {
    Always,
    Matches(Subject, Matcher),
    If { test: Test, wanted: bool },
}

/// An action whose texts are templates.
#[derive(Debug)]
enum Act {
    Continue,
    Break(String),
    Return(String),
    Goto(Template),
    Log(Template),
    DoNotLog,
    LogVar(String, Template),
    AddHeader(Template),
    RemoveHeader(Template),
    Status(Template),
    Send(Template),
    Set(String, Template),
    SetUser(Template),
    FixPathInfo,
    Redirect { permanent: bool, to: Template },
    Rewrite { to: Template, last: bool },
    Static { file: Template, next: bool },
    Nothing,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The app has it.
    Goes,
    Answered,
}

/// What follows an action.
enum Next {
    Rule,
    /// The rule at this place.
    Jump(usize),
    End,
    Answered,
}

impl Routes {
    pub(crate) fn new(routes: &[Route]) -> Self {
        let mut rules = Vec::new();
        let mut labels = Vec::new();
        for route in routes {
            match &route.when {
                When::Label(name) => labels.push((name.clone(), rules.len())),
                When::Always | When::Matches(..) | When::If(_) | When::IfNot(_) => {
                    rules.extend(Rule::new(route));
                }
            }
        }
        Self { rules, labels }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Goes through the rules. It ends: jumps go forward only.
    pub(crate) fn run(
        &self,
        worker: &WorkerContext,
        files: &Files,
        exchange: &mut Exchange,
    ) -> Verdict {
        let mut at = 0;
        while let Some(rule) = self.rules.get(at) {
            let Some(matched) = rule.matches(worker, files, &exchange.request) else {
                at += 1;
                continue;
            };
            let mut run = Run {
                worker,
                files,
                exchange,
                matched,
            };
            match run.act(&rule.then, &self.labels, at) {
                Next::Rule => at += 1,
                Next::Jump(to) => at = to,
                Next::End => break,
                Next::Answered => return Verdict::Answered,
            }
        }
        // An answer that a rule began is the app's to give; what is on its way already is not.
        match self.is_empty() || exchange.forget_answer() {
            true => Verdict::Goes,
            false => Verdict::Answered,
        }
    }
}

impl Rule {
    fn new(route: &Route) -> Option<Self> {
        let when = match &route.when {
            When::Label(_) => return None,
            When::Always => Trigger::Always,
            When::Matches(subject, pattern) => Trigger::Matches(*subject, pattern.compile()?),
            When::If(condition) => Trigger::If {
                test: Test::new(condition)?,
                wanted: true,
            },
            When::IfNot(condition) => Trigger::If {
                test: Test::new(condition)?,
                wanted: false,
            },
        };
        let then = Act::new(&route.then);
        Some(Self { when, then })
    }

    /// `None`: the rule is not for this request.
    fn matches(&self, worker: &WorkerContext, files: &Files, request: &Request) -> Option<Matched> {
        match &self.when {
            Trigger::Always => Some(Matched::default()),
            Trigger::Matches(subject, pattern) => {
                let subject = subject_of(*subject, request);
                let groups: Groups = pattern.groups(subject)?;
                Some(Matched::new(subject, groups))
            }
            Trigger::If { test, wanted } => {
                let found = test.holds(worker, files, request);
                match (wanted, found) {
                    (true, found) => found,
                    (false, None) => Some(Matched::default()),
                    (false, Some(_)) => None,
                }
            }
        }
    }
}

fn subject_of(subject: Subject, request: &Request) -> &[u8] {
    match subject {
        Subject::PathInfo => request.known(Known::PathInfo),
        Subject::Host => request.known(Known::Host),
        Subject::Uri => request.known(Known::Uri),
        Subject::Query => request.var(b"QUERY_STRING").unwrap_or_default(),
        Subject::RemoteAddr => request.known(Known::RemoteAddr),
        Subject::RemoteUser => request.known(Known::RemoteUser),
        Subject::Referer => request.known(Known::Referer),
        Subject::UserAgent => request.known(Known::UserAgent),
    }
}

impl Act {
    fn new(action: &Action) -> Self {
        match action {
            Action::Continue => Self::Continue,
            Action::Break(status) => Self::Break(with_phrase(status)),
            Action::Return(status) => Self::Return(with_phrase(status)),
            Action::Goto(label) => Self::Goto(Template::new(label)),
            Action::Log(text) => Self::Log(Template::new(text)),
            Action::DoNotLog => Self::DoNotLog,
            Action::LogVar(name, value) => Self::LogVar(name.clone(), Template::new(value)),
            Action::AddHeader(line) => Self::AddHeader(Template::new(line)),
            Action::RemoveHeader(name) => Self::RemoveHeader(Template::new(name)),
            Action::Status(status) => Self::Status(Template::new(status)),
            Action::Send(text) => Self::Send(Template::new(text)),
            Action::Set(name, value) => Self::Set(name.clone(), Template::new(value)),
            Action::SetUser(user) => Self::SetUser(Template::new(user)),
            Action::FixPathInfo => Self::FixPathInfo,
            Action::Redirect { permanent, to } => Self::Redirect {
                permanent: *permanent,
                to: Template::new(to),
            },
            Action::Rewrite { to, last } => Self::Rewrite {
                to: Template::new(to),
                last: *last,
            },
            Action::Static { file, next } => Self::Static {
                file: Template::new(file),
                next: *next,
            },
            Action::Nothing => Self::Nothing,
        }
    }
}

/// `404` becomes `404 Not Found`.
fn with_phrase(status: &str) -> String {
    match status.parse::<u16>() {
        Ok(code) if status.len() == 3 => format!("{code} {}", phrase(code)),
        Ok(_) | Err(_) => status.to_owned(),
    }
}

/// One action on one request.
struct Run<'a> {
    worker: &'a WorkerContext,
    files: &'a Files,
    exchange: &'a mut Exchange,
    matched: Matched,
}

impl Run<'_> {
    fn text(&self, template: &Template) -> Vec<u8> {
        let request = &self.exchange.request;
        template.fill(self.worker, self.files, request, &self.matched)
    }

    fn act(&mut self, act: &Act, labels: &[(String, usize)], at: usize) -> Next {
        match act {
            Act::Nothing => (),
            Act::Continue => return Next::End,
            Act::Break(status) => return self.end(status, None),
            Act::Return(status) => {
                let body = status.get(4..).unwrap_or_default();
                return self.end(status, Some(body));
            }
            Act::Goto(label) => {
                let label = self.text(label);
                // What has no such label behind it goes to the app.
                let mut ahead = labels.iter().filter(|(_, place)| *place > at);
                return match ahead.find(|(name, _)| name.as_bytes() == label) {
                    Some((_, place)) => Next::Jump(*place),
                    None => Next::End,
                };
            }
            Act::Log(text) => {
                let mut line = self.text(text);
                line.push(b'\n');
                // A log that is gone is no reason to fail.
                let _ = std::io::stderr().write_all(&line);
            }
            Act::DoNotLog => self.exchange.log_it(false),
            Act::LogVar(name, value) => {
                let value = self.text(value);
                self.exchange.set_log_var(name.as_bytes(), &value);
            }
            Act::AddHeader(line) => {
                let line = self.text(line);
                self.exchange.additions().add(&line);
            }
            Act::RemoveHeader(name) => {
                let name = self.text(name);
                self.exchange.additions().remove(&name);
            }
            Act::Status(status) => {
                let status = self.text(status);
                let status = with_phrase(&String::from_utf8_lossy(&status));
                // A status that is none changes nothing.
                let _ = self.exchange.start(status.as_bytes(), &[], true);
            }
            Act::Send(text) => {
                let text = self.text(text);
                if !self.exchange.started() {
                    let _ = self.exchange.start(b"200 OK", &[], false);
                }
                // A client that is gone is counted.
                let _ = self.exchange.write(&Free, &text);
            }
            Act::Set(name, value) => {
                let value = self.text(value);
                self.exchange.request.set(name.as_bytes(), &value);
            }
            Act::SetUser(user) => {
                let user = self.text(user);
                let user = user.split(|&byte| byte == b':').next().unwrap_or_default();
                self.exchange.request.set(b"REMOTE_USER", user);
            }
            Act::FixPathInfo => {
                let request = &mut self.exchange.request;
                let prefix = request.known(Known::ScriptName).len();
                let path = request.known(Known::PathInfo);
                let rest = path.get(prefix..).unwrap_or_default().to_vec();
                request.set(b"PATH_INFO", &rest);
            }
            Act::Redirect { permanent, to } => {
                let to = self.text(to);
                return self.redirect(*permanent, &to);
            }
            Act::Rewrite { to, last } => {
                let to = self.text(to);
                if !self.rewrite(&to) {
                    return self.end("400 Bad Request", None);
                }
                if *last {
                    return Next::End;
                }
            }
            Act::Static { file, next } => {
                let path = self.text(file);
                let found = self.files.exactly(&self.exchange.request, &path);
                if found.is_some_and(|found| self.files.send(self.exchange, found)) {
                    return Next::Answered;
                }
                if !next {
                    self.exchange.refuse(&Free, 404, "no such file");
                    return Next::Answered;
                }
            }
        }
        Next::Rule
    }

    /// The answer is this status, or what was begun before; without either, 403.
    fn end(&mut self, status: &str, body: Option<&str>) -> Next {
        if status.is_empty() {
            if !self.exchange.started() {
                self.exchange
                    .refuse(&Free, 403, "a route ends this request");
            }
            return Next::Answered;
        }
        let length = body.map(|body| body.len().to_string());
        let mut headers: Vec<(&[u8], &[u8])> = Vec::new();
        if body.is_none() && !self.exchange.is_http() {
            headers.push((b"Connection", b"close"));
        }
        headers.push((b"Content-Type", b"text/plain"));
        if let Some(length) = &length {
            headers.push((b"Content-Length", length.as_bytes()));
        }
        if self
            .exchange
            .start(status.as_bytes(), &headers, true)
            .is_ok()
        {
            let body = body.unwrap_or_default();
            let _ = self.exchange.write_last(&Free, body.as_bytes());
        }
        Next::Answered
    }

    fn redirect(&mut self, permanent: bool, to: &[u8]) -> Next {
        let (status, body): (&[u8], &[u8]) = match permanent {
            true => (b"301 Moved Permanently", b"Moved Permanently"),
            false => (b"302 Found", b"Moved"),
        };
        let headers: &[(&[u8], &[u8])] = &[(b"Location", to)];
        match self.exchange.start(status, headers, true) {
            Ok(()) => {
                let _ = self.exchange.write_last(&Free, body);
            }
            // A line end in a decoded path must not become a header.
            Err(_) => self
                .exchange
                .refuse(&Free, 400, "the redirect's URI holds a line end"),
        }
        Next::Answered
    }

    /// PATH_INFO and QUERY_STRING from `path?query`; the request's own query stands behind it.
    fn rewrite(&mut self, to: &[u8]) -> bool {
        let mut halves = to.splitn(2, |&byte| byte == b'?');
        let path = halves.next().unwrap_or_default();
        let Ok(path) = decoded(path) else {
            return false;
        };
        let request = &mut self.exchange.request;
        request.set(b"PATH_INFO", &path);
        if let Some(query) = halves.next() {
            let old = request.var(b"QUERY_STRING").unwrap_or_default();
            let between: &[u8] = if old.is_empty() { b"" } else { b"&" };
            let query = [query, between, old].concat();
            request.set(b"QUERY_STRING", &query);
        }
        true
    }
}
