//! Configs in yaml, as the original reads them through libyaml's tokens: the block below the key
//! `uwsgi` (or the one that is asked for), wherever that stands. Its scalars are values as they are
//! written, a list repeats its key, what is nested deeper counts as if it stood in the block itself.
//! A value with a tag or an anchor ends the reading.

use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{Text, c_string, place, refused};
use crate::finding::Finding;
use crate::ini::magic::Magic;
use crate::ini::{Document, IniOption, MAX_OPTIONS};

pub(super) fn read(bytes: &[u8], section: &str, magic: &Magic<'_>) -> Document {
    let mut document = Document::default();
    let file = &magic.file.file;
    let Some(text) = Text::of(bytes, magic, &mut document) else {
        return document;
    };
    let Ok(yaml) = std::str::from_utf8(&text.bytes) else {
        return document;
    };
    // The places of the parser count characters.
    let characters: Vec<char> = yaml.chars().collect();
    let mut reader = Reader {
        section,
        document,
        stack: Vec::new(),
        key: None,
        depth: 0,
        file,
    };
    for next in Parser::new_from_str(yaml) {
        let step = match next {
            Ok((event, span)) => {
                let line = text.line_of_line(span.start.line());
                let first = characters.get(span.start.index()).copied();
                reader.step(event, first, line)
            }
            Err(error) => {
                let line = text.line_of_line(error.marker().line());
                let why = format!("the yaml is broken: {}", error.info());
                let hint = "look at the indentation and the colons around this line";
                let finding = refused(file, line, why, hint);
                reader.document.findings.push(finding);
                Step::Stop
            }
        };
        if step == Step::Stop || reader.document.options.len() > MAX_OPTIONS {
            break;
        }
    }
    reader.document
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    On,
    /// The block is over, or something in it that the original stops at.
    Stop,
}

/// What is open, and what comes next in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    BlockKey,
    BlockValue,
    FlowKey,
    FlowValue,
    List,
}

struct Reader<'a> {
    section: &'a str,
    document: Document,
    stack: Vec<Open>,
    /// The last key, until a value has used it.
    key: Option<String>,
    /// How many blocks and lists are open from the section on; 0 outside of it.
    depth: usize,
    file: &'a Path,
}

impl Reader<'_> {
    fn step(&mut self, event: Event<'_>, first: Option<char>, line: u32) -> Step {
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                let is_there = style != ScalarStyle::Plain || !value.is_empty();
                let step = if is_there {
                    self.scalar(&value, anchor > 0 || tag.is_some(), line)
                } else {
                    Step::On
                };
                self.passed();
                step
            }
            Event::MappingStart(..) => {
                if first == Some('{') {
                    self.stack.push(Open::FlowKey);
                    return Step::On;
                }
                if self.depth > 0 {
                    self.depth += 1;
                } else if self.key.as_deref() == Some(self.section) {
                    self.depth = 1;
                    let name = self.section.as_bytes().to_vec();
                    self.document.sections.push((name, line));
                }
                self.stack.push(Open::BlockKey);
                Step::On
            }
            Event::SequenceStart(..) => {
                if self.depth > 0 {
                    self.depth += 1;
                }
                self.stack.push(Open::List);
                Step::On
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let closed = self.stack.pop();
                let step = match closed {
                    Some(Open::FlowKey | Open::FlowValue) | None => Step::On,
                    Some(Open::BlockKey | Open::BlockValue | Open::List) => {
                        self.key = None;
                        self.close()
                    }
                };
                self.passed();
                step
            }
            Event::Alias(_) => {
                self.passed();
                Step::On
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Step::On,
        }
    }

    fn close(&mut self) -> Step {
        match self.depth {
            0 => Step::On,
            1 => Step::Stop,
            depth => {
                self.depth = depth - 1;
                Step::On
            }
        }
    }

    fn scalar(&mut self, value: &str, marked: bool, line: u32) -> Step {
        let place = Some(place(self.file, line));
        if marked {
            let text = format!("the tag or anchor of \"{value}\" ends the reading of the file");
            let finding = Finding::warning(place, text);
            let hint = "write the value without ! and &";
            self.document.findings.push(finding.with_hint(hint));
            return Step::Stop;
        }
        match self.stack.last() {
            Some(Open::BlockKey | Open::FlowKey) => {
                self.key = Some(value.to_owned());
                Step::On
            }
            Some(open) => {
                let key = match open {
                    Open::List => self.key.clone(),
                    Open::BlockKey | Open::BlockValue | Open::FlowKey | Open::FlowValue => {
                        self.key.take()
                    }
                };
                if let Some(key) = key.filter(|_| self.depth > 0) {
                    self.document.options.push(IniOption {
                        section: self.section.as_bytes().to_vec(),
                        key: c_string(key.as_bytes()),
                        value: c_string(value.as_bytes()),
                        line,
                    });
                }
                Step::On
            }
            // A text that is no mapping.
            None => Step::Stop,
        }
    }

    /// After a key comes its value, after that the next key.
    fn passed(&mut self) {
        if let Some(open) = self.stack.last_mut() {
            *open = match open {
                Open::BlockKey => Open::BlockValue,
                Open::BlockValue => Open::BlockKey,
                Open::FlowKey => Open::FlowValue,
                Open::FlowValue => Open::FlowKey,
                Open::List => Open::List,
            };
        }
    }
}
