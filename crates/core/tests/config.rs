//! From files in memory to settings and findings.

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::{Memory, resolve};
use imperator_core::config::{self, resolve_args};
use imperator_core::message::Config;
use imperator_core::settings::{LogTarget, Protocol, Settings, Target};

/// The settings of `app.ini`, which holds a working app and these lines.
#[track_caller]
fn settings(lines: &str) -> Settings {
    let (settings, findings) = read(lines);
    assert_eq!(findings, Vec::<String>::new());
    settings.unwrap()
}

fn read(lines: &str) -> (Option<Settings>, Vec<String>) {
    let text = format!("[uwsgi]\nsocket = /run/a.sock\nmodule = a\n{lines}");
    let resolved = resolve(&Memory::with(&[("app.ini", &text)]), &["--ini", "app.ini"]);
    let findings = resolved.findings.iter().map(ToString::to_string);
    (resolved.settings, findings.collect())
}

/// What is said about lines from line 4 on.
#[track_caller]
fn check(lines: &str, expected: &[&str]) {
    assert_eq!(read(lines).1, expected, "{lines}");
}

#[test]
fn scalars_take_the_last_value_and_lists_all() {
    let found = settings(
        "processes = 2\nworkers = 4\nenv = A=1\nenv = B=x=y\npythonpath = a\npp = b\n\
         touch-reload = %p\nstatic-map = /static=/srv/static\nharakiri = 20\n",
    );
    assert_eq!(found.processes, 4);
    assert_eq!(
        found.env,
        [("A".into(), "1".into()), ("B".into(), "x=y".into())]
    );
    assert_eq!(found.pythonpath, [PathBuf::from("a"), PathBuf::from("b")]);
    assert_eq!(found.touch_reload, [PathBuf::from("/etc/apps/app.ini")]);
    assert_eq!(
        found.static_files.maps,
        [("/static".into(), "/srv/static".into())]
    );
    assert_eq!(found.harakiri, Some(Duration::from_secs(20)));
    assert_eq!(found.places["processes"].line, 5);
}

#[test]
fn defaults_are_ours_and_a_zero_switches_off() {
    let found = settings("");
    assert_eq!((found.backlog, found.buffer_size), (1024, 32768));
    assert!(found.need_app && found.vacuum && !found.write_exception);
    let found = settings("harakiri = 0\nneed-app = false\ndisable-write-exception = no\n");
    assert_eq!(found.harakiri, None);
    assert!(!found.need_app && found.write_exception);
}

#[test]
fn the_originals_defaults_are_one_line_away() {
    let found = settings("need-app = true\noriginal-defaults = true\n");
    assert_eq!((found.backlog, found.buffer_size), (100, 4096));
    assert!(!found.vacuum && !found.auto_procname && found.write_exception);
    assert_eq!(found.recycling.jitter, 0);
    // What is given counts, wherever it stands.
    assert!(found.need_app);
    assert_eq!(settings("original-defaults = off\n").backlog, 1024);
}

#[test]
fn sockets_speak_the_protocol_that_is_named_anywhere() {
    let found = settings(
        "protocol = http\nuwsgi-socket = @u\nhttp-socket = :8000\nhttp = 127.0.0.1:8001\n\
         http-keepalive = 30\n",
    );
    let listens: Vec<_> = found
        .listens
        .iter()
        .map(|listen| (listen.protocol, listen.address.to_string()))
        .collect();
    assert_eq!(
        listens,
        [
            (Protocol::Http, "/run/a.sock".to_owned()),
            (Protocol::Uwsgi, "@u".to_owned()),
            (Protocol::Http, "0.0.0.0:8000".to_owned()),
            (Protocol::Http, "127.0.0.1:8001".to_owned()),
        ]
    );
    assert_eq!(found.listens[2].place.line, 6);
    assert_eq!(found.http_keepalive, Some(Duration::from_secs(30)));
    let usual = settings("http-keepalive = 1\nhttp-timeout = 9\n").http_keepalive;
    assert_eq!(usual, Some(Duration::from_secs(9)));
}

