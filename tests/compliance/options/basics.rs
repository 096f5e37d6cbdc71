//! The options that nearly every config has: sockets, processes, where the app is.

use std::process::Stdio;

use super::super::config::pid as worker;
use super::pair::{Facts, Server, Which, compare_runs, folder, outcome, outcome_of};
use super::support::{
    Folder, Original, Process, Signal, command, is_alive, original_command, skips_without,
    uwsgi_get, wait_for,
};
use super::{Case, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("buffer-size", "what_is_too_big_is_refused"),
    ("callable", "the_app_is_found_by_file_module_and_callable"),
    ("cap", "what_confines_or_protects_an_app_is_never_ignored"),
    ("chdir", "chdir_is_the_apps"),
    (
        "control-group",
        "a_stranger_is_refused_and_a_member_of_the_control_group_is_not",
    ),
    (
        "chmod-socket",
        "sockets_have_the_mode_that_chmod_socket_says",
    ),
    (
        "chown-socket",
        "sockets_have_the_owner_that_chown_socket_says",
    ),
    (
        "daemonize",
        "a_daemon_serves_from_a_session_of_its_own_and_logs_to_its_file",
    ),
    ("disable-logging", "disable_logging_leaves_no_request_line"),
    (
        "disable-write-exception",
        "write_raises_for_a_client_that_left_when_the_app_asks_for_it",
    ),
    ("emperor", "a_vassal_is_added_touched_and_removed"),
    ("env", "the_environment_is_as_asked"),
    ("gid", "the_app_runs_as_uid_and_gid"),
    ("harakiri", "a_request_past_harakiri_costs_its_worker"),
    ("honour-stdin", "the_app_reads_what_the_server_was_given"),
    ("help", "the_program_tells_its_usage_and_version"),
    ("ini", "the_ini_language_reaches_the_app"),
    (
        "ini-file",
        "a_stanza_is_found_by_its_section_or_its_name_and_colons_stay_whole",
    ),
    (
        "ini-section",
        "a_stanza_is_found_by_its_section_or_its_name_and_colons_stay_whole",
    ),
    ("lazy-apps", "lazy_apps_import_in_every_worker"),
    ("limit-post", "what_is_too_big_is_refused"),
    ("listen", "a_long_backlog_is_cut_with_a_note"),
    ("log-format", "log_format_makes_the_line"),
    ("logto", "logto_takes_everything_and_survives_a_rotation"),
    (
        "manage-script-name",
        "mounts_are_chosen_by_the_longest_prefix",
    ),
    (
        "max-requests",
        "max_requests_replaces_workers_without_a_lost_request",
    ),
    ("module", "the_app_is_found_by_file_module_and_callable"),
    ("mount", "mounts_are_chosen_by_the_longest_prefix"),
    ("need-app", "without_need_app_the_rest_is_served"),
    ("python", "an_interpreter_that_does_not_exist"),
    ("pause", "servers_are_ordered_by_their_pid_files"),
    ("pythonpath", "the_last_pythonpath_is_searched_first"),
    (
        "ready-host",
        "a_generation_must_answer_its_ready_request_before_it_serves",
    ),
    (
        "ready-request",
        "a_generation_must_answer_its_ready_request_before_it_serves",
    ),
    ("ready-timeout", "a_module_that_hangs"),
    (
        "reload-overlap",
        "an_overlap_of_one_has_one_worker_more_than_usual_and_loses_nothing",
    ),
    (
        "original-defaults",
        "the_originals_defaults_are_one_line_away",
    ),
    ("reload-on-rss", "a_fat_worker_is_replaced"),
    ("reload", "servers_are_ordered_by_their_pid_files"),
    ("req-logger", "request_lines_have_a_logger_of_their_own"),
    (
        "socket-timeout",
        "a_peer_that_says_nothing_or_goes_is_no_request",
    ),
    (
        "static-map",
        "files_are_served_and_what_is_no_file_is_the_apps",
    ),
    ("stats", "the_stats_hold_what_uwsgitop_reads"),
    ("stop", "servers_are_ordered_by_their_pid_files"),
    (
        "strict-vars",
        "loader_variables_are_kept_from_the_app_and_told_once",
    ),
    (
        "on-demand",
        "an_app_on_demand_starts_at_its_first_request_whatever_becomes_of_the_emperor",
    ),
    ("uid", "the_app_runs_as_uid_and_gid"),
    ("version", "the_program_tells_its_usage_and_version"),
    ("virtualenv", "a_virtualenv_without_python"),
    (
        "worker-reload-mercy",
        "a_request_past_the_mercy_is_killed_at_a_stop",
    ),
    ("wsgi-file", "the_app_is_found_by_file_module_and_callable"),
];

