//! The three substitutions that run over the values of all options after everything is read
//! (core/utils.c, uwsgi_apply_config_pass): `$(NAME)`, `@(file)`, `%(option maths)`.

use std::collections::BTreeSet;

/// What stands for one `x( )`.
pub(super) enum Found {
    Value(Vec<u8>),
    /// It stays as it is written.
    Nothing,
}

/// Why a value could not be expanded: it refers to itself, or grows beyond any use.
#[derive(Debug)]
pub(super) struct Endless;

/// So often one value may be expanded: a value that holds itself would go on for ever.
const MAX_STEPS: usize = 1000;
/// And it may not grow beyond any use.
const MAX_VALUE: usize = 1 << 20;

/// What all expansions of one config may cost, in bytes moved.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(256 << 20)
    }
}

/// Replaces each `symbol( )` of a value, innermost first, and again what came out of it; but after
/// the first replacement the original never looks at the value's first byte again, so that a
/// placeholder which then stands at the front stays as it is.
pub(super) fn expand(
    symbol: u8,
    value: &[u8],
    budget: &mut Budget,
    mut hook: impl FnMut(&[u8]) -> Found,
) -> Result<Vec<u8>, Endless> {
    let mut value = value.to_vec();
    let mut from = 0;
    for _ in 0..MAX_STEPS {
        let Some(hit) = first(symbol, &value, from, &mut hook) else {
            return Ok(value);
        };
        value.splice(hit.start..hit.end, hit.found);
        budget.0 = budget.0.saturating_sub(value.len());
        if value.len() > MAX_VALUE || budget.0 == 0 {
            return Err(Endless);
        }
        from = hit.again.max(1);
    }
    Err(Endless)
}

/// A `symbol(name)` that the hook has something for.
struct Hit {
    start: usize,
    end: usize,
    found: Vec<u8>,
    /// Where a name that this one stands in begins: from there everything is looked at again.
    again: usize,
}

/// Brackets inside a name belong to it. A second symbol in it starts anew, an empty name is skipped.
fn first(
    symbol: u8,
    value: &[u8],
    from: usize,
    hook: &mut impl FnMut(&[u8]) -> Found,
) -> Option<Hit> {
    enum Seen {
        Nothing,
        Symbol,
        /// Where the name begins, and how many brackets are open in it.
        Name(usize, usize),
    }
    let mut seen = Seen::Nothing;
    // Where the name began that the last symbol broke off.
    let mut around = None;
    for (at, &byte) in value.iter().enumerate().skip(from) {
        seen = match seen {
            Seen::Name(start, _) if byte == symbol => {
                around = Some(start - 2);
                Seen::Symbol
            }
            Seen::Nothing | Seen::Symbol if byte == symbol => Seen::Symbol,
            Seen::Symbol if byte == b'(' => Seen::Name(at + 1, 0),
            Seen::Nothing | Seen::Symbol => {
                around = None;
                Seen::Nothing
            }
            Seen::Name(start, depth) if byte == b'(' => Seen::Name(start, depth + 1),
            Seen::Name(start, depth) if byte == b')' && depth > 0 => Seen::Name(start, depth - 1),
            Seen::Name(start, _) if byte == b')' => {
                if at > start
                    && let Found::Value(found) = hook(&value[start..at])
                {
                    return Some(Hit {
                        start: start - 2,
                        end: at + 1,
                        found,
                        again: around.unwrap_or(start - 2),
                    });
                }
                around = None;
                Seen::Nothing
            }
            Seen::Name(start, depth) => Seen::Name(start, depth),
        };
    }
    None
}

