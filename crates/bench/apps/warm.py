"""What apps would save that are forked from one warm interpreter: `warm.py [APPS]`, as root.

Starts so many interpreters, each of which imports the app and answers, and counts the pages that they
have together, each once. Then the same as forks of one interpreter: one that has only started, and one
that has imported the app's framework. The last column is what one app more costs.
"""

import gc
import os
import signal
import struct
import subprocess
import sys

PAGE = 4096
PRESENT, FRAME = 1 << 63, (1 << 55) - 1
HERE = os.path.dirname(os.path.abspath(__file__))


def frames(pid):
    found = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        for line in maps:
            if "[v" in line:
                continue
            start, end = (int(text, 16) // PAGE for text in line.split()[0].split("-"))
            pagemap.seek(start * 8)
            data = pagemap.read((end - start) * 8)
            for (entry,) in struct.iter_unpack("Q", data[: len(data) // 8 * 8]):
                if entry & PRESENT:
                    found.add(entry & FRAME)
    return found


def serve(kind):
    """Imports the app, answers a thousand requests, says so and waits."""
    sys.path.insert(0, HERE)
    if kind == "hello":
        from bench_app import application
    else:
        from bench_django import application
    import io

    for _ in range(1000):
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
        }
        answer = application(environ, lambda status, headers, exc_info=None: None)
        b"".join(answer)
        getattr(answer, "close", lambda: None)()
    os.write(1, b".")
    while True:
        signal.pause()


def started(kind, warm):
    """The pids of one more app: a new interpreter, or a fork of this one."""
    if warm is None:
        child = subprocess.Popen([sys.executable, __file__, "serve", kind], stdout=subprocess.PIPE)
        child.stdout.read(1)
        return child.pid
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writable, 1)
        try:
            serve(kind)
        finally:
            os._exit(1)
    os.close(writable)
    os.read(readable, 1)
    return pid


def measure(kind, warm, count):
    """Runs in a process of its own, the interpreter that is warm."""
    if warm == "framework":
        sys.path.insert(0, HERE)
        if kind == "django":
            import django.conf
            import django.core.handlers.wsgi
            import django.http
            import django.template
            import django.urls
    # Counting needs memory of this process; so one that is forked before does it.
    gc.collect()
    gc.freeze()
    pids, all_at = [], []
    for number in range(count):
        pids.append(started(kind, warm))
        if number in (0, count - 1):
            group = pids + ([os.getpid()] if warm else [])
            readable, writable = os.pipe()
            counter = os.fork()
            if counter == 0:
                total = len(set().union(*map(frames, group)))
                os.write(writable, str(total).encode())
                os._exit(0)
            all_at.append(int(os.read(readable, 100)) * PAGE / (1 << 20))
            os.waitpid(counter, 0)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    first, last = all_at
    more = (last - first) / (count - 1)
    print(f"| {kind} | {warm or 'none: an interpreter each'} | {last:.1f} | {more:.2f} |", flush=True)


def main():
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print(f"| app | warm | {count} apps, MiB | one more, MiB |\n|---|---|---:|---:|", flush=True)
    for kind in ("hello", "django"):
        for warm in (None, "interpreter", "framework"):
            if kind == "hello" and warm == "framework":
                continue
            pid = os.fork()
            if pid == 0:
                measure(kind, warm, count)
                os._exit(0)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