#[test]
fn mounts_come_after_the_plain_app() {
    let found = settings("mount = /x=pkg.app:app\nmount = /y=/srv/y.py\ncallable = main\n");
    let mounts: Vec<_> = found
        .mounts
        .iter()
        .map(|mount| (mount.prefix.as_str(), mount.target.clone()))
        .collect();
    assert_eq!(
        mounts,
        [
            ("", Target::Module("a".into())),
            ("/x", Target::Module("pkg.app:app".into())),
            ("/y", Target::File("/srv/y.py".into())),
        ]
    );
    assert_eq!(found.callable.as_deref(), Some("main"));
    let root = Memory::with(&[("app.ini", "[uwsgi]\nsocket = :1\nmount = /=a:b\n")]);
    let root = resolve(&root, &["app.ini"]).settings.unwrap();
    assert_eq!(root.mounts[0].prefix, "");
}

#[test]
fn loggers_are_read_and_one_that_we_lack_is_no_reason_to_stop() {
    let found =
        settings("logger = file:/var/log/a.log\nreq-logger = systemd\nlogto = 10.0.0.1:514\n");
    let logs = found.logs;
    assert!(matches!(&logs.loggers[0].target, LogTarget::File(it) if it.path == *"/var/log/a.log"));
    assert_eq!(logs.req_loggers[0].target, LogTarget::Journal);
    assert!(matches!(&logs.logto, Some(LogTarget::Udp(it)) if it.to == "10.0.0.1:514"));
    check(
        "logger = redislog:x\n",
        &[
            "app.ini:4: warning: option \"logger\" has no log plugin \"redislog\"\n  \
           hint: file:, socket:, syslog:, rsyslog:, systemd, pipe: and stdio are known; \
           these lines go where the others go",
        ],
    );
}

#[test]
fn what_the_original_gets_wrong_in_silence_is_a_warning() {
    check(
        "harakiri = 30s\n",
        &[
            "app.ini:4: warning: option \"harakiri\" reads only the leading number of \"30s\": 30\n  \
           hint: write 30",
        ],
    );
    check(
        "lazy-apps = false ; later\n",
        &[
            "app.ini:4: warning: option \"lazy-apps\" takes \"false ; later\" for true\n  \
           hint: write true or false; a comment needs a line of its own",
        ],
    );
    check(
        "http-socket = :8000 ; main\n",
        &[
            "app.ini:4: warning: option \"http-socket\" reads only \":8000\" of \":8000 ; main\"\n  \
           hint: write :8000",
        ],
    );
    check(
        "env = DB=postgres://u:p%40ss@h/d\n",
        &[
            "app.ini:4: warning: \"%4\" is read as a magic variable and becomes \"\"\n  \
           hint: write %%4 for a plain percent sign",
        ],
    );
    check(
        "chdir = $(NOPE)/x\n",
        &[
            "app.ini:4: warning: \"$(NOPE)\" is not set in the environment and stays as it is\n  \
           hint: there is no default; set the variable for the whole server",
        ],
    );
    check("env = FORMAT=%(message)s\n", &[]);
    check(
        "chdir = %(nope)/x\n",
        &["app.ini:4: warning: no option is named \"nope\", so \"%(nope)\" stays as it is"],
    );
}

#[test]
fn what_the_original_refuses_is_an_error_with_a_way_out() {
    check(
        "chmod-socket = 0660\n",
        &[
            "app.ini:4: error: option \"chmod-socket\": \"0660\" is no mode of three octal digits\n  \
           hint: write 660",
        ],
    );
    check(
        "harakiri = -1\n",
        &["app.ini:4: error: option \"harakiri\": \"-1\" is negative"],
    );
    check(
        "processes = many\n",
        &[
            "app.ini:4: warning: option \"processes\" \"many\" is no number, and 1 is used\n  \
           hint: write a number, 1 or more",
        ],
    );
    assert_eq!(read("processes = -1\n").0, None);
    // A variable that is not set, as the original reads it; a template is no config.
    let (found, said) = read("http-socket = 127.0.0.1:$(PORT)\nthreads = $(THREADS)\n");
    let found = found.expect("settings");
    assert_eq!(found.listens[1].address, "127.0.0.1:0".parse().unwrap());
    assert_eq!((found.threads, said.len()), (1, 4));
    for lines in [
        "processes = {{ n }}\n",
        "threads = ${N:-4}\n",
        "http-socket = :{{ port }}\n",
    ] {
        assert_eq!(read(lines).0, None, "{lines}");
    }
}

