//! The table: what is asked of `tests/wsgi/app.py`, and what any conforming server answers.

use super::ways::Way;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The status, and all of the body.
    Text(u16, &'static str),
    /// The status, and parts of the body.
    Parts(u16, &'static [&'static str]),
    Status(u16),
    /// The status, and no body at all.
    Empty(u16),
    /// The client can tell that the answer broke off.
    Broken,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) method: &'static str,
    pub(crate) uri: &'static str,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: &'static [u8],
    pub(crate) expected: Expected,
    /// Headers of the answer: name, and its values joined by `|`.
    pub(crate) answered: &'static [(&'static str, &'static str)],
    /// The original keeps the rule, too.
    pub(crate) original: bool,
    /// Where the front end makes something else of it.
    pub(crate) not_over: &'static [Way],
}

const fn get(uri: &'static str, expected: Expected) -> Case {
    Case {
        method: "GET",
        uri,
        headers: &[],
        body: b"",
        expected,
        answered: &[],
        original: true,
        not_over: &[],
    }
}

impl Case {
    const fn with(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    const fn by(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    const fn sending(mut self, body: &'static [u8]) -> Self {
        self.body = body;
        self
    }

    const fn answering(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.answered = headers;
        self
    }

    /// A row of docs/differences.md tells what the original does.
    const fn ours(mut self) -> Self {
        self.original = false;
        self
    }

    const fn not_over(mut self, ways: &'static [Way]) -> Self {
        self.not_over = ways;
        self
    }
}

use Expected::{Broken, Empty, Parts, Status, Text};

pub(crate) const CASES: &[Case] = &[
    // Methods and bodies, judged by wsgiref.validate inside the app.
    get("/valid/plain?q=1", Text(200, "plain:")).answering(&[("Content-Length", "6")]),
    get("/valid/plain", Text(200, "plain:"))
        .by("HEAD")
        .answering(&[("Content-Length", "6")]),
    get("/valid/plain", Text(200, "plain:")).by("POST"),
    get("/valid/plain", Text(200, "plain:a=1&b=2"))
        .by("POST")
        .with(&[("Content-Type", "application/x-www-form-urlencoded")])
        .sending(b"a=1&b=2"),
    get("/valid/plain", Text(200, "plain:{}"))
        .by("PUT")
        .with(&[("Content-Type", "application/json")])
        .sending(b"{}"),
    get("/valid/plain", Text(200, "plain:")).by("DELETE"),
    get("/valid/plain", Text(200, "plain:")).by("OPTIONS"),
    get("/valid/plain", Text(200, "plain:x"))
        .by("PATCH")
        .sending(b"x"),
    // Answers.
    get("/valid/streamed", Text(200, "first second")),
    get("/valid/streamed", Status(200)).by("HEAD").ours(),
    get("/valid/written", Text(200, "one two three")),
    get("/valid/closing", Text(200, "ab")),
    get("/valid/repeated", Text(201, "cookies=x=1; y=2"))
        .with(&[("Cookie", "x=1; y=2")])
        .answering(&[("Set-Cookie", "a=1; Path=/|b=2")]),
    get("/valid/empty", Empty(204)),
    get("/valid/replaced", Text(404, "replaced")).ours(),
    get("/bytes", Text(200, "a bytes object")),
    get("/twice", Status(500)).ours(),
    get("/cut", Text(200, "0123456789"))
        .answering(&[("Content-Length", "10")])
        .ours(),
    get("/short", Broken).not_over(&[Way::Uwsgi]).ours(),
    get("/304", Empty(304)).ours(),
    get("/hop-by-hop", Text(200, "hop")).ours(),
    // The environ.
    get(
        "/environ/a%20b/%C3%A9?x=%20&y=%C3%A9",
        Parts(
            200,
            &[
                "PATH_INFO='/environ/a b/\u{e9}'",
                "QUERY_STRING='x=%20&y=%C3%A9'",
                "REQUEST_METHOD='GET'",
                "wrong=[]",
                "dict=True",
                "wsgi.version=(1, 0)",
                "wsgi.url_scheme='http'",
                "wsgi.run_once=False",
            ],
        ),
    ),
    get(
        "/environ",
        Parts(200, &["SCRIPT_NAME=''", "wsgi.input_terminated=True"]),
    )
    .ours(),
    get(
        "/environ",
        Parts(
            200,
            &[
                "HTTP_X_ODD='a, b;c=\"d\"'",
                "HTTP_COOKIE='a=1; b=2'",
                "HTTP_ACCEPT='*/*'",
                "HTTP_HOST='test.example'",
            ],
        ),
    )
    .with(&[
        ("X-Odd", "a, b;c=\"d\""),
        ("Cookie", "a=1; b=2"),
        ("Accept", "*/*"),
    ]),
    get(
        "/environ",
        Parts(200, &["CONTENT_TYPE='text/x'", "CONTENT_LENGTH='3'"]),
    )
    .by("POST")
    .with(&[("Content-Type", "text/x")])
    .sending(b"abc"),
    get(
        "/environ",
        Parts(
            200,
            &["wsgi.url_scheme='http'", "HTTP_X_FORWARDED_PROTO='https'"],
        ),
    )
    .with(&[("X-Forwarded-Proto", "https")])
    .ours(),
    // wsgi.input, method by method against a BytesIO.
    get("/operations?3&read", Text(200, "same"))
        .by("POST")
        .sending(b"line 0\nline 1\nline 2"),
    get("/operations?3&readline,readline,read", Text(200, "same"))
        .by("POST")
        .sending(b"line 0\nline 1\nline 2"),
    get(
        "/operations?3&read:0,read:2,readline:3,readlines",
        Text(200, "same"),
    )
    .by("POST")
    .sending(b"line 0\nline 1\nline 2")
    .ours(),
    get("/operations?3&list", Text(200, "same"))
        .by("POST")
        .sending(b"line 0\nline 1\nline 2"),
    get(
        "/digest/parts",
        Text(200, "3 a9993e364706816aba3e25717850c26c9cd0d89d"),
    )
    .by("POST")
    .sending(b"abc"),
    // Files.
    get("/file?plain", Text(200, "0123456789 a small file")),
    get("/file?raw", Text(200, "0123456789 a small file")),
    get("/file?seek", Text(200, "3456789 a small file")).ours(),
    get("/file?short", Text(200, "0123")).ours(),
    get("/file?bytesio", Text(200, "in memory")),
    get("/file?subclass", Text(200, "0123456789 A SMALL FILE")).ours(),
    get("/file?pipe", Text(200, "from a pipe")).ours(),
    get("/file?gzip", Text(200, "unpacked")).ours(),
    get("/file?plain", Status(200)).by("HEAD").ours(),
    // Mistakes of apps: an answer, or an end that shows.
    get("/raise/before", Status(500)).ours(),
    get("/raise/after-start", Status(500)).ours(),
    get("/raise/iteration", Status(500)).ours(),
    get("/raise/late", Broken).not_over(&[Way::Uwsgi]).ours(),
    get("/raise/again", Broken).not_over(&[Way::Uwsgi]).ours(),
    // Over the uwsgi protocol nothing but the connection's end tells where such an answer ends.
    get("/raise/late-chunk", Broken)
        .not_over(&[Way::Uwsgi, Way::Nginx, Way::Apache])
        .ours(),
    get("/silent", Status(500)).ours(),
    get("/text-chunk", Status(500)).ours(),
    get("/none", Status(500)).ours(),
    get("/exit", Status(500)).ours(),
    get("/interrupt", Status(500)).ours(),
    get("/bad-start?cr", Status(500)).ours(),
    get("/bad-start?lf", Status(500)).ours(),
    get("/bad-start?nul", Status(500)).ours(),
    get("/bad-start?name-lf", Status(500)).ours(),
    get("/bad-start?name-colon", Status(500)).ours(),
    get("/bad-start?name-empty", Status(500)).ours(),
    get("/bad-start?status-lf", Status(500)).ours(),
    get("/bad-start?status-word", Status(500)).ours(),
    get("/bad-start?status-int", Status(500)).ours(),
    get("/bad-start?status-bytes", Status(500)).ours(),
    get("/bad-start?value-bytes", Status(500)).ours(),
    get("/bad-start?value-int", Status(500)).ours(),
    get("/bad-start?not-latin", Status(500)).ours(),
    get("/bad-start?no-headers", Status(500)).ours(),
    // After all of that the next one is served.
    get("/valid/plain", Text(200, "plain:")),
];
