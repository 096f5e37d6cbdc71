"""Answers with what it saw, as JSON. One path per question."""
import hashlib
import json
import os
import subprocess
import sys
import threading
import time


def application(environ, start_response):
    name = environ.get("PATH_INFO", "").strip("/").split("/")[0] or "who"
    view = VIEWS.get(name, who)
    return view(environ, start_response)


def answer(start_response, fact, status="200 OK", headers=()):
    body = json.dumps(fact, sort_keys=True, default=repr).encode()
    head = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(status, head + list(headers))
    return [body]


def who(environ, start_response):
    return answer(
        start_response,
        {
            "script_name": environ.get("SCRIPT_NAME"),
            "path_info": environ.get("PATH_INFO"),
            # A file's module is named after its path.
            "app": "uwsgi_file" if __name__.startswith("uwsgi_file") else __name__,
        },
    )


def environ_view(environ, start_response):
    """Every key; of values that are no plain data, their type's place in PEP 3333 is enough."""
    body = environ["wsgi.input"].read()
    plain = {}
    for key, value in environ.items():
        if key in ("wsgi.input", "wsgi.errors", "wsgi.file_wrapper"):
            value = "object"
        plain[key] = value if isinstance(value, (str, bool, int, tuple)) else repr(value)
    return answer(
        start_response,
        {"environ": plain, "order": list(plain), "body": hashlib.sha256(body).hexdigest()},
    )


def process(environ, start_response):
    return answer(
        start_response,
        {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "cwd": os.getcwd(),
            "env": dict(os.environ),
            "path": sys.path,
            "argv": sys.argv,
            "thread": threading.current_thread().name,
            "uid": os.getuid(),
            "gid": os.getgid(),
            "groups": os.getgroups(),
            "executable": sys.executable,
            "prefix": sys.prefix,
            "umask": current_umask(),
            "fds": len(os.listdir("/proc/self/fd")),
        },
    )


def current_umask():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("Umask:"):
                return line.split()[1]


def child(environ, start_response):
    """The environment of a child: what setenv(3) did, Python's own copy does not show."""
    return answer(start_response, subprocess.check_output(["/usr/bin/env"]).decode("latin-1"))


def slow(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    return answer(start_response, "slow")


def echo(environ, start_response):
    digest, length = hashlib.sha256(), 0
    while True:
        block = environ["wsgi.input"].read(65536)
        if not block:
            break
        digest.update(block)
        length += len(block)
    return answer(start_response, {"length": length, "sha256": digest.hexdigest()})


def read_zero(environ, start_response):
    first = environ["wsgi.input"].read(3)
    rest = environ["wsgi.input"].read()
    again = environ["wsgi.input"].read()
    parts = [part.decode("latin-1") for part in (first, rest, again)]
    return answer(start_response, parts)


def lines(environ, start_response):
    found = [line.decode("latin-1") for line in environ["wsgi.input"]]
    return answer(start_response, found)


def headers(environ, start_response):
    start_response(
        "201 Somehow Created",
        [
            ("Content-Type", "text/plain"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2; Path=/"),
            ("X-Latin", "caf\xe9"),
            ("Content-Length", "2"),
        ],
    )
    return [b"ok"]


def chunks(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one ", b"", b"two ", b"three"]


def write(environ, start_response):
    say = start_response("200 OK", [("Content-Type", "text/plain")])
    say(b"written ")
    return [b"returned"]


def nothing(environ, start_response):
    start_response("204 No Content", [])
    return []


def boom(environ, start_response):
    raise RuntimeError("before the headers")


def late_boom(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"some"
    raise RuntimeError("after the headers")


def replaced(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("changed my mind")
    except ValueError:
        start_response("503 Later", [("X-Second", "2")], sys.exc_info())
    return [b"replaced"]


def split(environ, start_response):
    start_response("200 OK", [("X-Bad", "a\r\nX-Injected: yes")])
    return [b"split"]


def mute(environ, start_response):
    return [b"no status"]


class Closing:
    closed = 0

    def __iter__(self):
        yield b"closing"

    def close(self):
        Closing.closed += 1


def closing(environ, start_response):
    start_response("200 OK", [])
    return Closing()


def closed(environ, start_response):
    return answer(start_response, Closing.closed)


def file(environ, start_response):
    opened = open(__file__, "rb")
    start_response("200 OK", [("Content-Length", str(os.path.getsize(__file__)))])
    return environ["wsgi.file_wrapper"](opened, 4096)


def long_body(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    return [b"longer than it says"]


def say(environ, start_response):
    print(environ.get("QUERY_STRING", ""), flush=True)
    return answer(start_response, "said")


def status(environ, start_response):
    return answer(start_response, "told", environ.get("QUERY_STRING", "") + " Told")


VIEWS = {
    "who": who,
    "environ": environ_view,
    "process": process,
    "child": child,
    "slow": slow,
    "echo": echo,
    "read": read_zero,
    "lines": lines,
    "headers": headers,
    "chunks": chunks,
    "write": write,
    "nothing": nothing,
    "boom": boom,
    "late-boom": late_boom,
    "replaced": replaced,
    "split": split,
    "mute": mute,
    "closing": closing,
    "closed": closed,
    "file": file,
    "long-body": long_body,
    "say": say,
    "status": status,
}


def other(environ, start_response):
    return answer(start_response, {"callable": "other"})


def factory():
    return other
