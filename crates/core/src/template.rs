//! Texts of routes that are filled in for each request: `$1` is a group of the pattern that
//! matched, `${VAR}` a variable, `${function[argument]}` something computed.

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// `$0` to `$9`
    Group(usize),
    Variable(String),
    Call {
        function: String,
        argument: String,
    },
}

/// Takes a text apart. What is no part, an open `${` for one, stands for itself.
pub fn parse(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let digit = after.chars().next().and_then(|c| c.to_digit(10));
        let part = if let Some(digit) = digit {
            rest = &after[1..];
            // One decimal digit.
            Part::Group(digit as usize)
        } else if let Some((name, behind)) = braced(after) {
            rest = behind;
            variable(name)
        } else {
            plain.push('$');
            rest = after;
            continue;
        };
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(part);
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    parts
}

/// `{name}behind`
fn braced(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('{')?.split_once('}')
}

fn variable(name: &str) -> Part {
    let call = name
        .strip_suffix(']')
        .and_then(|inside| inside.split_once('['));
    match call {
        Some((function, argument)) => Part::Call {
            function: function.to_owned(),
            argument: argument.to_owned(),
        },
        None => Part::Variable(name.to_owned()),
    }
}

/// Functions that `${function[argument]}` may name.
pub const FUNCTIONS: &[&str] = &[
    "base64", "cookie", "hex", "httptime", "mime", "qs", "time", "uwsgi",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_taken_apart() {
        let text = |text: &str| Part::Text(text.to_owned());
        let variable = |name: &str| Part::Variable(name.to_owned());
        assert_eq!(
            parse("https://${HTTP_HOST}${REQUEST_URI}"),
            [
                text("https://"),
                variable("HTTP_HOST"),
                variable("REQUEST_URI")
            ]
        );
        assert_eq!(
            parse("/a$1b$$2 $x ${open"),
            [
                text("/a"),
                Part::Group(1),
                text("b$"),
                Part::Group(2),
                text(" $x ${open")
            ]
        );
        assert_eq!(
            parse("${cookie[id]}"),
            [Part::Call {
                function: "cookie".to_owned(),
                argument: "id".to_owned()
            }]
        );
        assert_eq!(parse(""), []);
        assert_eq!(parse("$"), [text("$")]);
    }
}
