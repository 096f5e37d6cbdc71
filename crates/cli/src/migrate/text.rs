//! How `migrate` looks: for a tired operator the verdict first, for programs one JSON document
//! (docs/check.md).

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::account::{Account, Item, Verdict};
use super::defaults::SWITCH;
use super::{Moved, Report};
use crate::check::render::{Paint, few, shown};

/// Raised when a field of the JSON changes its meaning; fields may be added without.
const VERSION: u32 = 1;

impl Report {
    pub(super) fn text(&self, colours: bool) -> String {
        let paint = Paint(colours);
        let mut text = format!("{}\n", paint.strong(&self.overview()));
        let quiet = |moved: &&Moved| {
            moved.account.verdict() == Verdict::Unchanged && moved.account.wrong.is_empty()
        };
        for moved in self.moved.iter().filter(|it| !quiet(it)) {
            text.push('\n');
            self.write(moved, paint, &mut text);
        }
        let quiet: Vec<String> = self
            .moved
            .iter()
            .filter(quiet)
            .map(|it| it.name.clone())
            .collect();
        if !quiet.is_empty() {
            let _ = writeln!(
                text,
                "\n{}: {}",
                few(&quiet),
                paint.good(if quiet.len() == 1 {
                    "runs unchanged"
                } else {
                    "run unchanged"
                })
            );
        }
        if !self.files.is_empty() {
            text.push_str("\nof the files:\n");
            items(&self.files, &self.here, &mut text);
        }
        if !self.defaults.is_empty() {
            let _ = writeln!(
                text,
                "\ndefaults that are others here ({SWITCH} = true brings back what can be):"
            );
            let apps = self.moved.iter().filter(|it| !it.is_emperor).count();
            for (what, back, concerned) in &self.defaults {
                let whom = if concerned.len() == apps {
                    String::new()
                } else {
                    format!(" ({})", few(concerned))
                };
                let back = match *back {
                    "" => String::new(),
                    back => format!("; as before: {back}"),
                };
                let _ = writeln!(text, "  {what}{whom}{back}");
            }
        }
        let _ = writeln!(
            text,
            "\nsystemd: {}\nnginx:   {}",
            self.systemd(),
            self.nginx()
        );
        let _ = writeln!(
            text,
            "next:    imperator check --import {}",
            self.targets.join(" ")
        );
        text
    }

