//! `declare-option = name=template`: options that a config makes itself. `$1`, `$2`, … in the template
//! are the words of the value (core/config.c, uwsgi_opt_custom).

use super::args::Takes;
use super::block::words;
use super::load::{Entry, Loader, replace, split};
use crate::finding::Place;
use crate::ini::text;
use crate::options;

/// One declared option.
#[derive(Debug, Clone)]
pub(super) struct Custom {
    template: Vec<u8>,
}

/// A declared option may use another one; deeper is a circle.
const MAX_DEPTH: usize = 8;

impl Custom {
    /// On the command line, a template without `$1`, `$2` and `$3` makes a flag.
    pub(super) fn takes(&self) -> Takes {
        let uses = |word: &[u8]| self.template.windows(2).any(|two| two == word);
        if uses(b"$1") || uses(b"$2") || uses(b"$3") {
            Takes::Word
        } else {
            Takes::Nothing
        }
    }

    /// The options that one use of it stands for. A piece without `=` ends the template.
    pub(super) fn options(&self, value: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let arguments: Vec<&[u8]> = match value {
            [] => vec![b""],
            value => words(value).collect(),
        };
        let filled = |text: &[u8]| {
            let mut text = text.to_vec();
            for (at, argument) in arguments.iter().enumerate() {
                let name = format!("${}", at + 1);
                text = replace(&text, name.as_bytes(), argument);
            }
            text
        };
        self.template
            .split(|&byte| byte == b';')
            .filter(|piece| !piece.is_empty())
            .map_while(split)
            .map(|(key, value)| (filled(key), filled(value)))
            .collect()
    }
}

impl Loader<'_> {
    /// `declare-option` and `declare-option2`. The first of a name counts, and none hides an option.
    pub(super) fn declare(&mut self, value: &[u8], place: &Place) {
        let Some((name, template)) = split(value) else {
            let hint = "write declare-option = name=option=$1;option=$2";
            self.error(place, "\"declare-option\" needs NAME=TEMPLATE", hint);
            return;
        };
        let name = text(name);
        if options::find(&name).is_some() {
            let text = format!("\"{name}\" is an option already, and stays what it is");
            self.warn(place, text, "choose another name");
            return;
        }
        let template = template.to_vec();
        self.custom.entry(name).or_insert(Custom { template });
    }

    /// What a declared option stands for. All of it takes effect; none of it is listed.
    pub(super) fn unfold(&mut self, entry: &Entry, depth: usize) -> Vec<Entry> {
        let Some(custom) = self.custom.get(&entry.key) else {
            return Vec::new();
        };
        if depth > MAX_DEPTH {
            let text = format!("the declared option \"{}\" leads to itself", entry.key);
            self.error(&entry.place, text, "break the circle");
            return Vec::new();
        }
        let options = custom.options(&entry.value).into_iter();
        options
            .map(|(key, value)| Entry {
                key: text(&key),
                value,
                place: entry.place.clone(),
                done: true,
                bare: false,
            })
            .collect()
    }

    pub(super) fn act_custom(&mut self, entry: &Entry, depth: usize) {
        for one in self.unfold(entry, depth) {
            if self.is_over() {
                return;
            }
            self.act(one, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfolded(template: &str, value: &str) -> String {
        let custom = Custom {
            template: template.as_bytes().to_vec(),
        };
        let options = custom.options(value.as_bytes()).into_iter();
        let options: Vec<String> = options
            .map(|(key, value)| format!("{}={}", text(&key), text(&value)))
            .collect();
        options.join(" ")
    }

    #[test]
    fn the_words_of_the_value_fill_the_template() {
        assert_eq!(
            unfolded("socket=/run/$1.sock;uid=$2", "blog  www"),
            "socket=/run/blog.sock uid=www"
        );
        assert_eq!(unfolded("a=$1;$1=x;stop;b=2", "k"), "a=k k=x");
        assert_eq!(unfolded("a=$1$2", ""), "a=$2");
        assert_eq!(unfolded("a=$10", "x"), "a=x0");
    }
}
