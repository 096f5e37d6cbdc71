//! Rows: routes.

use super::Support::{Differs, Full, Later};
use super::static_files::pattern;
use super::{Draft, Given, Invalid, Opt, Value, opt};
use crate::finding::Finding;
use crate::settings::routes::{Action, Condition, Route, Subject, When};
use crate::template::{self, Part};

mod action;
mod condition;

use self::action::action;
use self::condition::condition;

pub(super) static OPTIONS: &[Opt] = &[
    later("error-route"),
    later("error-route-host"),
    later("error-route-if"),
    later("error-route-if-not"),
    later("error-route-label"),
    later("error-route-qs"),
    later("error-route-referer"),
    later("error-route-remote-addr"),
    later("error-route-remote-user"),
    later("error-route-run"),
    later("error-route-status"),
    later("error-route-uri"),
    later("error-route-user-agent"),
    later("final-route"),
    later("final-route-host"),
    later("final-route-if"),
    later("final-route-if-not"),
    later("final-route-label"),
    later("final-route-qs"),
    later("final-route-referer"),
    later("final-route-remote-addr"),
    later("final-route-remote-user"),
    later("final-route-run"),
    later("final-route-status"),
    later("final-route-uri"),
    later("final-route-user-agent"),
    later("response-route"),
    later("response-route-host"),
    later("response-route-if"),
    later("response-route-if-not"),
    later("response-route-label"),
    later("response-route-qs"),
    later("response-route-referer"),
    later("response-route-remote-addr"),
    later("response-route-remote-user"),
    later("response-route-run"),
    later("response-route-status"),
    later("response-route-uri"),
    later("response-route-user-agent"),
    route(
        "route",
        "do something where PATH_INFO matches, PATTERN action:…",
        |draft, given| matching(draft, given, Subject::PathInfo),
    ),
    route("route-host", "the same with HTTP_HOST", |draft, given| {
        matching(draft, given, Subject::Host)
    }),
    route(
        "route-if",
        "do something if a condition holds, CONDITION:… action:…",
        |draft, given| conditional(draft, given, When::If),
    ),
    route(
        "route-if-not",
        "the same unless a condition holds",
        |draft, given| conditional(draft, given, When::IfNot),
    ),
    opt(
        "route-label",
        Value::Text,
        Full,
        "the place that route actions goto:LABEL go to",
        |draft, given| {
            let when = When::Label(Draft::some_text(given)?);
            let then = Action::Nothing;
            draft.settings.routes.push(Route { when, then });
            Ok(())
        },
    ),
    route(
        "route-qs",
        "do something with requests whose QUERY_STRING matches",
        |draft, given| matching(draft, given, Subject::Query),
    ),
    route(
        "route-referer",
        "do something with requests whose HTTP_REFERER matches",
        |draft, given| matching(draft, given, Subject::Referer),
    ),
    route(
        "route-remote-addr",
        "do something with requests whose REMOTE_ADDR matches",
        |draft, given| matching(draft, given, Subject::RemoteAddr),
    ),
    route(
        "route-remote-user",
        "do something with requests whose REMOTE_USER matches",
        |draft, given| matching(draft, given, Subject::RemoteUser),
    ),
    route(
        "route-run",
        "do something with every request, action:…",
        |draft, given| {
            let then = action(draft, given, given.text)?;
            let when = When::Always;
            draft.settings.routes.push(Route { when, then });
            Ok(())
        },
    ),
    route(
        "route-uri",
        "do something with requests whose REQUEST_URI matches",
        |draft, given| matching(draft, given, Subject::Uri),
    ),
    route(
        "route-user-agent",
        "do something with requests whose HTTP_USER_AGENT matches",
        |draft, given| matching(draft, given, Subject::UserAgent),
    ),
];

const fn route(
    name: &'static str,
    help: &'static str,
    apply: fn(&mut Draft, &Given<'_>) -> Result<(), Invalid>,
) -> Opt {
    opt(
        name,
        Value::Text,
        Differs("without the actions that proxy, cache, or ask for a password"),
        help,
        apply,
    )
}

const fn later(name: &'static str) -> Opt {
    opt(
        name,
        Value::Text,
        Later("write route where the answer is not needed for it, or let nginx do it"),
        "do something with answers",
        super::nothing,
    )
}

/// `PATTERN action:argument`
fn matching(draft: &mut Draft, given: &Given<'_>, subject: Subject) -> Result<(), Invalid> {
    let (text, rest) = halves(given)?;
    let when = When::Matches(subject, pattern(text)?);
    let then = action(draft, given, rest)?;
    draft.settings.routes.push(Route { when, then });
    Ok(())
}

/// `condition:argument action:argument`
fn conditional(
    draft: &mut Draft,
    given: &Given<'_>,
    when: fn(Condition) -> When,
) -> Result<(), Invalid> {
    let (text, rest) = halves(given)?;
    let Some((name, argument)) = text.split_once(':') else {
        return Err(Invalid::with_hint(
            format!("\"{text}\" is no condition"),
            "write condition:argument, as empty:${HTTP_HOST}",
        ));
    };
    let when = when(condition(draft, name, argument)?);
    let then = action(draft, given, rest)?;
    draft.settings.routes.push(Route { when, then });
    Ok(())
}

fn halves<'a>(given: &Given<'a>) -> Result<(&'a str, &'a str), Invalid> {
    given.text.split_once(' ').ok_or_else(|| {
        Invalid::with_hint(
            format!("\"{}\" names no action", given.text),
            "write the action behind a space, as ^/health donotlog:",
        )
    })
}

