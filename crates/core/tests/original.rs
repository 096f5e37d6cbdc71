//! Our reading of the ini language beside the original's: made-up texts, the flat list of options
//! that `uwsgi-core --show-config` prints, and ours. Skips loudly where the original is missing.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::Memory;
use imperator_core::config;

/// The original ends by itself at once, because these texts name no socket.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);

/// One text a line group; each must be read alike.
const TEXTS: &[&str] = &[
    // Lines.
    "[uwsgi]\na = 1\n a=2 \n\tb\t=\tx = y\nc\n= d\n;e\n  # f\n\"g\" = 'h' ; i\n",
    "x = 1\n[other]\na = 1\n[uwsgi]\nb = 2\n[other]\nc = 3\n[uwsgi]\nd = \\\ne = 4\n",
    "[uwsgi]\r\na = 1\r\nb\r\n[ uwsgi ]\nc = 1\n[uwsgi] \nd=[x]\n[uwsgi\ne=1\n[\nf=1\n",
    // Magic.
    "[uwsgi]\na=%n|%e|%s|%o|%p\nb=%d|%c|%0|%1|%9|%x|%X|%N\nc=%k|%u|%U|%g|%G|%h|%v\n",
    "[uwsgi]\na=%j|%J|%i\nb=%%|%%%%|%z|%Z|%_|%A|%w|% x|%=y|100%\nc=2\n; %\nd=3\n[%n]\ne=1\n%n=1\n",
    "[uwsgi]\na=%a|%b|%f|%l|%m|%q|%r|%w|%y|%B|%F|%H|%K|%L|%M|%Q|%R|%W|%Y\nb=%!|%#|%&|%'|%)|%*|%+|%,|%-|%.|%/|%:|%;|%<|%>|%?|%@|%[|%]|%^|%`|%{|%}|%~\n",
    // Environment, files, placeholders.
    "[uwsgi]\na=$(CORE_TEST)/$(CORE_NONE)/$(CORE_TEST\nb=$(A$(CORE_TEST))\nc=$()\nd=${CORE_TEST}\n",
    "[uwsgi]\na=@(inc.txt)x@(inc.txt)\nb=$(CORE_TEST)@(inc.txt)%(c)\nc=2\n",
    "[uwsgi]\na=x\na=y\nb=%(a)%(a a)\nc=%(n + 3)%(n  n)\nn=2\nd=<%(n - 5)>%(n * n * n)\ne=%(nope)\n",
    "[uwsgi]\nn=7\na=<%(n / 2)%(n / 0)%(n ++)%(n --)%(n +)>\nb=-%(1 + 2)%(1)%(3x)%(n + -3)%(n . 3)%()%( n )\n",
    "[uwsgi]\nlater=%(z)\nz=L%(n)\nn=1\nagain=x%(z)\n",
    // Options that act at once.
    "[uwsgi]\nset = k=v=w\na=%(k)\nset-placeholder=p=q\nb=%(p)\nset-ph = r=s\n",
    "[uwsgi]\na=1\nini=:more\nb=2\n[more]\nc=3\na=4\n",
    "[uwsgi]\nini=inc.ini\nini=:extra\nini=inc.ini:extra\nb=%n%N\n",
    "[uwsgi]\ninclude=inc.ini\nb=%s\nlisten=%(b)\nlisten=7\n",
    // Blocks.
    "[uwsgi]\nfor = a b c\nx=%(_)\ny%(_)=1\nendfor=\nz=%(_)\n",
    "[uwsgi]\nfor-times = 3\nx=%(_)+%(_)\nend-for\nz=1\n",
    "[uwsgi]\nif-env=CORE_TEST\na=%(_)\nendif\nif-not-env=CORE_TEST\nb=%(_)\nend\nc=1\n",
    "[uwsgi]\nif-env=CORE_TEST=value\na=%(_)\nendif\nif-env=CORE_TEST=no\nb=%(_)\nendif\nif-not-env=CORE_NONE\nc=%(_)\nendif\n",
    "[uwsgi]\nk=v\nif-opt=k\na=%(_)\nendif\nif-opt=k=v\nb=%(_)\nendif\nif-opt=k=w\nc=1\nendif\nif-not-opt=k\nd=1\nendif\nif-not-opt=nope\ne=%(_)\nendif\n",
    "[uwsgi]\nif-exists=inc.txt\na=%(_)\nendif\nif-file=inc.txt\nb=%(_)\nendif\nif-dir=inc.txt\nc=1\nendif\nif-not-exists=inc.txt\nd=1\nendif\nif-not-dir=nope\ne=%(_)\nendif\nif-not-file=/\nf=1\nendif\nif-directory=.\ng=1\nendif\n",
    "[uwsgi]\nif-reload\na=1\nendif\nif-not-reload\nb=1\nendif\nelse\nc=1\n",
    "[uwsgi]\nfor = a b\nif-exists=x\nendfor\n",
];

