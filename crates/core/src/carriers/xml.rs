//! Configs in xml, as the original reads them: the children of `<uwsgi>` (or of the one with the id
//! that is asked for) are options, their first text the value; one without content is 1. `<app>` is a
//! mount, a CDATA section a piece of code.

use roxmltree::{Document as Tree, Node};

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
    let Ok(xml) = std::str::from_utf8(&text.bytes) else {
        return document;
    };
    let tree = match Tree::parse(xml) {
        Ok(tree) => tree,
        Err(error) => {
            let line = usize::try_from(error.pos().row).unwrap_or(1);
            let line = text.line_of_line(line);
            let why = format!("the xml is broken: {error}");
            let hint = "look for a tag that is not closed, or a bare & or <";
            document.findings.push(refused(file, line, why, hint));
            return document;
        }
    };
    let asked = magic.file.section.as_deref().map(crate::ini::text);
    let is_other = |node: Node<'_, '_>| match (&asked, node.attribute("id")) {
        (Some(asked), Some(id)) => asked != id,
        (Some(_) | None, _) => false,
    };
    let root = tree.root_element();
    let uwsgi = if root.has_tag_name("uwsgi") {
        Some(root)
    } else {
        root.children()
            .find(|node| node.has_tag_name("uwsgi") && !is_other(*node))
    };
    let Some(uwsgi) = uwsgi else {
        let why = "the file has no element <uwsgi>";
        let hint = "write <uwsgi><socket>:3031</socket></uwsgi>";
        document.findings.push(refused(file, 1, why, hint));
        return document;
    };
    let line_of = |node: Node<'_, '_>| text.line_of(&xml[node.range().start..]);
    let name = section.as_bytes().to_vec();
    document.sections.push((name.clone(), line_of(uwsgi)));
    let mut push = |key: &str, value: &str, line: u32| {
        document.options.push(IniOption {
            section: name.clone(),
            key: c_string(key.as_bytes()),
            value: c_string(value.as_bytes()),
            line,
        });
    };
    let mut odd = Vec::new();
    // One more than a config may have is told by whoever counts them.
    let children = uwsgi.children().filter(Node::is_element);
    for node in children.take(MAX_OPTIONS + 1) {
        if is_other(node) {
            continue;
        }
        let key = node.tag_name().name();
        let line = line_of(node);
        if key == "app" {
            if let Some(app) = app(node) {
                push("mount", &app, line);
            }
            push("app", "", line);
            continue;
        }
        match node.first_child() {
            None => push(key, "1", line),
            Some(child) => match child.text() {
                Some(value) if !child.is_element() => push(key, value, line),
                Some(_) | None => odd.push((key.to_owned(), line)),
            },
        }
    }
    for (key, line) in odd {
        let text = format!("<{key}> holds another element instead of a value, and is left out");
        let finding = Finding::warning(Some(place(file, line)), text);
        let hint = format!("write <{key}>value</{key}>");
        document.findings.push(finding.with_hint(hint));
    }
    document
}

/// `<app mountpoint="/x">module</app>`, or with the module in the first element inside.
fn app(node: Node<'_, '_>) -> Option<String> {
    let first = node.first_child()?;
    let text = match first.next_sibling() {
        None => first.text()?,
        Some(next) => next.first_child()?.text()?,
    };
    Some(
        match (node.attribute("mountpoint"), node.attribute("domain")) {
            (Some(mountpoint), _) => format!("{mountpoint}={text}"),
            (None, Some(domain)) => format!("{domain}|={text}"),
            (None, None) => text.to_owned(),
        },
    )
}
