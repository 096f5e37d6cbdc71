//! `on-demand-socket`: a socket at which the app starts, named by a file or a command. The emperor gives
//! it to its vassals for `emperor-on-demand-extension` and its kin (uWSGI: core/emperor.c,
//! emperor_check_on_demand_socket).

use std::path::Path;

use super::load::Loader;
use super::world::Kind;
use crate::finding::Place;
use crate::ini::text;
use crate::message::Config;
use crate::options::ON_DEMAND_SOCKET;
use crate::settings::empire::OnDemand;

impl Loader<'_> {
    /// Finds the address out; without one the app is like any other.
    pub(super) fn on_demand(&mut self, value: &[u8], place: &Place) {
        let value = text(value);
        let (told, hint) = if let Some(file) = value.strip_prefix("file://") {
            let told = self.read(Path::new(file));
            if told.is_err() && self.world.kind(Path::new(file)) == Kind::Missing {
                return;
            }
            let what = format!("cannot read the socket's name in {file}");
            let hint = "write its address into the first line, or remove the file";
            (told.map_err(|why| format!("{what}: {why}")), hint)
        } else if let Some(command) = value.strip_prefix("exec://") {
            let told = if place.known().is_some() && !self.world.is_own(&place.file) {
                Err(format!("{} belongs to another user", place.file.display()))
            } else {
                self.world.run(command)
            };
            let what = format!("cannot ask \"{command}\" for the socket's name");
            let hint = "mend the command, and say imperator retry; one that prints nothing means \
                        an app without such a socket";
            (told.map_err(|why| format!("{what}: {why}")), hint)
        } else {
            (Ok(value.clone().into_bytes()), "")
        };
        match told {
            Ok(told) => {
                let end = told.iter().position(|byte| *byte < b' ');
                let line = text(&told[..end.unwrap_or(told.len())]);
                if !line.is_empty() {
                    self.on_demand = Some((line, place.clone()));
                }
            }
            Err(why) => self.error(place, format!("option \"{ON_DEMAND_SOCKET}\": {why}"), hint),
        }
    }
}

/// Where the socket of this vassal is named, as `on-demand-socket` understands it. A file names one
/// socket, so its further stanzas are apps like any other.
pub(super) fn socket_of(rules: &OnDemand, config: &Config, cwd: &Path) -> Option<String> {
    let file = &config.file;
    let stanza = config.section.as_deref();
    let stanza = stanza.map(|section| section.strip_prefix("uwsgi:").unwrap_or(section));
    let behind = stanza.map(|it| format!(":{it}")).unwrap_or_default();
    if let Some(extension) = &rules.extension {
        return stanza
            .is_none()
            .then(|| format!("file://{}{extension}", file.display()));
    }
    if let Some(directory) = &rules.directory {
        let name = file.file_stem()?.to_string_lossy();
        return Some(format!("{directory}/{name}{behind}.socket"));
    }
    let command = rules.exec.as_ref()?;
    // The original's vassals of a directory are names in it.
    let file = file.strip_prefix(cwd).unwrap_or(file);
    let word = quoted(&format!("{}{behind}", file.display()));
    Some(format!("exec://{command} {word}"))
}

/// One word of a shell, whatever the name holds.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_for_sockets_on_demand_counts() {
        let mut rules = OnDemand::default();
        let named = |rules: &OnDemand, file: &str, section: Option<&str>| {
            let config = Config {
                file: file.into(),
                section: section.map(str::to_owned),
            };
            socket_of(rules, &config, "/v".as_ref())
        };
        assert_eq!(named(&rules, "/v/a.ini", None), None);
        rules.exec = Some("where".to_owned());
        let told = named(&rules, "/v/it's.ini", None);
        assert_eq!(told.as_deref(), Some(r"exec://where 'it'\''s.ini'"));
        let told = named(&rules, "/w/a.ini", Some("uwsgi:blog"));
        assert_eq!(told.as_deref(), Some("exec://where '/w/a.ini:blog'"));
        rules.directory = Some("/run/s".to_owned());
        let told = named(&rules, "/v/shop.de.ini", None);
        assert_eq!(told.as_deref(), Some("/run/s/shop.de.socket"));
        let told = named(&rules, "/v/a.ini", Some("blog"));
        assert_eq!(told.as_deref(), Some("/run/s/a:blog.socket"));
        rules.extension = Some(".on".to_owned());
        let told = named(&rules, "/v/a.ini", None);
        assert_eq!(told.as_deref(), Some("file:///v/a.ini.on"));
        assert_eq!(named(&rules, "/v/a.ini", Some("blog")), None);
    }
}
