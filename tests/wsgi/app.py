"""The app of the WSGI tests: each path is one habit of apps. Paths below /valid are judged by
wsgiref.validate; the others do what it forbids, or what it hides."""
import atexit
import gc
import gzip
import hashlib
import io
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
from wsgiref.validate import validator

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = [("Content-Type", "text/plain")]
seen = []
kept = []
meeting = threading.Barrier(2)

with open(os.path.join(HERE, "imports"), "a") as imports:
    imports.write("%d\n" % os.getpid())


def at_end():
    with open(os.path.join(HERE, "ends"), "a") as ends:
        ends.write("%d\n" % os.getpid())


atexit.register(at_end)
before_fork, after_fork = [], []
os.register_at_fork(
    before=lambda: before_fork.append(os.getpid()),
    after_in_parent=lambda: after_fork.append("parent"),
    after_in_child=lambda: after_fork.append(os.getpid()),
)


if "START_A_THREAD" in os.environ:
    threading.Thread(target=time.sleep, args=(3600,), name="helper", daemon=True).start()


def on_signal(number, frame):
    seen.append("signal %d on %s" % (number, threading.current_thread().name))


def wait_for_file(name):
    deadline = time.monotonic() + 30
    while not os.path.exists(os.path.join(HERE, name)):
        if time.monotonic() > deadline:
            raise RuntimeError("no file " + name)
        time.sleep(0.005)


class Closing:
    """An iterable that tells when it is closed."""

    def __init__(self, name, chunks):
        self.name, self.chunks = name, iter(chunks)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.chunks)

    def close(self):
        seen.append("closed " + self.name)


# Judged by wsgiref.validate.


