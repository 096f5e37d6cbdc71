//! Our reading of the ini language beside the original's: made-up texts, the flat list of options
//! that `uwsgi-core --show-config` prints, and ours. Skips loudly where the original is missing.

mod common;

use common::original::{Original, Random};

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
    "[uwsgi]\na=%(b)%(b)\nb=%(c)\nc=1\nd=x%(b)\ne=%(e(f))$(A(B))@\n",
    // Options that act at once.
    "[uwsgi]\nset = k=v=w\na=%(k)\nset-placeholder=p=q\nb=%(p)\nset-ph = r=s\n",
    "[uwsgi]\na=1\nini=:more\nb=2\n[more]\nc=3\na=4\n",
    "[uwsgi]\nini=inc.ini\nini=:extra\nini=inc.ini:extra\nb=%n%N\n",
    "[uwsgi]\ninclude=inc.ini\nb=%s\nlisten=%(b)\nlisten=7\n",
    // Blocks.
    "[uwsgi]\nif-not-opt=k\nk=1\nl=2\nendif\nif-opt=k\nm=%(_)\nendif\nif-not-env=CORE_TEST=no\nn=%(_)\nendif\n",
    "[uwsgi]\nif-env=CORE_NONE\nif-exists=/\na=1\nendif\nb=1\nendif\nfor=1 2\nini=:more\nendfor\n[more]\nend=\nc=%(_)\n",
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
        original.compare(&ini(&mut random));
    }
}

/// A text of pieces that matter to the line rules and the substitutions, and harm nobody: no key of
/// it is an option.
fn ini(random: &mut Random) -> Vec<u8> {
    // Placeholders speak of these only: a key that holds itself keeps the original busy for ever.
    let mut text = b"[uwsgi]\nva=5\nvb=<>\n".to_vec();
    for _ in 0..random.below(14) {
        text.extend_from_slice(random.pick(&[
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
        text.extend_from_slice(random.pick(&["kb", "kc", "kd", "ke x", "\"", "", "k%n", "\\"]));
        text.extend_from_slice(random.pick(&["=", " = ", "=", "\t=\t", "", ":", " "]));
        for _ in 0..random.below(4) {
            // A value never starts with a placeholder: there the original stops too early.
            text.extend_from_slice(random.pick(&[
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
        text.extend_from_slice(random.pick(&["\n", "\n", "\r\n", "  \n", "\\\n"]));
    }
    text
}