const SOCKETS: &[Case] = &[
    Case {
        options: &["socket"],
        ..Case::PLAIN
    },
    Case {
        options: &["uwsgi-socket"],
        ini: "[uwsgi]\nuwsgi-socket = {dir}/s\nwsgi-file = {dir}/facts.py\n",
        ..Case::PLAIN
    },
    Case {
        options: &["http-socket"],
        ini: "[uwsgi]\nhttp-socket = {dir}/s\nwsgi-file = {dir}/facts.py\n",
        see: |server, facts| facts.note("HTTP", outcome_of(&server.raw(&[GET]))),
        ..Case::PLAIN
    },
    Case {
        options: &["protocol"],
        ini: "protocol = http\n",
        see: |server, facts| facts.note("HTTP", outcome_of(&server.raw(&[GET]))),
        ..Case::PLAIN
    },
    Case {
        options: &["vacuum"],
        ini: "vacuum = true\npidfile = {dir}/pid\n",
        see: |server, facts| {
            facts.note("/", outcome(&server.get("/")));
            let pid = server.process().pid();
            server.send(Signal::INT);
            server.wait_for("the end", |_| (!is_alive(pid)).then_some(()));
            let folder = server.folder();
            facts.note("the socket is there", folder.join("s").exists());
            facts.note("the pid file is there", folder.join("pid").exists());
        },
        ..Case::PLAIN
    },
];

const GET: &[u8] = b"GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn sockets_speak_and_go() {
    run(SOCKETS);
}

fn several(server: &mut Server, facts: &mut Facts) {
    let environ = server.get("/environ").json()["environ"].clone();
    facts.note("several processes", &environ["wsgi.multiprocess"]);
    facts.note("several threads", &environ["wsgi.multithread"]);
}

