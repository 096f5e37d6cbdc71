//! `static-map` and its family: GET and HEAD of a file, answered before the app. What is no regular
//! file, or lies outside once links are followed, is the app's to answer.

pub(crate) mod date;
mod find;
mod mime;
mod range;
mod send;

use std::path::PathBuf;
use std::sync::OnceLock;

use imperator_core::pattern::Matcher;
use imperator_core::settings::Settings;
use imperator_core::settings::static_files::{From, Of, StaticFiles};

use crate::exchange::Exchange;
use crate::request::{Known, Request};
use find::{Found, Rules};
use mime::Types;

/// What is served, made ready once.
#[derive(Debug)]
pub(crate) struct Files {
    settings: StaticFiles,
    expires: Vec<Expires>,
    compressed: Vec<Matcher>,
    types: OnceLock<Types>,
}

/// One `static-expires…` line.
#[derive(Debug)]
struct Expires {
    of: Look,
    from: From,
    seconds: u64,
}

#[derive(Debug)]
enum Look {
    File(Matcher),
    PathInfo(Matcher),
    Uri(Matcher),
    Type(String),
}

/// A file that answers a request.
#[derive(Debug)]
pub(crate) struct Served(Found);

impl Files {
    pub(crate) fn new(settings: &Settings) -> Self {
        let settings = settings.static_files.clone();
        let expires = settings.expires.iter().filter_map(|line| {
            Some(Expires {
                of: match &line.of {
                    Of::File(pattern) => Look::File(pattern.compile()?),
                    Of::PathInfo(pattern) => Look::PathInfo(pattern.compile()?),
                    Of::Uri(pattern) => Look::Uri(pattern.compile()?),
                    Of::Type(mime) => Look::Type(mime.clone()),
                },
                from: line.from,
                seconds: line.seconds,
            })
        });
        let patterns = settings.compressed.patterns.iter();
        Self {
            expires: expires.collect(),
            compressed: patterns.filter_map(|it| it.compile()).collect(),
            types: OnceLock::new(),
            settings,
        }
    }

    pub(crate) fn is_used(&self) -> bool {
        self.settings.is_used()
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            index: &self.settings.index,
            safe: &self.settings.safe,
        }
    }

    fn types(&self) -> &Types {
        self.types
            .get_or_init(|| Types::read(&self.settings.mime_files))
    }

    /// The type of a file with this name.
    pub(crate) fn type_of(&self, path: &[u8]) -> Option<&str> {
        let path = PathBuf::from(find::os(path.to_vec()));
        self.types().of(&path)
    }

    /// The file that a request asks for, if it asks for one.
    pub(crate) fn find(&self, request: &Request) -> Option<Served> {
        let path = request.known(Known::PathInfo);
        if !is_read(request) || self.is_skipped(path) {
            return None;
        }
        let check = self.settings.check.iter().map(|root| (root, path));
        let maps = self.settings.maps.iter().filter_map(|(prefix, root)| {
            let rest = path.strip_prefix(prefix.as_bytes())?;
            Some((root, rest))
        });
        let whole = self.settings.whole_maps.iter();
        let whole = whole
            .filter(|(prefix, _)| path.starts_with(prefix.as_bytes()))
            .map(|(_, root)| (root, path));
        check
            .chain(maps)
            .chain(whole)
            .filter_map(|(root, rest)| self.rules().find(root, rest).ok().flatten())
            .find(|found| !self.is_skipped(found.path.as_os_str().as_encoded_bytes()))
            .map(Served)
    }

    /// The file of a route.
    pub(crate) fn exactly(&self, request: &Request, path: &[u8]) -> Option<Served> {
        if !is_read(request) || self.is_skipped(path) {
            return None;
        }
        self.rules().exactly(path).ok().flatten().map(Served)
    }

    fn is_skipped(&self, path: &[u8]) -> bool {
        let ends = &self.settings.skip;
        ends.iter().any(|end| path.ends_with(end.as_bytes()))
    }

    /// Answers with the file; `false`: the answer could not be begun.
    pub(crate) fn send(&self, exchange: &Exchange, served: Served) -> bool {
        send::send(self, exchange, served.0).is_some()
    }
}

fn is_read(request: &Request) -> bool {
    request.head_only || request.known(Known::Method) == b"GET"
}