#[test]
fn a_router_that_is_to_be_a_proxy_is_refused_with_what_to_do() {
    check(
        "http = :8000\nhttp-to = /run/other.sock\n",
        &[
            "app.ini:5: error: option \"http-to\" is refused: it makes a proxy of the router, and there is none here\n  \
           hint: let nginx or Apache pass requests on, or name the app to run",
        ],
    );
}

#[test]
fn hosts_may_have_names_and_interfaces_only_a_beginning() {
    let found = settings("socket = app.example:3031\nhttp-socket = 192.168.*:80\nstats = *:91\n");
    let address = |text: &str| text.parse().unwrap();
    assert_eq!(found.listens[1].address, address("10.0.0.1:3031"));
    assert_eq!(found.listens[2].address, address("192.168.0.7:80"));
    assert_eq!(found.stats, Some(address("0.0.0.0:91")));
    assert_eq!(read("socket = 10.9.*:80\n").0, None);
}

#[test]
fn all_findings_are_told_at_once() {
    assert_eq!(read("chmod-socket = 9\nsocket = :x\nuid =\n").1.len(), 3);
}

#[test]
fn a_key_of_a_megabyte_is_told_in_a_short_line() {
    let key = "é".repeat(250_000);
    let (settings, findings) = read(&format!("{key} = 1\n"));
    assert!(settings.is_some());
    let [finding] = findings.as_slice() else {
        panic!("{} findings", findings.len());
    };
    assert!(finding.starts_with("app.ini:4: warning: unknown option \"é"));
    assert!(finding.len() < 2200, "{} bytes", finding.len());
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_name_unless_something_uses_it() {
    check(
        "proceses = 3\n",
        &[
            "app.ini:4: warning: unknown option \"proceses\", and no %(proceses) uses it\n  \
           hint: did you mean \"processes\"?",
        ],
    );
    check("base = /srv\nchdir = %(base)/x\n", &[]);
    check("mode = a\nif-opt = mode=a\nvacuum = true\nendif\n", &[]);
    check("set-placeholder = unused=1\n", &[]);
    check(
        "strict = true\nvaccum = 1\n",
        &[
            "app.ini:5: error: unknown option \"vaccum\", and no %(vaccum) uses it\n  \
           hint: did you mean \"vacuum\"?",
        ],
    );
    check("base = /srv\nstrict = true\nchdir = %(base)/x\n", &[]);
}

#[test]
fn an_option_that_we_lack_is_told_unless_it_is_switched_off() {
    check(
        "sni = 2\n",
        &[
            "app.ini:4: warning: option \"sni\" is not supported yet and has no effect\n  \
           hint: meanwhile let nginx or Apache speak TLS in front of the app",
        ],
    );
    check(
        "show-config = false\nmaster = true\nplugins = python3,http\nthunder-lock = 1\n",
        &[],
    );
    check(
        "plugins = psgi\n",
        &[
            "app.ini:4: warning: option \"plugins\" has no plugin \"psgi\"\n  hint: run this app under \
           uwsgi: only Python runs here",
        ],
    );
}

#[test]
fn what_scaling_cannot_mean_is_told_with_the_way_out() {
    check(
        "processes = 2\ncheaper = 2\n",
        &[
            "app.ini:5: error: \"cheaper\" is 2, and must be lower than \"processes\", which is 2\n  \
           hint: write cheaper = 1, or processes = 3",
        ],
    );
    check("processes = 2\ncheaper = 0\n", &[]);
    check(
        "processes = 2\ncheaper = 1\ncheaper-initial = 5\n",
        &[
            "app.ini:6: warning: \"cheaper-initial\" is 5, and \"processes\" only 2: 2 are started\n  \
           hint: write cheaper-initial = 2",
        ],
    );
    check(
        "processes = 2\ncheaper = 1\ncheaper-algo = magic\n",
        &[
            "app.ini:6: warning: option \"cheaper-algo\" knows no \"magic\", and spare decides\n  \
           hint: write spare, spare2, backlog, busyness or manual",
        ],
    );
    check(
        "max-worker-lifetime = 5\n",
        &[
            "app.ini:4: error: \"max-worker-lifetime\" is 5, and must be higher than \
             \"min-worker-lifetime\", which is 10\n  \
           hint: write min-worker-lifetime = 4, or max-worker-lifetime = 11",
        ],
    );
    check(
        "cheaper-step = 2\n",
        &[
            "app.ini:4: warning: \"cheaper-step\" has no effect without \"cheaper\"\n  \
           hint: add cheaper = 1, or remove it",
        ],
    );
}

#[test]
fn limits_are_read_as_the_original_reads_them() {
    let limits = |text: &str| read(text).0.expect(text).limits;
    assert_eq!(limits("umask = 0077\n").umask, Some(0o077));
    assert_eq!(limits("umask = 022\n").umask, Some(0o022));
    assert_eq!(limits("prio = -3\n").priority, Some(-3));
    assert_eq!(limits("limit-as = 2\n").address_space, Some(2 << 20));
    assert_eq!(
        limits("threads-stacksize = 128\n").thread_stack,
        Some(128 << 10)
    );
    assert!(read("umask = 22\n").0.is_none());
}

#[test]
fn what_confines_or_protects_an_app_is_never_ignored() {
    check(
        "chroot = /srv/jail\n",
        &[
            "app.ini:4: error: option \"chroot\" is refused: it confines the app, and that is left to the service \
           manager\n  \
           hint: let systemd confine the service, or run the app in a container",
        ],
    );
    check(
        "cap = setuid,setgid\n",
        &[
            "app.ini:4: error: option \"cap\" would leave a root app all its capabilities\n  \
           hint: add uid, or let systemd confine the service",
        ],
    );
    check(
        "cap = setuid,setgid\nuid = nobody\n",
        &[
            "app.ini:4: warning: option \"cap\" keeps nothing: as another user the app has no \
           capability\n  hint: low ports are bound before; for more, let systemd set \
           AmbientCapabilities",
        ],
    );
    check(
        "route = ^/admin basicauth:Admin,me:secret\n",
        &[
            "app.ini:4: error: option \"route\": \"basicauth\" asks for a password, which is not supported yet\n  \
           hint: let nginx or Apache ask for it, and remove this line",
        ],
    );
}

#[test]
fn options_that_act_at_once_get_no_expansion_and_magic_still_works() {
    check(
        "n = 5\nlisten = %(n)\n",
        &[
            "app.ini:5: warning: option \"listen\" \"%(n)\" is no number, and 1024 is used\n  \
             hint: write a number, 1 or more",
            "app.ini:4: warning: unknown option \"n\", and no %(n) uses it",
        ],
    );
    assert_eq!(settings("listen = %k\n").backlog, 8);
}

#[test]
fn the_passes_run_in_the_originals_order() {
    let text = "[uwsgi]\nsocket = $(SOCK)\nmodule = %(app).wsgi\napp = @(name.txt)\nthreads = %(processes * 2)\nprocesses = 3\n";
    let world = Memory::with(&[("app.ini", text), ("name.txt", "shop\n")])
        .and_env("SOCK", "/run/%(app).sock");
    let found = resolve(&world, &["app.ini"]);
    assert_eq!(found.findings, []);
    let files: Vec<PathBuf> = vec!["/etc/apps/app.ini".into(), "/etc/apps/name.txt".into()];
    assert_eq!(found.files, files);
    let settings = found.settings.unwrap();
    assert_eq!(settings.listens[0].address.to_string(), "/run/shop.sock");
    assert_eq!(
        settings.mounts[0].target,
        Target::Module("shop.wsgi".into())
    );
    assert_eq!(settings.threads, 6);
}

#[test]
fn sections_and_files_include_each_other_and_circles_end() {
    let text = "[uwsgi]\nini = :base\nini = more.ini:x\nmodule = a\n[base]\nsocket = /run/%n.sock\nini = :uwsgi\n";
    let more = "[x]\nthreads = 2\nenv = FROM=%n,%N\n";
    let found = resolve(
        &Memory::with(&[("app.ini", text), ("more.ini", more)]),
        &["app.ini"],
    );
    let findings: Vec<_> = found.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        findings,
        ["app.ini:7: error: \"app.ini\" includes itself, or too deep\n  hint: remove this line"]
    );
    let text = text.replace("ini = :uwsgi\n", "");
    let found = resolve(
        &Memory::with(&[("app.ini", &text), ("more.ini", more)]),
        &["app.ini"],
    );
    assert_eq!(found.findings, []);
    let settings = found.settings.unwrap();
    assert_eq!((settings.threads, settings.listens[0].place.line), (2, 6));
    assert_eq!(settings.env, [("FROM".to_owned(), "more,app".to_owned())]);
    assert_eq!(found.files.len(), 2);
}