    /// `3 apps: 1 runs unchanged, 1 runs with differences, 1 needs a decision`
    fn overview(&self) -> String {
        let count = |verdict| {
            let apps = self.moved.iter().filter(|it| !it.is_emperor);
            apps.filter(|it| it.account.verdict() == verdict).count()
        };
        let verb = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let parts = [
            verb(count(Verdict::Unchanged), "runs unchanged", "run unchanged"),
            verb(
                count(Verdict::Differs),
                "runs with differences",
                "run with differences",
            ),
            verb(count(Verdict::Decide), "needs a decision", "need decisions"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let apps = self.moved.iter().filter(|it| !it.is_emperor).count();
        let apps = crate::check::some(apps, "app");
        match parts.as_slice() {
            [] => apps,
            parts => format!("{apps}: {}", parts.join(", ")),
        }
    }

    fn write(&self, moved: &Moved, paint: Paint, text: &mut String) {
        let account = &moved.account;
        let sentence = account.sentence();
        let sentence = match account.verdict() {
            Verdict::Unchanged => paint.good(&sentence),
            Verdict::Differs => paint.warning(&sentence),
            Verdict::Decide => paint.error(&sentence),
        };
        let what = if moved.is_emperor { " (emperor)" } else { "" };
        let name = paint.strong(&moved.name);
        let file = shown(&moved.file, &self.here);
        let _ = writeln!(text, "{name}{what}: {sentence}  [{file}]");
        for (title, list) in [
            ("to decide", &account.decide),
            ("differs", &account.differs),
            ("wrong already, in silence", &account.wrong),
        ] {
            if !list.is_empty() {
                let _ = writeln!(text, "  {title}:");
                items(list, &self.here, text);
            }
        }
        let _ = writeln!(text, "  carries over: {}", carried(account));
    }

    fn systemd(&self) -> String {
        let start = &self.start;
        let mut text = format!("disable uwsgi's unit; in imperator's: ExecStart={start}");
        if self.is_debians {
            text.push_str(" (crates/cli/dist/debian.ini, for what its init script added)");
        }
        text
    }

    fn nginx(&self) -> String {
        let mut sockets: Vec<String> = Vec::new();
        for socket in self.moved.iter().flat_map(|moved| &moved.sockets) {
            if !sockets.contains(socket) {
                sockets.push(socket.clone());
            }
        }
        match sockets.as_slice() {
            [] => "nothing to change".to_owned(),
            sockets => format!("nothing to change, the sockets stay: {}", few(sockets)),
        }
    }

    pub(super) fn json(&self) -> Value {
        let items = |list: &[Item]| -> Vec<Value> {
            let item = |item: &Item| {
                let place = item.place.as_ref();
                json!({
                    "option": item.option,
                    "also": item.also,
                    "file": place.map(|place| &place.file),
                    "line": place.map(|place| place.line).filter(|line| *line > 0),
                    "text": item.text,
                    "hint": item.hint,
                })
            };
            list.iter().map(item).collect()
        };
        let app = |moved: &Moved| {
            let account = &moved.account;
            let verdict = match account.verdict() {
                Verdict::Unchanged => "unchanged",
                Verdict::Differs => "differs",
                Verdict::Decide => "decide",
            };
            json!({
                "name": moved.name,
                "kind": if moved.is_emperor { "emperor" } else { "app" },
                "file": self.here.join(&moved.file),
                "section": moved.section,
                "verdict": verdict,
                "text": account.sentence(),
                "carried": account.carried,
                "harmless": account.harmless,
                "decide": items(&account.decide),
                "differs": items(&account.differs),
                "wrong": items(&account.wrong),
                "sockets": moved.sockets,
            })
        };
        let default = |(text, back, apps): &(&str, &str, Vec<String>)| {
            let back = (!back.is_empty()).then_some(*back);
            json!({ "text": text, "back": back, "apps": apps })
        };
        json!({
            "version": VERSION,
            "apps": self.moved.iter().map(app).collect::<Vec<_>>(),
            "files": items(&self.files),
            "defaults": self.defaults.iter().map(default).collect::<Vec<_>>(),
            "systemd": self.systemd(),
            "nginx": self.nginx(),
        })
    }
}

/// `12 lines; without effect and need: master, thunder-lock`
fn carried(account: &Account) -> String {
    let lines = crate::check::some(account.carried, "line");
    match account.harmless.as_slice() {
        [] => lines,
        names => format!("{lines}; not needed here: {}", few(names)),
    }
}

fn items(list: &[Item], here: &Path, text: &mut String) {
    for (index, item) in list.iter().enumerate() {
        let same = |other: &&Item| {
            let file = |it: &Item| it.place.as_ref().map(|place| place.file.clone());
            other.text == item.text && other.option == item.option && file(other) == file(item)
        };
        if list[..index].iter().any(|other| same(&other)) {
            continue;
        }
        text.push_str("    ");
        if let Some(place) = &item.place {
            let lines = list.iter().filter(same).filter_map(|it| it.place.as_ref());
            let lines: Vec<String> = lines.map(|place| place.line.to_string()).collect();
            let file = shown(&place.file, here);
            let _ = match place.line {
                0 => write!(text, "{file}: "),
                _ => write!(text, "{file}:{}: ", lines.join(",")),
            };
        }
        if let Some(option) = &item.option
            && !item.text.contains(&format!("\"{option}\""))
        {
            let _ = write!(text, "{option}: ");
        }
        text.push_str(&item.text);
        if !item.also.is_empty() {
            let _ = write!(text, " (also {})", few(&item.also));
        }
        if let Some(hint) = &item.hint {
            let _ = write!(text, "; {hint}");
        }
        text.push('\n');
    }
}
