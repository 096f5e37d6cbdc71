//! The examples of docs/nginx.md and docs/apache.md: what a reader copies is what the real front ends
//! and our own resolver accept.

use std::path::Path;
use std::process::Command;

use crate::support::{Apache, Folder, Nginx, repository, require, skips_without};

#[test]
fn nginx_accepts_the_examples_of_its_page() {
    if skips_without("nginx", Nginx::is_installed()) {
        return;
    }
    let examples = blocks("docs/nginx.md", "nginx");
    assert!(examples.len() >= 4, "{examples:?}");
    for example in examples {
        let folder = Folder::new();
        let server = match example.trim_start() {
            text if text.starts_with("server") || text.starts_with("upstream") => example.clone(),
            text if text.starts_with("location") => format!("server {{\n{example}}}\n"),
            _ => format!("server {{ location / {{\n{example}}} }}\n"),
        };
        // nginx binds even to test; the ports of this machine are not the examples' to take.
        let server = server.replace("listen 80;", "listen unix:{dir}/nginx.sock;");
        let config = folder.write(
            "nginx.conf",
            &format!("pid {{dir}}/pid;\nevents {{}}\nhttp {{\n{server}}}\n"),
        );
        // `include uwsgi_params` is looked for beside the configuration.
        std::fs::copy("/etc/nginx/uwsgi_params", folder.join("uwsgi_params"))
            .expect("uwsgi_params");
        let mut command = Command::new(require("nginx").expect("nginx"));
        command
            .args(["-t", "-e"])
            .arg(folder.join("errors"))
            .arg("-c")
            .arg(config);
        accepts(command, &example);
    }
}

#[test]
fn apache_accepts_the_examples_of_its_page() {
    if skips_without("Apache", Apache::is_installed()) {
        return;
    }
    let examples = blocks("docs/apache.md", "apache");
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        let folder = Folder::new();
        std::fs::create_dir(folder.join("static")).expect("a directory");
        let example = example.replace("/srv/shop/static/", "{dir}/static/");
        let modules: String = [
            "mpm_event",
            "authz_core",
            "alias",
            "headers",
            "proxy",
            "proxy_uwsgi",
        ]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
        let text = format!(
            "ServerRoot {{dir}}\nServerName localhost\nDefaultRuntimeDir {{dir}}\n\
             ErrorLog {{dir}}/errors\nListen 127.0.0.1:1\n{modules}{example}"
        );
        let config = folder.write("apache.conf", &text);
        let mut command = Command::new(require("apache2").expect("apache2"));
        command.arg("-t").arg("-f").arg(config);
        accepts(command, &example);
    }
}

#[test]
fn the_resolver_accepts_the_examples_of_all_pages() {
    for page in ["README.md", "docs/nginx.md", "docs/apache.md"] {
        for example in blocks(page, "ini") {
            let folder = Folder::new();
            // An example may show only the lines that its page speaks of.
            let has = |what: &str| example.contains(what);
            let head = if has("[uwsgi]") { "" } else { "[uwsgi]\n" };
            let runs = has("module") || has("wsgi-file") || has("emperor");
            let app = if runs { "" } else { "module = example\n" };
            let listens = has("socket") || has("http") || has("emperor");
            let socket = if listens { "" } else { "socket = @example\n" };
            let text = format!("{head}{example}{app}{socket}");
            let config = folder.write("app.ini", &text);
            let output = Command::new(env!("CARGO_BIN_EXE_imperator"))
                .args(["resolve", "--ini"])
                .arg(config)
                .output()
                .expect("imperator");
            let text = String::from_utf8_lossy(&output.stdout);
            let resolved: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let clean = resolved["findings"].as_array().is_some_and(Vec::is_empty)
                && resolved["settings"].is_object();
            assert!(clean, "{page}:\n{example}\n{text}");
        }
    }
}

/// The examples of a page that are in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join(Path::new(page))).expect("a page");
    let start = format!("```{language}\n");
    text.split(&start)
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a first part").to_owned())
        .collect()
}

#[track_caller]
fn accepts(mut command: Command, example: &str) {
    let output = command.output().expect("a front end that runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{example}");
}
