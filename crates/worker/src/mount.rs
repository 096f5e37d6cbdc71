//! Which mounted app a request belongs to. Pure.

use imperator_core::settings::Settings;

/// Which app a request goes to, and what its SCRIPT_NAME and PATH_INFO become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// Index into `mounts`; `None`: no app answers this path (404).
    pub mount: Option<usize>,
    pub script_name: &'a [u8],
    pub path_info: &'a [u8],
}

/// What the config says of the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// `manage-script-name`: PATH_INFO chooses the app.
    pub manage: bool,
    /// `no-default-app`
    pub no_default: bool,
    /// `ignore-script-name`
    pub ignore_script_name: bool,
    /// No app is configured for the root, so the first one is the default app. Where one is, and
    /// could not be loaded, no other app gets its requests.
    pub first_is_default: bool,
}

impl Rules {
    pub fn of(settings: &Settings) -> Self {
        Self {
            manage: settings.manage_script_name,
            no_default: settings.mounting.no_default,
            ignore_script_name: settings.mounting.ignore_script_name,
            first_is_default: !settings
                .mounts
                .iter()
                .any(|mount| matches!(mount.prefix.as_str(), "" | "/")),
        }
    }
}

/// Finds the app as uWSGI does (core/utils.c, uwsgi_get_app_id). `mounts`: prefixes in config order,
/// "" for the plain app. `script_name`: what the front end sent, if anything.
pub fn route<'a>(
    mounts: &'a [impl AsRef<str>],
    rules: Rules,
    script_name: &'a [u8],
    path_info: &'a [u8],
) -> Route<'a> {
    if rules.manage && path_info.len() > 1 {
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
    let key: &[u8] = match rules.ignore_script_name {
        true => b"",
        false => script_name,
    };
    let exact = mounts
        .iter()
        .position(|prefix| prefix.as_ref().as_bytes() == key);
    // The original's default app is the first one, when none is mounted at the root.
    let default = || {
        let root = mounts
            .iter()
            .position(|prefix| matches!(prefix.as_ref(), "" | "/"));
        root.or((rules.first_is_default && !mounts.is_empty()).then_some(0))
    };
    Route {
        mount: match rules.no_default {
            true => exact,
            false => exact.or_else(default),
        },
        script_name,
        path_info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: [&str; 4] = ["", "/a", "/a/b/", "/c"];

    fn routed(manage: bool, script_name: &str, path_info: &str) -> (Option<usize>, String, String) {
        let (script_name, path_info) = (script_name.as_bytes(), path_info.as_bytes());
        let route = {
            let rules = Rules {
                manage,
                ..Rules::default()
            };
            route(&MOUNTS, rules, script_name, path_info)
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (route.mount, text(route.script_name), text(route.path_info))
    }

    #[test]
    fn manage_script_name_takes_the_longest_prefix_of_whole_components() {
        for (path, mount, script_name, rest) in [
            ("/a", 1, "/a", ""),
            ("/a/", 1, "/a", "/"),
            ("/a/x", 1, "/a", "/x"),
            ("/a/b", 2, "/a/b", ""),
            ("/a/b/c", 2, "/a/b", "/c"),
            ("/a/bc", 1, "/a", "/bc"),
            ("/ax", 0, "", "/ax"),
            ("/", 0, "", "/"),
            ("", 0, "", ""),
            ("/c/a", 3, "/c", "/a"),
        ] {
            let expected = (Some(mount), script_name.to_owned(), rest.to_owned());
            assert_eq!(routed(true, "", path), expected, "{path}");
        }
    }

    #[test]
    fn without_it_the_front_ends_script_name_decides() {
        let as_sent = |mount, script_name: &str, path: &str| {
            (Some(mount), script_name.to_owned(), path.to_owned())
        };
        assert_eq!(routed(false, "", "/a/x"), as_sent(0, "", "/a/x"));
        assert_eq!(routed(false, "/a", "/x"), as_sent(1, "/a", "/x"));
        assert_eq!(routed(false, "/z", "/x"), as_sent(0, "/z", "/x"));
    }

    #[test]
    fn a_path_that_no_mount_answers_is_the_first_apps() {
        let mounts = ["/a", "/b"];
        let managed = Rules {
            manage: true,
            first_is_default: true,
            ..Rules::default()
        };
        assert_eq!(route(&mounts, managed, b"", b"/c").mount, Some(0));
        let no_default = Rules {
            no_default: true,
            ..managed
        };
        assert_eq!(route(&mounts, no_default, b"", b"/c").mount, None);
        assert_eq!(route(&mounts[..0], managed, b"", b"/c").mount, None);
        assert_eq!(route(&["/"], managed, b"", b"/b").mount, Some(0));
    }

    #[test]
    fn the_default_app_and_script_name_can_be_left_out() {
        let no_default = Rules {
            no_default: true,
            ..Rules::default()
        };
        assert_eq!(route(&MOUNTS, no_default, b"/z", b"/x").mount, None);
        assert_eq!(route(&MOUNTS, no_default, b"", b"/x").mount, Some(0));
        assert_eq!(route(&MOUNTS, no_default, b"/a", b"/x").mount, Some(1));
        let ignored = Rules {
            ignore_script_name: true,
            ..Rules::default()
        };
        let found = route(&MOUNTS, ignored, b"/a", b"/x");
        assert_eq!((found.mount, found.script_name), (Some(0), &b"/a"[..]));
    }
}