/// `%(name)` and `%(a b + 2)`: tokens between blanks, left to right, text joined unless an operator
/// stands between (core/config.c, uwsgi_manage_placeholder). `lookup` gives an option's first
/// value; the names that were looked for are added to `used`.
pub(super) fn placeholder(
    text: &[u8],
    lookup: impl Fn(&[u8]) -> Option<Vec<u8>>,
    used: &mut BTreeSet<Vec<u8>>,
) -> Found {
    let tokens: Vec<&[u8]> = text
        .split(|&byte| byte == b' ')
        .filter(|token| !token.is_empty())
        .collect();
    if let [name] = tokens.as_slice() {
        used.insert(name.to_vec());
        return lookup(name).map_or(Found::Nothing, Found::Value);
    }
    let mut result = Vec::new();
    let mut operator: Option<u8> = None;
    for token in tokens {
        match token {
            [op @ (b'+' | b'-' | b'*' | b'/')] => operator = Some(*op),
            b"++" => result = number(&result).saturating_add(1).to_string().into_bytes(),
            b"--" => result = number(&result).saturating_sub(1).to_string().into_bytes(),
            token => {
                let value = if token.iter().all(u8::is_ascii_digit) {
                    token.to_vec()
                } else {
                    used.insert(token.to_vec());
                    lookup(token).unwrap_or_default()
                };
                match operator.take() {
                    None => result.extend_from_slice(&value),
                    Some(operator) => {
                        result = calculate(operator, number(&result), number(&value))
                            .to_string()
                            .into_bytes();
                    }
                }
            }
        }
    }
    Found::Value(result)
}

/// Division by zero is 0, as in the original.
fn calculate(operator: u8, left: i64, right: i64) -> i64 {
    match operator {
        b'+' => left.saturating_add(right),
        b'-' => left.saturating_sub(right),
        b'*' => left.saturating_mul(right),
        _ => left.checked_div(right).unwrap_or(0),
    }
}

/// C's `strtol`.
pub(super) fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let value =
        digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0_i64, |value, byte| {
                value
                    .saturating_mul(10)
                    .saturating_add(i64::from(byte - b'0'))
            });
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &[u8]) -> Option<Vec<u8>> {
        let value: &[u8] = match name {
            b"a" => b"x",
            b"g" => b"2",
            b"chain" => b"%(g)",
            b"self" => b"<%(self)>",
            _ => return None,
        };
        Some(value.to_vec())
    }

    fn percent(text: &str) -> String {
        let mut used = BTreeSet::new();
        match expand(b'%', text.as_bytes(), &mut Budget::default(), |name| {
            placeholder(name, lookup, &mut used)
        }) {
            Ok(value) => String::from_utf8_lossy(&value).into_owned(),
            Err(Endless) => "endless".to_owned(),
        }
    }

    /// All but the chain were printed by the original.
    #[test]
    fn placeholders_are_looked_up_joined_and_calculated() {
        for (text, expected) in [
            ("%(a)z%(g)", "xz2"),
            ("%(undefined)", "%(undefined)"),
            ("%(undefined + 1)", "1"),
            ("%(undefined a)", "x"),
            ("%(g + 3)", "5"),
            ("%(g + 3 * 2)", "10"),
            ("%(g++)", "%(g++)"),
            ("%(g ++)", "3"),
            ("%(g --)", "1"),
            ("%(g / 0)", "0"),
            ("%(g - 5)", "-3"),
            ("%(g 3)", "23"),
            ("%(a  g)", "x2"),
            ("%( g )", "2"),
            ("%(1 + 2)", "3"),
            ("%(1)", "%(1)"),
            ("%(g + 3abc)", "2"),
            ("%(g . 3)", "23"),
            ("%(+ 3)", "3"),
            ("%(g +)", "2"),
            ("%()", "%()"),
            ("%(g", "%(g"),
            ("x%(chain)", "x2"),
            ("%(chain)", "%(g)"),
            ("%(a)%(chain)", "x2"),
            ("x%(n(b))", "x%(n(b))"),
            ("x%%(g)", "x%2"),
        ] {
            assert_eq!(percent(text), expected, "{text}");
        }
    }

    #[test]
    fn a_value_that_holds_itself_ends() {
        assert_eq!(percent("%(self)"), "endless");
    }

    #[test]
    fn a_symbol_inside_brackets_starts_anew() {
        let home = |name: &[u8]| match name {
            b"HOME" => Found::Value(b"/root".to_vec()),
            _ => Found::Nothing,
        };
        let value = b"$(A$(HOME)) $(NO) $(HOME";
        let value = expand(b'$', value, &mut Budget::default(), home).unwrap_or_default();
        assert_eq!(value, b"$(A/root) $(NO) $(HOME");
    }
}
