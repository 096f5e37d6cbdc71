//! Debian's uwsgi-core, asked for its `--show-config`, beside our reading of the same text.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use imperator_core::config;

use super::Memory;

/// The original ends by itself at once, because these texts name no socket.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);

/// A random choice that is the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % 1_000_003).unwrap() % end
    }

    pub(crate) fn pick(&mut self, from: &[&'static str]) -> &'static [u8] {
        from[self.below(from.len())].as_bytes()
    }
}

pub(crate) struct Original {
    directory: tempfile::TempDir,
    world: Memory,
}

impl Original {
    pub(crate) fn find() -> Option<Self> {
        if !Path::new("/usr/bin/uwsgi-core").exists() {
            eprintln!("SKIPPED: no uwsgi-core here, so this test shows nothing");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let cwd = directory.path().canonicalize().unwrap();
        let files = [
            ("inc.txt", "included\n"),
            ("inc.ini", "[uwsgi]\nfrom=%n of %N\n[extra]\nextra=%x\n"),
        ];
        let mut world = Memory::with(&[]).and_env("CORE_TEST", "value");
        for (name, text) in files {
            std::fs::write(cwd.join(name), text).unwrap();
            world.files.insert(cwd.join(name), text.as_bytes().to_vec());
        }
        world.files.insert("/etc/passwd".into(), Vec::new());
        world.facts.cwd = cwd;
        world.facts.binary = "/usr/bin/uwsgi-core".into();
        let mut original = Self { directory, world };
        // What magic variables say about the machine comes from the original itself: it is not what
        // is compared here.
        let facts = original
            .run(b"[uwsgi]\na=%k\na=%u\na=%U\na=%g\na=%G\na=%h\na=%i\n")
            .unwrap();
        let facts: Vec<String> = facts
            .split(|&byte| byte == b'\n')
            .filter_map(|line| line.strip_prefix(b"a = "))
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        let [cpus, uid, user, gid, group, hostname, inode] = facts.as_slice() else {
            panic!("the original prints {facts:?}");
        };
        original.world.facts.cpus = cpus.parse().unwrap();
        original.world.facts.uid = uid.parse().unwrap();
        original.world.facts.user = Some(user.clone());
        original.world.facts.gid = gid.parse().unwrap();
        original.world.facts.group = Some(group.clone());
        original.world.facts.hostname.clone_from(hostname);
        original.world.inode = inode.parse().unwrap();
        Some(original)
    }

    pub(crate) fn compare(&self, text: &[u8]) {
        let mut world = self.world();
        world.files.insert(self.file(), text.to_vec());
        let args = ["--ini".to_owned(), "case.ini".to_owned()];
        self.compare_args(&args, text, &world);
    }

    pub(crate) fn compare_args(&self, args: &[String], text: &[u8], world: &Memory) {
        let mut all = vec!["--show-config".to_owned()];
        all.extend_from_slice(args);
        let reading = config::read(&all, world);
        let shown = String::from_utf8_lossy(text);
        let ours = reading.block();
        let findings = reading.resolved.findings;
        match (self.run_args(args, text), ours) {
            (Some(expected), Some(ours)) => {
                assert_eq!(shown_text(&ours), shown_text(&expected), "{shown}");
            }
            (Some(_), None) => panic!("we refuse what the original reads:\n{shown}\n{findings:?}"),
            (None, Some(_)) => panic!("the original refuses this, we do not:\n{shown}"),
            (None, None) => (),
        }
    }

    pub(crate) fn world(&self) -> Memory {
        Memory {
            facts: self.world.facts.clone(),
            files: self.world.files.clone(),
            env: self.world.env.clone(),
            inode: self.world.inode,
            is_foreign: false,
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.world.facts.cwd.join("case.ini")
    }

    /// The option lines that the original prints; `None` when it refuses the text.
    fn run(&self, text: &[u8]) -> Option<Vec<u8>> {
        self.run_args(&["--ini".to_owned(), "case.ini".to_owned()], text)
    }

    fn run_args(&self, args: &[String], text: &[u8]) -> Option<Vec<u8>> {
        // Written in place: the inode is one of the facts.
        std::fs::write(self.file(), text).unwrap();
        let output = self.directory.path().join("output");
        let mut child = Command::new("/usr/bin/uwsgi-core")
            .arg("--show-config")
            .args(args)
            .current_dir(&self.world.facts.cwd)
            .env_clear()
            .env("CORE_TEST", "value")
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&output).unwrap())
            .stderr(
                std::fs::OpenOptions::new()
                    .append(true)
                    .open(&output)
                    .unwrap(),
            )
            .spawn()
            .unwrap();
        for turn in 0.. {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            if POLL * turn > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                let text = String::from_utf8_lossy(text);
                panic!("the original does not end: {text}");
            }
            #[expect(clippy::disallowed_methods, reason = "polls a child, with a deadline")]
            std::thread::sleep(POLL);
        }
        let output = std::fs::read(&output).unwrap();
        let start = find(&output, BEGIN)?;
        let end = start + find(&output[start..], END)? + END.len();
        Some(output[start..end].to_vec())
    }
}

const BEGIN: &[u8] = b"\n;uWSGI instance configuration\n";
const END: &[u8] = b"\n;end of configuration\n\n";

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn shown_text(options: &[u8]) -> String {
    String::from_utf8_lossy(options).into_owned()
}
