//! Routes: rules that a request passes before the app has it (uWSGI: core/routing.c). Texts with
//! `$1` and `${VAR}` in them are templates; the worker fills them in.

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;

/// One `route…` line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub when: When,
    pub then: Action,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Never: the place that a `goto` jumps to.
    Label(String),
    Always,
    Matches(Subject, Pattern),
    If(Condition),
    IfNot(Condition),
}

/// The variable that a pattern looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    PathInfo,
    Host,
    Uri,
    Query,
    RemoteAddr,
    RemoteUser,
    Referer,
    UserAgent,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Exists(String),
    IsFile(String),
    IsDir(String),
    IsLink(String),
    IsExecutable(String),
    Empty(String),
    Equal(String, String),
    StartsWith(String, String),
    EndsWith(String, String),
    Contains(String, String),
    Matches(String, Pattern),
    Higher(String, String),
    HigherOrEqual(String, String),
    Lower(String, String),
    LowerOrEqual(String, String),
    /// An address, and a network with its prefix; of either family.
    InNetwork(String, String),
    /// What lacks its second half is never true.
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The rules behind it are not looked at.
    Continue,
    /// The request ends here, with this status and without a body.
    Break(String),
    /// The request ends here, with this status and its name as body.
    Return(String),
    Goto(String),
    Log(String),
    DoNotLog,
    /// A variable of the request's line in the log.
    LogVar(String, String),
    AddHeader(String),
    RemoveHeader(String),
    /// A new answer with this status begins.
    Status(String),
    /// This is the answer's body, or more of it.
    Send(String),
    /// A variable of the request.
    Set(String, String),
    /// REMOTE_USER, up to a colon.
    SetUser(String),
    /// PATH_INFO without SCRIPT_NAME.
    FixPathInfo,
    Redirect {
        permanent: bool,
        to: String,
    },
    /// PATH_INFO and QUERY_STRING; `last`: the rules behind it are not looked at.
    Rewrite {
        to: String,
        last: bool,
    },
    /// A file is the answer; `next`: if it is not there, the rules go on.
    Static {
        file: String,
        next: bool,
    },
    /// What has no effect here and needs none.
    Nothing,
}
