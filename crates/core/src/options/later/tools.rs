//! Families of what is no option of an app: orders to the `uwsgi` program, C symbols, plugins.

use super::{Family, harmless, left_out};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "Lists of what is built in",
        support: harmless("it only prints a list; there are no plugins to list"),
        rows: "
alarm-list alarms-list | flag | print the kinds of alarms
cheaper-algo-list cheaper-algos-list cheaper-list | flag | print the ways of cheaper
clock-list clocks-list | flag | print the clocks
imperial-monitor-list imperial-monitors-list | flag | print what an emperor can watch
loop-list loops-list | flag | print the loop engines
plugins-list plugin-list | flag | print the plugins
router-list routers-list | flag | print the actions of routes
",
    },
    Family {
        title: "Parts of the program",
        support: left_out(
            "the program has no such part to show or to change",
            "leave it out; binaries and plugins of uWSGI are not built here",
        ),
        rows: "
binary-append-data | text! | print something to append to the binary
build-plugin | text! | build a plugin for this binary
cflags | none! | print the flags that the program was compiled with
config-py | none! | print the script that built the program
connect-and-read | address! | print what a server sends
dot-h | none! | print the header for plugins
extract | text! | print a file, or what a scheme gives
print-sym print-symbol | text! | print text that was linked into the program
privileged-binary-patch | path | become this program before rights are dropped
privileged-binary-patch-arg | text | become this command before rights are dropped
unprivileged-binary-patch | path | become this program after rights are dropped
unprivileged-binary-patch-arg | text | become this command after rights are dropped
",
    },
    Family {
        title: "Functions in C",
        support: left_out(
            "no functions of shared libraries are loaded or called",
            "write it as a command for exec-* or hook-*, or into the app",
        ),
        rows: "
after-request-hook after-request-call | text | call a C function after each request
call-as-emperor | text | call a C function after a vassal's start
call-as-emperor1 | text | the same, with the vassal's name
call-as-emperor2 | text | the same, with its pid
call-as-emperor4 | text | the same, with its user and group
call-as-vassal | text | call a C function before a vassal's start
call-as-vassal1 | text | the same, with the vassal's name
call-as-vassal3 | text | the same, with its user and group
dlopen | path! | load a shared library
",
    },
    Family {
        title: "Processes that are no app",
        support: left_out(
            "workers run the app, nothing else",
            "run the command as a service of its own, or by attach-daemon",
        ),
        rows: "
worker-exec | text | run a command in place of each worker
worker-exec2 | text | the same, later in its start
",
    },
    Family {
        title: "Loading of plugins",
        support: harmless("there are no plugins to load"),
        rows: "
autoload | flag! | load the plugin that knows an unknown option
",
    },
    Family {
        title: "The program's own path",
        support: harmless("the program knows its own file"),
        rows: "
binary-path | path | path that the program is started by again
",
    },
    Family {
        title: "Inner workings",
        support: harmless("it tunes something that works in another way here"),
        rows: "
backtrace-depth | number=64 | lines of C in a crash report
clock | text=unix | where the time comes from
command-mode | flag! | run a command and exit
pcre-jit | none! | compile patterns to machine code
persistent-ipcsem | flag | keep the locks at the end
skip-zero | flag | leave descriptor 0 alone
",
    },
];
