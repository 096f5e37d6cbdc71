//! From a command line to one app's `Settings`: `imperator resolve` calls it with the world it may
//! read. Pure: files, environment and facts come through that world.

use crate::message::Config;

/// The option that names a config file whole: unlike `--ini FILE:SECTION`, nothing in it is cut at a
/// colon.
pub const INI_FILE: &str = "ini-file";
/// The option, before [`INI_FILE`], that names the section, colons and all (`uwsgi:blog`).
pub const INI_SECTION: &str = "ini-section";

/// The arguments of `imperator resolve` for one config. The original cuts `--ini a.ini:b` at the last
/// colon, so `[uwsgi:blog]` could not be asked for, nor a file with a colon in its name; hence two
/// options of our own, each with its value behind `=`.
pub fn resolve_args(config: &Config) -> Vec<String> {
    let mut args = Vec::new();
    if let Some(section) = &config.section {
        args.push(format!("--{INI_SECTION}={section}"));
    }
    args.push(format!("--{INI_FILE}={}", config.file.display()));
    args
}
