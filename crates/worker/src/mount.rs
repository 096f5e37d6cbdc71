//! Which mounted app a request belongs to. Pure.

/// Which app a request goes to, and what its SCRIPT_NAME and PATH_INFO become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// Index into `mounts`; `None`: no app answers this path (404).
    pub mount: Option<usize>,
    pub script_name: &'a [u8],
    pub path_info: &'a [u8],
}

/// Finds the app as uWSGI does (uwsgi.md §1.5). `mounts`: prefixes in config order, "" for the
/// plain app. `manage`: manage-script-name. `script_name`: what the front end sent, if anything.
pub fn route<'a>(
    mounts: &'a [impl AsRef<str>],
    manage: bool,
    script_name: &'a [u8],
    path_info: &'a [u8],
) -> Route<'a> {
    if manage && path_info.len() > 1 {
        let longest = mounts
            .iter()
            .enumerate()
            .map(|(index, prefix)| (index, prefix.as_ref().trim_end_matches('/').as_bytes()))
            .filter(|(_, prefix)| {
                !prefix.is_empty()
                    && path_info
                        .strip_prefix(*prefix)
                        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            })
            .max_by_key(|(_, prefix)| prefix.len());
        if let Some((index, prefix)) = longest {
            return Route {
                mount: Some(index),
                script_name: prefix,
                path_info: &path_info[prefix.len()..],
            };
        }
    }
    let exact = mounts
        .iter()
        .position(|prefix| prefix.as_ref().as_bytes() == script_name);
    let default = || mounts.iter().position(|prefix| prefix.as_ref().is_empty());
    Route {
        mount: exact.or_else(default),
        script_name,
        path_info,
    }
}
