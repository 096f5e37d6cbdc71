//! Families of the config language and of the command line.

use super::{Family, harmless, later, left_out};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "More of the config language",
        support: later("write the lines out in the ini file"),
        rows: "
blacklist | text! | options that the following lines may not set
declare-option | pair! | define an option by others, with $1, $2 …
declare-option2 | pair | the same, not acted on at once
early-envdir | path! | set the environment from a directory, at once
end-blacklist | none! | allow those options again
end-whitelist | none! | allow all options again
envdir | path | set the environment from a directory of files
exit | text! | end with this exit code
fallback-config | path! | start with this config when the first one fails
for-glob | text! | loop over the files of a pattern
for-readline | path! | loop over the lines of a file
if-hostname-match | text! | if the machine's name matches a pattern
if-not-hostname-match | text! | if it does not
inject-after | path! | put a file's text behind the config
inject-before | path! | put a file's text before the config
iprint | text! | print a value at once
json js -j | path! | read a config in JSON
print | text | print a value
resolve | pair! | look an address up, PLACEHOLDER=NAME
unenv | text | take a variable out of the environment
whitelist | text! | options that the following lines may set
yaml yml -y | path! | read a config in YAML
",
    },
    Family {
        title: "XML",
        support: left_out(
            "XML is not read",
            "write the config as ini, one line for each element",
        ),
        rows: "
xml xmlconfig -x | path! | read a config in XML
",
    },
    Family {
        title: "Looks at the config",
        support: later("use imperator check and imperator explain"),
        rows: "
dump-options | flag | print all options
get | text | print the value of an option, and exit
no-server | flag | end when all is set up
show-config | flag | print the options as they were read
",
    },
    Family {
        title: "Locks of the start",
        support: harmless("an app's sockets and pid file already tell a second start who runs"),
        rows: "
flock | path! | end when this file is locked
flock-wait | path! | wait until this file is not locked
flock-wait2 | path! | the same, later in the start
flock2 | path! | end when this file is locked, later in the start
",
    },
    Family {
        title: "Values for the app",
        support: later("use env, and os.environ in the app"),
        rows: "
mode | text | text that the app finds as uwsgi.mode
",
    },
];
