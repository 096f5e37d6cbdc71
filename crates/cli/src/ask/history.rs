//! `imperator history`: what happened when and by whom.

use imperator_core::history::{Entry, History};
use imperator_emperor::control::{Request, is_nobody};
use imperator_emperor::{chronicle, orphans};
use imperator_process::time;
use serde_json::{Value, json};

use super::{Code, Question, ask, choose, left, numbers, print, print_json};

pub(super) fn run(question: &Question) -> Code {
    let request = Request::History {
        apps: question.apps.clone(),
    };
    let (histories, code) = match ask(&question.runtime, &request) {
        Ok(answered) => {
            let code = answered.complain();
            (answered.histories, code)
        }
        Err(error) => without_emperor(question, &error)?,
    };
    let mut all: Vec<(&str, &Entry)> = histories
        .iter()
        .flat_map(|(app, entries)| entries.iter().map(|entry| (app.as_str(), entry)))
        .collect();
    all.sort_by_key(|(_, entry)| entry.at);
    if question.json {
        let events: Vec<Value> = all
            .iter()
            .map(|(app, entry)| {
                json!({
                    "app": app,
                    "at": entry.at as f64 / 1e6,
                    "time": time::utc(entry.at),
                    "what": entry.what,
                    "text": entry.text,
                    "by": entry.by.as_deref().map(numbers::named),
                })
            })
            .collect();
        print_json(&json!({ "events": events }));
        return Ok(code);
    }
    let width = all
        .iter()
        .map(|(app, _)| app.chars().count())
        .max()
        .unwrap_or(0);
    for (app, entry) in all {
        print(&format!("{}\n", line(app, width, entry)));
    }
    Ok(code)
}

fn line(app: &str, width: usize, entry: &Entry) -> String {
    let second = i64::try_from(entry.at / 1_000_000).unwrap_or(0);
    let when = time::strftime("%Y-%m-%d %H:%M:%S", second);
    let milli = entry.at / 1000 % 1000;
    let what = entry.what.word();
    let by = entry.by.as_deref().map(numbers::named);
    let by = by.map(|by| format!("by {by}"));
    let parts: Vec<&str> = [entry.text.as_str(), by.as_deref().unwrap_or_default()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    let text = format!(
        "{when}.{milli:03}  {app:width$}  {what:8}  {}",
        parts.join(", ")
    );
    text.trim_end().to_owned()
}

/// An app's name, and what happened to it.
type Told = (String, Vec<Entry>);

/// What the last emperor wrote down, and what the masters that are left know.
fn without_emperor(question: &Question, error: &std::io::Error) -> Result<(Vec<Told>, u8), u8> {
    let (mut written, _) = chronicle::read(&question.runtime.join(chronicle::FILE));
    let orphans = match is_nobody(error) && !written.is_empty() {
        true => orphans::find(&question.runtime).unwrap_or_default(),
        false => left(question, error)?,
    };
    let mut all = Vec::new();
    let known = |name: &str| written.get(name).cloned().unwrap_or_default();
    for (name, history) in orphans::histories(&orphans, known) {
        all.push((name, history));
    }
    for (name, _) in &all {
        written.remove(name);
    }
    all.extend(written);
    let mut code = 0;
    if !question.apps.is_empty() {
        let is_wanted = |name: &str| question.apps.iter().any(|it| super::is_named(name, it));
        all.retain(|(name, _)| is_wanted(name));
        if all.is_empty() {
            (_, code) = choose(orphans, &question.apps);
        }
    }
    let entries = |history: History| history.entries().cloned().collect();
    let all = all
        .into_iter()
        .map(|(name, history)| (name, entries(history)));
    Ok((all.collect(), code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::history::What;

    #[test]
    fn an_event_is_one_line_with_its_author() {
        let entry = Entry::new(1_795_401_037_012_000, What::StopAsked, "").by("uid 0, sudo by eve");
        let line = line("blog", 6, &entry);
        assert!(
            line.ends_with(":37.012  blog    stop      by root, sudo by eve"),
            "{line}"
        );
        let entry = Entry::new(0, What::Scaled, "from 1 to 2 workers");
        assert!(super::line("blog", 4, &entry).ends_with("scaled    from 1 to 2 workers"));
    }
}
