//! What stands before the action of `route-if` and `route-if-not`.

use super::unknown;
use crate::options::static_files::pattern;
use crate::options::{Draft, Invalid};
use crate::settings::routes::Condition;

pub(super) fn condition(
    draft: &mut Draft,
    name: &str,
    argument: &str,
) -> Result<Condition, Invalid> {
    let one = |condition: fn(String) -> Condition| Ok(condition(argument.to_owned()));
    let mut two = |condition: fn(String, String) -> Condition| {
        Ok(match argument.split_once(';') {
            Some((left, right)) => condition(left.to_owned(), right.to_owned()),
            None => {
                let text = format!("is never true: \"{name}\" compares two texts");
                draft.warn(text, format!("write {name}:{argument};TEXT"));
                Condition::Never
            }
        })
    };
    let condition = match name {
        "exists" => one(Condition::Exists),
        "isfile" => one(Condition::IsFile),
        "isdir" => one(Condition::IsDir),
        "islink" => one(Condition::IsLink),
        "isexec" => one(Condition::IsExecutable),
        "empty" => one(Condition::Empty),
        "equal" | "isequal" | "eq" | "==" => two(Condition::Equal),
        "startswith" => two(Condition::StartsWith),
        "endswith" => two(Condition::EndsWith),
        "contains" | "contain" => two(Condition::Contains),
        "ishigher" | ">" => two(Condition::Higher),
        "ishigherequal" | ">=" => two(Condition::HigherOrEqual),
        "islower" | "<" => two(Condition::Lower),
        "islowerequal" | "<=" => two(Condition::LowerOrEqual),
        "ipv4in" | "ipv6in" => two(Condition::InNetwork),
        "regexp" | "re" => match argument.split_once(';') {
            Some((subject, text)) => Ok(Condition::Matches(subject.to_owned(), pattern(text)?)),
            None => two(Condition::Equal),
        },
        "lord" => Err(Invalid::with_hint(
            "\"lord\" asks a legion, and there is none here",
            "remove the line",
        )),
        _ => Err(unknown("condition", name, CONDITIONS)),
    }?;
    Ok(condition)
}

const CONDITIONS: &[&str] = &[
    "contains",
    "empty",
    "endswith",
    "equal",
    "exists",
    "ipv4in",
    "ipv6in",
    "isdir",
    "isexec",
    "isfile",
    "ishigher",
    "ishigherequal",
    "islink",
    "islower",
    "islowerequal",
    "regexp",
    "startswith",
];
