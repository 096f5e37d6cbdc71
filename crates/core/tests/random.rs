//! Made-up configs from a grammar of the language, read by the original and by us.

mod common;

use common::original::{Original, Random};

/// Texts per run; `TEXTS=5000 SEED=7` looks further.
const TEXTS: u64 = 120;

#[test]
fn random_programs_of_the_language_are_read_as_the_original_reads_them() {
    let Some(original) = Original::find() else {
        return;
    };
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let mut random = Random(
        number("SEED")
            .unwrap_or(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15),
    );
    for _ in 0..number("TEXTS").unwrap_or(TEXTS) {
        original.compare(&program(&mut random));
    }
}

/// Options that act at once, blocks, sections and placeholders. `va` and `vb` are plain, and only they
/// are spoken of inside values that are spoken of: a circle keeps the original busy for ever.
fn program(random: &mut Random) -> Vec<u8> {
    let mut text = b"[uwsgi]\nva=5\nvb=x y\n".to_vec();
    let mut declared = false;
    for _ in 0..random.below(12) {
        let line = match random.below(16) {
            0 => [b"set=", name(random), b"=", value(random).as_slice()].concat(),
            1 => [b"set-ph=ph=", value(random).as_slice()].concat(),
            2 => [b"for=", random.pick(&["a b", "", "1", " q  r "])].concat(),
            3 => [b"for-times=", random.pick(&["2", "0", "-1", "x", " 3"])].concat(),
            4 => [
                b"for-readline=",
                random.pick(&["inc.txt", "none", "inc.ini"]),
            ]
            .concat(),
            5 | 6 => {
                let key = random.pick(&[
                    "if-env",
                    "if-not-env",
                    "ifenv",
                    "if-opt",
                    "if-not-opt",
                    "if-exists",
                    "if-not-exists",
                    "if-file",
                    "if-not-file",
                    "if-dir",
                    "if-not-dir",
                    "if-directory",
                    "ifdir",
                    "if-reload",
                    "if-not-reload",
                ]);
                let value = random.pick(&[
                    "CORE_TEST",
                    "CORE_TEST=value",
                    "CORE_TEST=no",
                    "NONE",
                    "va",
                    "va=5",
                    "va=6",
                    "ka",
                    "kb=1",
                    "inc.txt",
                    ".",
                    "none",
                    "",
                ]);
                [key, b" = ", value].concat()
            }
            7 | 8 => random
                .pick(&[
                    "endif",
                    "endfor=",
                    "end = 1",
                    "end-if",
                    "end-for",
                    "endif = x",
                ])
                .to_vec(),
            9 => [
                b"ini=",
                random.pick(&[":more", "inc.ini", "inc.ini:extra", ":none"]),
            ]
            .concat(),
            10 => b"include=inc.ini".to_vec(),
            11 if !declared => {
                declared = true;
                random
                    .pick(&[
                        "declare-option=own=env=$1",
                        "declare-option=own=ka=$1$2;env=B=$1",
                        "declare-option2=own=env=$1",
                    ])
                    .to_vec()
            }
            12 if declared => [b"own=", value(random).as_slice()].concat(),
            13 => random
                .pick(&[
                    "blacklist=kc kd",
                    "end-blacklist",
                    "strict=false",
                    "early-envdir=none",
                    "uid=root",
                    "processes=%(va)",
                    "listen=%(va)",
                    "umask=%(va)",
                    "env=A=%(va)",
                    "plugins=",
                    "threads=2 ; c",
                    "module",
                    "inherit=inc.ini",
                ])
                .to_vec(),
            _ => [
                name(random),
                random.pick(&["=", " = ", ""]),
                value(random).as_slice(),
            ]
            .concat(),
        };
        text.extend_from_slice(&line);
        text.extend_from_slice(random.pick(&["\n", "\r\n", " \n"]));
    }
    text.extend_from_slice(b"end=\n[more]\nm=%n %x %o\nka=%(_)\n");
    text
}

fn name(random: &mut Random) -> &'static [u8] {
    random.pick(&["ka", "kb", "kc", "kd", "k%(_)", "ke f"])
}

fn value(random: &mut Random) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 0..random.below(4) {
        value.extend_from_slice(random.pick(&[
            "%(va)",
            "%(va + 2)",
            "%(vb)",
            "%(none)",
            "%(va(x))",
            "%(vb va)",
            "$(CORE_TEST)",
            "$(NONE)",
            "$(A$(CORE_TEST))",
            "@(inc.txt)",
            "%(_)",
            "%(va ++ ++)",
            "%()",
            "$",
            "@",
            "%%",
            "(",
            ")",
            " ",
            "x",
            "1",
            "=",
            ";",
            "%n",
            "%(va * va - 1)",
            "$(CORE_TEST",
            "%%(va)",
        ]));
    }
    value
}