def plain(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", TEXT + [("Content-Length", str(len(body) + 6))])
    return [b"plain:", body]


def streamed(environ, start_response):
    start_response("200 OK", TEXT)
    yield b""
    yield b"first "
    wait_for_file("go-on")
    yield b"second"


def written(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"one ")
    write(b"two ")
    return [b"three"]


def closing(environ, start_response):
    start_response("200 OK", TEXT)
    return Closing("valid", [b"a", b"b"])


def repeated(environ, start_response):
    headers = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"), ("X-Twice", "1"), ("X-Twice", "2")]
    start_response("201 Made Here", TEXT + headers)
    return [b"cookies=", environ.get("HTTP_COOKIE", "").encode("latin-1")]


def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


def replaced(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        raise ValueError("changed my mind")
    except ValueError:
        start_response("404 Gone Wrong", TEXT, sys.exc_info())
    return [b"replaced"]


def latin(environ, start_response):
    start_response("200 Caf\u00e9", TEXT + [("X-Latin", "\u00fc\u00ff")])
    return [environ["PATH_INFO"].encode("latin-1"), b"|", environ.get("HTTP_X_LATIN", "").encode("latin-1")]


# Not judged.


def environ_of(environ, start_response):
    wrong = [key for key in environ if type(key) is not str]
    wrong += [key for key, value in environ.items() if "." not in key and type(value) is not str]
    lines = ["wrong=%r" % wrong]
    for key in sorted(environ):
        value = environ[key]
        simple = type(value) in (str, bytes, bool, int, tuple)
        lines.append("%s=%s" % (key, repr(value) if simple else type(value).__name__))
    lines.append("dict=%s" % (type(environ) is dict))
    start_response("200 OK", TEXT)
    return ["\n".join(lines).encode("latin-1")]


def keep(environ, start_response):
    kept.append(environ)
    environ["mine"] = str(len(kept))
    first = kept[0]
    start_response("200 OK", TEXT)
    return [b"%d %d %d" % (len(first) > 20, first["mine"] == "1", "mine" in kept[-1])]


def digest(environ, start_response):
    stream, sha, total = environ["wsgi.input"], hashlib.sha1(), 0
    size = {"/digest/all": -1, "/digest/none": None}.get(environ["PATH_INFO"], 65536)
    while True:
        data = stream.read() if size is None else stream.read(size)
        if not data:
            break
        total += len(data)
        sha.update(data)
    start_response("200 OK", TEXT)
    return [b"%d %s" % (total, sha.hexdigest().encode())]


def operations(environ, start_response):
    """Does the same to wsgi.input and to a BytesIO that holds BODY of the query."""
    count, query = environ["QUERY_STRING"].split("&", 1)
    model = io.BytesIO(b"".join(b"line %d\n" % n for n in range(int(count)))[:-1])
    stream, lines = environ["wsgi.input"], []
    for operation in query.split(","):
        name, _, number = operation.partition(":")
        arguments = [int(number)] if number else []
        results = []
        for one in (stream, model):
            if name == "next":
                results.append(next(one, b"END"))
            elif name == "list":
                results.append(list(one))
            else:
                results.append(getattr(one, name)(*arguments))
        if results[0] != results[1]:
            lines.append("%s: %.80r is not %.80r" % (operation, results[0], results[1]))
    start_response("200 OK", TEXT)
    return [("\n".join(lines) or "same").encode()]


def body_lost(environ, start_response):
    try:
        environ["wsgi.input"].read()
        seen.append("whole body")
    except OSError as error:
        seen.append("body: %s" % type(error).__mro__[1].__name__)
    start_response("200 OK", TEXT)
    return []


def endless(environ, start_response):
    def chunks():
        try:
            while True:
                yield b"x" * 65536
        finally:
            seen.append("endless ended")

    start_response("200 OK", TEXT)
    return chunks()


def endless_write(environ, start_response):
    write = start_response("200 OK", TEXT)
    try:
        for _ in range(2000):
            write(b"x" * 65536)
        seen.append("wrote on")
    except OSError:
        seen.append("write raised")
    return []


def raise_before(environ, start_response):
    raise ValueError("before the head")


def raise_after_start(environ, start_response):
    start_response("200 OK", TEXT)
    raise ValueError("after start_response")


def raise_in_iteration(environ, start_response):
    def chunks():
        raise ValueError("at the first chunk")
        yield b""

    start_response("200 OK", TEXT)
    return Closing("raising", chunks())


def raise_late(environ, start_response):
    def chunks():
        yield b"begun"
        raise ValueError("after the first chunk")

    start_response("200 OK", TEXT + [("Content-Length", "100")])
    return Closing("late", chunks())


def raise_late_chunk(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"begun"
    raise ValueError("after the first chunk")


def reraise(environ, start_response):
    def chunks():
        yield b"begun"
        try:
            raise KeyError("the app's own")
        except KeyError:
            try:
                start_response("500 Too Late", TEXT, sys.exc_info())
            except KeyError:
                seen.append("raised again")
                raise

    start_response("200 OK", TEXT + [("Content-Length", "100")])
    return chunks()


def system_exit(environ, start_response):
    sys.exit(7)


def interrupt(environ, start_response):
    raise KeyboardInterrupt


def silent(environ, start_response):
    return [b"no head"]


def text_chunk(environ, start_response):
    start_response("200 OK", TEXT)
    return ["text"]


def none(environ, start_response):
    start_response("200 OK", TEXT)


def twice(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("201 Again", TEXT)
    return [b"?"]


def one_bytes(environ, start_response):
    start_response("200 OK", TEXT)
    return b"a bytes object"


def bad_start(environ, start_response):
    arguments = {
        "cr": ("200 OK", [("X-A", "a\rSet-Cookie: b=c")]),
        "lf": ("200 OK", [("X-A", "a\nSet-Cookie: b=c")]),
        "nul": ("200 OK", [("X-A", "a\0")]),
        "name-lf": ("200 OK", [("X-A\nX-B", "a")]),
        "name-colon": ("200 OK", [("X-A:", "a")]),
        "name-empty": ("200 OK", [("", "a")]),
        "status-lf": ("200 OK\nX: y", []),
        "status-word": ("fine", []),
        "status-int": (200, []),
        "status-bytes": (b"200 OK", []),
        "headers-tuple": ("200 OK", (("X-A", "a"),)),
        "headers-dict": ("200 OK", {"X-A": "a"}),
        "pair-list": ("200 OK", [["X-A", "a"]]),
        "pair-three": ("200 OK", [("X-A", "a", "b")]),
        "value-bytes": ("200 OK", [("X-A", b"a")]),
        "value-int": ("200 OK", [("X-A", 1)]),
        "value-none": ("200 OK", [("X-A", None)]),
        "not-latin": ("200 OK", [("X-A", "\u20ac")]),
        "no-headers": ("200 OK",),
    }[environ["QUERY_STRING"]]
    start_response(*arguments)
    return [b"accepted"]


def cut(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "10")])
    return [b"01234", b"56789", b" and more"]


def short(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "10")])
    return [b"01234"]


def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"x"')])
    return [b"a body that nobody may see"]


def hop_by_hop(environ, start_response):
    start_response("200 OK", TEXT + [("Connection", "close"), ("Transfer-Encoding", "chunked")])
    return [b"hop"]


def file(environ, start_response):
    kind = environ["QUERY_STRING"]
    path = os.path.join(HERE, "data")
    headers = list(TEXT)
    if kind == "bytesio":
        opened = io.BytesIO(b"in memory")
    elif kind == "text":
        opened = open(path)
    elif kind == "raw":
        opened = open(path, "rb", buffering=0)
    elif kind == "subclass":
        class Shouting(io.FileIO):
            def read(self, size=-1):
                return super().read(size).upper()

        opened = Shouting(path)
    elif kind == "gzip":
        with gzip.open(path + ".gz", "wb") as packed:
            packed.write(b"unpacked")
        opened = gzip.open(path + ".gz", "rb")
    elif kind == "pipe":
        read, write = os.pipe()
        os.write(write, b"from a pipe")
        os.close(write)
        opened = os.fdopen(read, "rb")
    else:
        opened = open(path, "rb")
        if kind == "seek":
            opened.read(3)
        if kind == "short":
            headers.append(("Content-Length", "4"))
        if kind == "closed":
            opened.close()
    wrapped = environ["wsgi.file_wrapper"](opened, 7)
    kept.append(opened)
    start_response("200 OK", headers)
    return wrapped


