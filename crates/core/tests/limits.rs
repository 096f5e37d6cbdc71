//! What a config may cost: whatever it says, reading it ends and stays below 64 MB. The inputs are the
//! worst that we know; each goes for one limit.

mod common;

use common::Memory;
use imperator_core::config;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const MAX_MEGABYTES: f32 = 64.0;

/// One test, since the peak is the whole process's.
#[test]
fn no_config_needs_more_than_64_megabytes() {
    let filled = |line: &str| {
        let mut text = String::from("[uwsgi]\n");
        while text.len() + line.len() < config::MAX_READ / 8 {
            text.push_str(line);
        }
        text
    };
    let long = "x".repeat(500_000);
    let wide = |what: &str| format!("[uwsgi]\na = {long}\n{what}");
    for (what, name, text) in [
        ("keys without a value", "app.ini", filled("k\n")),
        ("sections", "app.ini", filled("[s]\nk\n")),
        (
            "bytes that are escaped",
            "app.ini",
            filled("\u{1b}=\u{fe}\n"),
        ),
        (
            "a magic variable",
            "app.ini",
            filled("k=%p%p%p%p%p%p%p%p\n"),
        ),
        ("swallowed letters", "app.ini", filled("k=%a%b%c\n")),
        ("typos", "app.ini", filled("procesess=1\n")),
        ("itself", "app.ini", filled("include = app.ini\n")),
        (
            "sections of itself",
            "app.ini",
            filled("ini = :b\n[b]\nx=1\nini = :uwsgi\n[uwsgi]\n"),
        ),
        (
            "a long loop",
            "app.ini",
            wide("for-times = 1000000\nb = x%(_)\nendfor\n"),
        ),
        (
            "a long value in a loop",
            "app.ini",
            format!("[uwsgi]\nfor-times = 50000\nb = {long}%(_)\n"),
        ),
        (
            "a wide loop",
            "app.ini",
            format!("[uwsgi]\nfor = {long}\nb = {}\n", "%(_)".repeat(100_000)),
        ),
        (
            "a value that holds itself",
            "app.ini",
            "[uwsgi]\na = x%(a)%(a)%(a)\n".to_owned(),
        ),
        (
            "many values that hold a long one",
            "app.ini",
            wide(&"b = x%(a)%(a)\n".repeat(2000)),
        ),
        ("many files", "app.ini", filled("b = @(app.ini)\n")),
        (
            "a declared option of itself",
            "app.ini",
            "[uwsgi]\ndeclare-option = o=o=$1 $1;o=$1 $1\no = x\n".to_owned(),
        ),
        (
            "a declared option",
            "app.ini",
            filled("declare-option=o=env=$1\no=A=1\n"),
        ),
        (
            "placeholders",
            "app.ini",
            filled("set-ph = a=1\nb = x%(a + 1 ++)\n"),
        ),
        (
            "a chain of files",
            "app.ini",
            "[uwsgi]\ninclude = 0.ini\n".to_owned(),
        ),
        (
            "json",
            "app.json",
            format!("{{\"uwsgi\":{{\"a\":[{}1]}}}}", "1,".repeat(400_000)),
        ),
        ("deep json", "app.json", "{\"uwsgi\":".repeat(100_000)),
        ("deep yaml", "app.yaml", "[".repeat(500_000)),
        (
            "yaml",
            "app.yaml",
            format!("uwsgi:\n{}", "  a: b\n".repeat(100_000)),
        ),
        (
            "xml",
            "app.xml",
            format!("<uwsgi>{}</uwsgi>", "<a/>".repeat(100_000)),
        ),
        ("deep xml", "app.xml", "<uwsgi>".repeat(100_000)),
    ] {
        let mut world = Memory::with(&[(name, &text)]);
        if what == "a chain of files" {
            for number in 0..config::MAX_DEPTH {
                let text = format!(
                    "[uwsgi]\ninclude = {}.ini\n{}",
                    number + 1,
                    "k=v\n".repeat(49_000)
                );
                let file = format!("/etc/apps/{number}.ini");
                world.files.insert(file.into(), text.into_bytes());
            }
        }
        ALLOCATED.reset_peak_usage();
        let before = ALLOCATED.current_usage_as_mb();
        let reading = config::read(&[format!("--ini-file={name}")], &world);
        let used = ALLOCATED.peak_usage_as_mb() - before;
        println!(
            "{used:6.1} MB for {what}: {} findings",
            reading.resolved.findings.len()
        );
        assert!(used < MAX_MEGABYTES, "{used} MB for {what}");
        assert!(reading.resolved.findings.len() <= 200, "{what}");
        let json = serde_json::to_vec(&reading.resolved).unwrap_or_default();
        assert!(
            json.len() < 8 << 20,
            "{what}: {} bytes to print",
            json.len()
        );
    }
}