#[test]
fn inherited_options_come_last_and_are_not_expanded() {
    let text = "[uwsgi]\nsocket = :1\nmodule = a\nchdir = /x\ninherit = more.ini\n";
    let more = "[uwsgi]\nchdir = %(socket)/%n\n";
    let found = resolve(
        &Memory::with(&[("app.ini", text), ("more.ini", more)]),
        &["app.ini"],
    );
    assert_eq!(
        found.settings.unwrap().chdir,
        Some(PathBuf::from("%(socket)/more"))
    );
}

#[test]
fn a_stanza_is_found_by_its_section_or_its_name_and_colons_stay_whole() {
    let text = "[uwsgi]\nsocket = :1\nmodule = a\n[uwsgi:blog]\nsocket = :2\nmodule = %x\n";
    let world = Memory::with(&[("a:b.ini", text), ("a.ini", text)]);
    let named = |section: &str| Config {
        file: "a:b.ini".into(),
        section: Some(section.to_owned()),
    };
    for args in [
        resolve_args(&named("uwsgi:blog")),
        vec!["--ini".to_owned(), "a:b.ini:uwsgi:blog".to_owned()],
        vec!["a:b.ini:blog".to_owned()],
        vec!["--ini=a.ini:uwsgi:blog".to_owned()],
    ] {
        let found = config::resolve(&args, &world);
        let settings = found
            .settings
            .unwrap_or_else(|| panic!("{args:?} {:?}", found.findings));
        assert_eq!(
            settings.listens[0].address.to_string(),
            "0.0.0.0:2",
            "{args:?}"
        );
    }
    let own = Config {
        file: "a:b.ini".into(),
        section: None,
    };
    let found = config::resolve(&resolve_args(&own), &world)
        .settings
        .unwrap();
    assert_eq!(found.listens[0].address.to_string(), "0.0.0.0:1");
}

