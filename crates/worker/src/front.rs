//! What answers before the app, or changes what it gets: static files, then routes. An app whose
//! config has neither pays one look for them.

use imperator_core::settings::Settings;

use crate::context::WorkerContext;
use crate::exchange::Exchange;
use crate::mount::{self, Rules};
use crate::request::Known;
use crate::routes::{Routes, Verdict};
use crate::static_files::Files;

#[derive(Debug)]
pub(crate) struct Front {
    files: Files,
    routes: Routes,
    /// Prefixes of the apps, with `manage-script-name`: files and routes see the PATH_INFO that the
    /// app will see.
    mounts: Option<Vec<String>>,
}

/// Who has a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It is the app's.
    No,
    ByFile,
    ByRoute,
}

impl Front {
    /// `None` when there is nothing to do.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        let files = Files::new(settings);
        let routes = Routes::new(&settings.routes);
        let is_used = files.is_used() || !routes.is_empty();
        is_used.then(|| Self {
            files,
            routes,
            mounts: settings.manage_script_name.then(|| {
                let mounts = settings.mounts.iter();
                mounts.map(|mount| mount.prefix.clone()).collect()
            }),
        })
    }

    pub(crate) fn answer(&self, worker: &WorkerContext, exchange: &mut Exchange) -> Answered {
        self.mount(exchange);
        // As the original: the file is looked for first, and the routes are gone through before it
        // is sent.
        let file = self.files.find(&exchange.request);
        if self.routes.run(worker, &self.files, exchange) == Verdict::Answered {
            return Answered::ByRoute;
        }
        match file.is_some_and(|file| self.files.send(exchange, file)) {
            true => Answered::ByFile,
            false => Answered::No,
        }
    }

    fn mount(&self, exchange: &mut Exchange) {
        let Some(mounts) = &self.mounts else { return };
        let request = &exchange.request;
        let rules = Rules {
            manage: true,
            ..Rules::default()
        };
        let script_name = request.known(Known::ScriptName);
        let found = mount::route(mounts, rules, script_name, request.known(Known::PathInfo));
        let script_name = found.script_name.to_vec();
        let path_info = found.path_info.to_vec();
        exchange.request.set(b"SCRIPT_NAME", &script_name);
        exchange.request.set(b"PATH_INFO", &path_info);
        exchange.is_mounted = true;
    }
}