fn unknown(kind: &str, name: &str, known: &[&str]) -> Invalid {
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    let hint = match nearest {
        Some((_, known)) => format!("did you mean \"{known}\"?"),
        None => format!("known are {}", known.join(", ")),
    };
    Invalid::with_hint(format!("there is no {kind} \"{name}\""), hint)
}

/// What only all routes together can tell: whether each `goto` finds its label behind it.
pub(super) fn check(routes: &[Route], findings: &mut Vec<Finding>) {
    for (index, route) in routes.iter().enumerate() {
        let Action::Goto(label) = &route.then else {
            continue;
        };
        let is_fixed = matches!(&template::parse(label)[..], [Part::Text(_)]);
        let is_behind = routes[index..]
            .iter()
            .any(|route| matches!(&route.when, When::Label(name) if name == label));
        if is_fixed && !is_behind {
            let text = format!("no route-label \"{label}\" stands behind the goto that names it");
            let hint = format!("write route-label = {label} behind it: routes only go forward");
            findings.push(Finding::error(None, text).with_hint(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Place;

    fn given<T>(name: &str, text: &str, with: impl Fn(&mut Draft, &Given<'_>) -> T) -> (Draft, T) {
        let place = Place {
            file: "app.ini".into(),
            line: 1,
        };
        let mut draft = Draft::default();
        let place = &place;
        let result = with(&mut draft, &Given { name, text, place });
        (draft, result)
    }

    fn applied(name: &str, text: &str) -> Result<Route, Invalid> {
        let row = super::super::find(name).unwrap();
        let (mut draft, result) = given(name, text, row.apply);
        result.map(|()| draft.settings.routes.remove(0))
    }

    #[test]
    fn routes_seen_in_the_wild_are_read() {
        let route = applied("route", "^/health/ donotlog:").unwrap();
        let health = Pattern::new("^/health/").unwrap();
        assert_eq!(route.when, When::Matches(Subject::PathInfo, health));
        assert_eq!(route.then, Action::DoNotLog);
        let route = applied(
            "route-if",
            "equal:${HTTP_X_FORWARDED_PROTO};http redirect-permanent:https://${HTTP_HOST}${REQUEST_URI}",
        )
        .unwrap();
        let proto = "${HTTP_X_FORWARDED_PROTO}".to_owned();
        assert_eq!(
            route.when,
            When::If(Condition::Equal(proto, "http".to_owned()))
        );
        let to = "https://${HTTP_HOST}${REQUEST_URI}".to_owned();
        let permanent = true;
        assert_eq!(route.then, Action::Redirect { permanent, to });
        let route = applied("route-run", "addheader:X-A: b c").unwrap();
        assert_eq!(route.when, When::Always);
        assert_eq!(route.then, Action::AddHeader("X-A: b c".to_owned()));
    }

    #[test]
    fn what_would_let_somebody_in_is_an_error_and_other_actions_that_we_lack_warn() {
        for text in [
            "^/admin basicauth:Realm,u:p",
            "^/x nonsense:",
            "^/x donotlog",
            "^/x",
            "( continue:",
            "^/x break:now",
        ] {
            assert!(applied("route", text).is_err(), "{text}");
        }
        assert!(applied("route-if", "equals:a;b continue:").is_err());
        assert!(applied("route-if", "empty continue:").is_err());
        let row = super::super::find("route").unwrap();
        for text in ["^/ signal:17", "^/api http:127.0.0.1:80"] {
            let (mut draft, result) = given("route", text, row.apply);
            assert_eq!(result, Ok(()));
            assert_eq!(draft.take_odd().len(), 1, "{text}");
        }
        let typo = applied("route", "^/x donotlg:").unwrap_err();
        assert_eq!(typo.hint.as_deref(), Some("did you mean \"donotlog\"?"));
    }

    #[test]
    fn a_goto_without_its_label_behind_it_is_an_error() {
        let route = |when, label: &str| Route {
            when,
            then: Action::Goto(label.to_owned()),
        };
        let label = Route {
            when: When::Label("end".to_owned()),
            then: Action::Nothing,
        };
        let mut findings = Vec::new();
        check(&[route(When::Always, "end"), label.clone()], &mut findings);
        check(&[route(When::Always, "${X}")], &mut findings);
        assert_eq!(findings, []);
        check(&[label, route(When::Always, "end")], &mut findings);
        assert_eq!(findings.len(), 1);
    }

    use crate::pattern::Pattern;
}