#[test]
fn environment_and_command_line_are_options_too_and_the_file_comes_where_it_stands() {
    let text = "[uwsgi]\nprocesses = 2\nthreads = 2\n";
    let world = Memory::with(&[("app.ini", text)])
        .and_env("UWSGI_SOCKET", ":1")
        .and_env("UWSGI_WSGI_FILE", "app.py")
        .and_env("UWSGI_RELOADS", "3")
        .and_env("UWSGI_SOMETHING_ELSE", "3");
    let found = resolve(
        &world,
        &["--processes=9", "--ini", "app.ini", "--threads", "5", "-M"],
    );
    assert_eq!(found.findings, []);
    let settings = found.settings.unwrap();
    assert_eq!((settings.processes, settings.threads), (2, 5));
    assert_eq!(settings.mounts[0].target, Target::File("app.py".into()));
}

#[test]
fn a_config_without_socket_or_app_says_what_to_add() {
    let found = resolve(
        &Memory::with(&[("app.ini", "[uwsgi]\nvacuum = 1\n")]),
        &["app.ini"],
    );
    let texts: Vec<_> = found
        .findings
        .iter()
        .map(|finding| finding.text.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "the config names no socket to listen on",
            "the config names no app to run"
        ]
    );
    let empire = resolve(
        &Memory::with(&[("e.ini", "[uwsgi]\nemperor = /etc/apps\n")]),
        &["e.ini"],
    );
    assert_eq!(empire.settings.unwrap().emperor, ["/etc/apps"]);
}