def files_closed(environ, start_response):
    open_ones = [one for one in kept if not one.closed]
    start_response("200 OK", TEXT)
    return [b"%d of %d open" % (len(open_ones), len(kept))]


def meet(environ, start_response):
    meeting.wait(20)
    start_response("200 OK", TEXT)
    return [threading.current_thread().name.encode()]


def fork(environ, start_response):
    if os.fork() == 0:
        seen.append("in the child")
    start_response("200 OK", TEXT)
    return [b"one answer"]


def fork_and_stay(environ, start_response):
    """A child that outlives the request, as multiprocessing's."""
    child = os.fork()
    if child == 0:
        wait_for_file("child-may-go")
        os._exit(0)
    start_response("200 OK", TEXT)
    return [b"%d" % child]


def facts(environ, start_response):
    if environ["QUERY_STRING"] == "hold":
        with open(os.path.join(HERE, "held-%d" % os.getpid()), "w"):
            wait_for_file("go-on")
    lines = [
        "pid=%d" % os.getpid(),
        "parent=%d" % os.getppid(),
        "group=%d" % os.getpgid(0),
        "forked=%r" % (os.getpid() in after_fork),
        # Of the forks so far, this one included; the mold's own hook has run after each that went before.
        "hooks=%r" % (len(before_fork) == len(after_fork) and set(after_fork) <= {"parent", os.getpid()}),
        "molds=%d" % len(set(before_fork) - {os.getpid()}),
        "frozen=%r" % (gc.get_freeze_count() > 1000),
        "random=%r" % random.random(),
        "openssl=%s" % ssl.RAND_bytes(8).hex(),
        "thread=%s" % threading.current_thread().name,
        "main=%r" % (threading.current_thread() is threading.main_thread()),
        "threads=%s" % " ".join(sorted(thread.name for thread in threading.enumerate())),
        "argv=%r" % sys.argv,
        "name=%s" % __name__,
        "version=%s" % sys.version.split()[0],
        "fds=%s" % " ".join(sorted(os.listdir("/proc/self/fd"))),
    ]
    start_response("200 OK", TEXT)
    return ["\n".join(lines).encode()]


def terminate_a_child(environ, start_response):
    """A new process has the signal mask of the thread that starts it."""
    meeting.wait(20)
    child = subprocess.Popen(["sleep", "60"])
    child.terminate()
    start_response("200 OK", TEXT)
    return [("%s %d" % (threading.current_thread().name, child.wait(20))).encode()]


def listen_to_signals(environ, start_response):
    """On the main thread only: one thread."""
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, on_signal)
    start_response("200 OK", TEXT)
    return [b"listening"]


def hang(environ, start_response):
    a_name_that_a_stack_shows()
    start_response("200 OK", TEXT)
    return [b"went on"]


def a_name_that_a_stack_shows():
    seen.append("hanging")
    wait_for_file("go-on")


def what_was_seen(environ, start_response):
    start_response("200 OK", TEXT)
    return ["\n".join(seen).encode()]


JUDGED = {
    "/valid/plain": plain,
    "/valid/streamed": streamed,
    "/valid/written": written,
    "/valid/closing": closing,
    "/valid/repeated": repeated,
    "/valid/empty": empty,
    "/valid/replaced": replaced,
}
OTHERS = {
    "/environ": environ_of,
    "/keep": keep,
    "/digest/all": digest,
    "/digest/none": digest,
    "/digest/parts": digest,
    "/operations": operations,
    "/body-lost": body_lost,
    "/endless": endless,
    "/endless-write": endless_write,
    "/raise/before": raise_before,
    "/raise/after-start": raise_after_start,
    "/raise/iteration": raise_in_iteration,
    "/raise/late": raise_late,
    "/raise/late-chunk": raise_late_chunk,
    "/raise/again": reraise,
    "/exit": system_exit,
    "/interrupt": interrupt,
    "/silent": silent,
    "/text-chunk": text_chunk,
    "/none": none,
    "/twice": twice,
    "/bytes": one_bytes,
    "/bad-start": bad_start,
    "/cut": cut,
    "/short": short,
    "/304": not_modified,
    "/hop-by-hop": hop_by_hop,
    "/file": file,
    "/files-closed": files_closed,
    "/meet": meet,
    "/fork": fork,
    "/fork-and-stay": fork_and_stay,
    "/terminate-a-child": terminate_a_child,
    "/facts": facts,
    "/listen-to-signals": listen_to_signals,
    "/hang": hang,
    "/seen": what_was_seen,
}


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/valid/latin"):
        return validator(latin)(environ, start_response)
    if path.startswith("/environ/"):
        return environ_of(environ, start_response)
    if path in JUDGED:
        return validator(JUDGED[path])(environ, start_response)
    return OTHERS[path](environ, start_response)