const PROCESSES: &[Case] = &[
    Case {
        options: &["processes"],
        ini: "processes = 3\n",
        see: several,
        ..Case::PLAIN
    },
    Case {
        options: &["threads"],
        ini: "threads = 3\n",
        see: several,
        ..Case::PLAIN
    },
    Case {
        options: &["pidfile"],
        ini: "pidfile = {dir}/pid\n",
        see: |server, facts| {
            server.get("/");
            let written = server.folder().read("pid");
            let pid = server.process().pid().to_string();
            facts.note("the master's pid", written.trim() == pid);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["touch-reload"],
        ini: "touch-reload = {dir}/touched\n",
        files: &[("touched", "")],
        see: |server, facts| {
            let before = worker(server);
            server.settle();
            // Long after today, without a look at the clock.
            let later = std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
            let touched = server.folder().join("touched");
            let file = std::fs::File::options().append(true).open(touched);
            file.and_then(|file| file.set_modified(later))
                .expect("touch");
            server.wait_for("another worker", |server| {
                (worker(server) != before).then_some(())
            });
            facts.note("/", outcome(&server.get("/")));
        },
        ..Case::PLAIN
    },
];

#[test]
fn processes_are_as_many_and_reload_when_touched() {
    run(PROCESSES);
}

#[test]
fn the_program_tells_its_usage_and_version() {
    let folder = Folder::new();
    for argument in ["--help", "-h", "--usage", "--version"] {
        let ours = command(&folder).arg(argument).stdin(Stdio::null()).output();
        let ours = ours.expect("the command");
        assert!(
            ours.status.success() && !ours.stdout.is_empty(),
            "{argument}: {ours:?}"
        );
        if skips_without("the original uwsgi-core", Original::is_installed()) {
            continue;
        }
        let original = std::process::Command::new("uwsgi-core")
            .arg(argument)
            .output();
        let original = original.expect("the original");
        assert_eq!(
            original.status.success(),
            ours.status.success(),
            "{argument}"
        );
    }
}

#[test]
fn servers_are_ordered_by_their_pid_files() {
    compare_runs(&[], |which| {
        let mut facts = Facts::default();
        let ini = "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\npidfile = {dir}/pid\n\
                   lazy-apps = true\n";
        let mut server = Server::start(which, ini);
        let before = worker(&server);
        server.settle();
        let order = |server: &Server, order: &str, file: &str| {
            let mut program = match which {
                Which::Original => std::process::Command::new("uwsgi-core"),
                Which::Ours => command(server.folder()),
            };
            let file = server.folder().join(file);
            let output = program.arg(order).arg(file).stdin(Stdio::null()).output();
            output.expect("an order").status.code()
        };
        facts.note("reload", format!("{:?}", order(&server, "--reload", "pid")));
        server.wait_for("another worker", |server| {
            (worker(server) != before).then_some(())
        });
        let pid = server.process().pid();
        facts.note("stop", format!("{:?}", order(&server, "--stop", "pid")));
        server.wait_for("the end", |_| (!is_alive(pid)).then_some(()));
        facts.note(
            "of no file",
            format!("{:?}", order(&server, "--reload", "no-such-file")),
        );
        facts
    });
}

#[test]
fn explain_and_options_answer_people_and_programs() {
    let folder = Folder::new();
    let imperator = |words: &[&str]| {
        let output = command(&folder).args(words).stdin(Stdio::null()).output();
        let output = output.expect("the command");
        (
            output.status.code(),
            String::from_utf8(output.stdout).expect("UTF-8"),
        )
    };
    let (code, text) = imperator(&["explain", "processes", "--listen", "-M"]);
    assert_eq!(code, Some(0));
    for name in ["processes, workers, -p", "listen, -l", "master, -M"] {
        assert!(text.contains(name), "{name}: {text}");
    }
    let (code, text) = imperator(&["explain", "proceses"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("did you mean processes?"), "{text}");
    assert_eq!(imperator(&["explain"]).0, Some(2));
    let (code, text) = imperator(&["options", "--json"]);
    assert_eq!(code, Some(0));
    let all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let count = all["options"].as_array().expect("options").len();
    assert!(count > 800, "{count}");
    let (code, text) = imperator(&["options", "spooler", "chdir"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        text.lines().filter(|line| line.starts_with("  ")).count(),
        1,
        "{text}"
    );
    assert_eq!(imperator(&["options", "no-such-word"]).0, Some(1));
}

#[test]
fn the_app_reads_what_the_server_was_given() {
    compare_runs(&[], |which| {
        let mut facts = Facts::default();
        for (name, line) in [
            ("with honour-stdin", "honour-stdin = true\n"),
            ("without", ""),
        ] {
            let folder = folder();
            folder.write("input", "typed\n");
            folder.write(
                "app.py",
                "import sys\nheard = sys.stdin.read()\n\n\
                 def application(environ, start_response):\n    \
                 start_response('200 OK', [])\n    return [heard.encode()]\n",
            );
            folder.write(
                "app.ini",
                &format!("[uwsgi]\nsocket = {{dir}}/s\nwsgi-file = {{dir}}/app.py\n{line}"),
            );
            let config = folder.join("app.ini");
            let server = match which {
                Which::Original => original_command(&folder),
                Which::Ours => {
                    let mut ours = command(&folder);
                    ours.arg("--ini").arg(config);
                    ours
                }
            };
            let mut with_input = std::process::Command::new("sh");
            with_input
                .current_dir(folder.path())
                .args(["-c", "exec \"$0\" \"$@\" < input"])
                .arg(server.get_program())
                .args(server.get_args())
                .envs(
                    server
                        .get_envs()
                        .filter_map(|(name, value)| Some((name, value?))),
                );
            let mut process = Process::start(with_input, &folder.join("server.log"));
            let socket = folder.join("s");
            let reply = wait_for(
                "an answer",
                || process.report(),
                || {
                    uwsgi_get(socket.clone(), "/")
                        .ok()
                        .filter(|reply| reply.status == 200)
                },
            );
            facts.note(name, format!("{:?}", reply.text()));
            process.bury_everyone();
        }
        facts
    });
}