#[test]
fn the_original_reads_these_texts_as_we_do() {
    let Some(original) = Original::find() else {
        return;
    };
    for text in TEXTS {
        original.compare(text.as_bytes());
    }
}

#[test]
fn the_original_reads_command_lines_as_we_do() {
    let Some(original) = Original::find() else {
        return;
    };
    for line in [
        "--processes 4 --workers=3 -p 2 -p5 --master -M --ini case.ini --threads 2",
        "-MTi -S a=b --set c=d=e --set-placeholder f=g --ini case.ini:other",
        "case.ini --harakiri 3 --lazy-apps --vacuum --buffer-size=4096 -b 8192",
        "--enable-thr --need-a --ini=case.ini --env A=1 --env=B=2 --chdir /",
        "--ini case.ini:other --uid root --max-requests 5 -R 6 --listen 7 -l8",
    ] {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let text = b"[uwsgi]\na=%x %o\n[other]\nb=%x %s %X\n";
        let mut world = original.world();
        world.files.insert(original.file(), text.to_vec());
        original.compare_args(&args, text, &world);
    }
}

#[test]
fn random_texts_are_read_as_the_original_reads_them() {
    let Some(original) = Original::find() else {
        return;
    };
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..120 {
        original.compare(&random.ini());
    }
}

/// A text of pieces that matter to the line rules and the substitutions, and harm nobody: no key of
/// it is an option.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % 1_000_003).unwrap() % end
    }

    fn ini(&mut self) -> Vec<u8> {
        // Placeholders speak of these only: a key that holds itself keeps the original busy for ever.
        let mut text = b"[uwsgi]\nva=5\nvb=<>\n".to_vec();
        for _ in 0..self.below(14) {
            text.extend_from_slice(self.pick(&[
                "",
                "",
                "",
                "  ",
                "\t",
                ";",
                " #",
                "[",
                "[uwsgi]\n",
                "[other]\n",
                "\n",
            ]));
            text.extend_from_slice(self.pick(&["kb", "kc", "kd", "ke x", "\"", "", "k%n", "\\"]));
            text.extend_from_slice(self.pick(&["=", " = ", "=", "\t=\t", "", ":", " "]));
            for _ in 0..self.below(4) {
                // A value never starts with a placeholder: there the original stops too early.
                text.extend_from_slice(self.pick(&[
                    "x%(va)",
                    "x%(va + 2)",
                    "v$(CORE_TEST)",
                    "w$(CORE_NONE)",
                    "100%",
                    "%%",
                    "3",
                    "x%(vb vz)",
                    "%n",
                    "%40",
                    "\"q\"",
                    "\\",
                    "a b",
                    "=",
                    "[y]",
                    "\u{a0}",
                    "caf\u{e9}",
                    "x%(va - 1 * 3)",
                    "%(",
                    ")",
                    "\r",
                    "\u{b}",
                ]));
            }
            text.extend_from_slice(self.pick(&["\n", "\n", "\r\n", "  \n", "\\\n"]));
        }
        text
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static [u8] {
        from[self.below(from.len())].as_bytes()
    }
}

struct Original {
    directory: tempfile::TempDir,
    world: Memory,
}

impl Original {
    fn find() -> Option<Self> {
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

    fn compare(&self, text: &[u8]) {
        let mut world = self.world();
        world.files.insert(self.file(), text.to_vec());
        let args = ["--ini".to_owned(), "case.ini".to_owned()];
        self.compare_args(&args, text, &world);
    }

    fn compare_args(&self, args: &[String], text: &[u8], world: &Memory) {
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

    fn world(&self) -> Memory {
        Memory {
            facts: self.world.facts.clone(),
            files: self.world.files.clone(),
            env: self.world.env.clone(),
            inode: self.world.inode,
            is_foreign: false,
        }
    }

    fn file(&self) -> PathBuf {
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
