//! Families of the Emperor.

use super::{Family, harmless, later, left_out};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "Other programs for vassals",
        support: left_out(
            "an app is always run by Imperator",
            "run the program as a service of its own, or by attach-daemon",
        ),
        rows: "
emperor-chdir-attr | text | attribute that holds a vassal's directory
emperor-collect-attribute | text | attribute of vassals to keep
emperor-fork-server-attr | text | attribute that names a vassal's fork server
emperor-proxy-socket | path | act for an Emperor in another namespace
emperor-use-fork-server | path | start vassals by this fork server
emperor-wrapper | path | program that runs vassals
emperor-wrapper-attr | text | attribute that names that program
emperor-wrapper-fallback | path | program to try last
emperor-wrapper-override | path | program to try first
vassal-fork-base | path | be the server that vassals are forked from
",
    },
    Family {
        title: "Configs that commands make",
        support: left_out(
            "a vassal's file is read, never run",
            "let the command write the file, or use @(exec://…) for single values",
        ),
        rows: "
emperor-magic-exec | flag | run vassal files that may be executed, and read what they print
",
    },
    Family {
        title: "Other kinds of vassals",
        support: left_out(
            "vassals are ini, JSON and YAML files",
            "give the file one of these extensions",
        ),
        rows: "
emperor-extra-extension emperor-extra-ext | text | files of this extension are vassals, too
",
    },
    Family {
        title: "Orders to the Emperor",
        support: left_out(
            "the emperor takes orders on its own socket",
            "use imperator status, reload, stop and retry",
        ),
        rows: "
emperor-command-socket | path | take orders on this socket
emperor-trigger-socket | path | wake the Emperor on this socket
emperor-wait-for-command | flag | start vassals only when told
",
    },
    Family {
        title: "Start of the Emperor",
        support: harmless("the emperor is up before its apps, and knows one way to be"),
        rows: "
early-emperor | flag | start the Emperor before anything else
zeus | text | be an Emperor of Emperors
",
    },
    Family {
        title: "Steps of the Emperor",
        support: later("use vassals-start-hook and vassals-stop-hook, or hooks of the vassal"),
        rows: "
exec-as-emperor | text | command after a vassal's start
exec-as-vassal | text | command before a vassal's start
hook-as-emperor | text | action after a vassal's start
hook-as-emperor-before-vassal | text | action before a vassal's process is made
hook-as-emperor-setns | text | action once a vassal's namespaces are there
hook-as-on-config-vassal | text | action before a vassal of a config starts
hook-as-on-demand-vassal | text | action before a vassal on demand starts
hook-as-vassal | text | action before a vassal's start
hook-as-vassal-before-drop | text | action before a vassal's rights are dropped
hook-emperor-start | text | action when the Emperor starts
",
    },
];
