"""The app of `imperator-bench soak`: short and long answers, bodies, files, mistakes."""
import os
import threading
import time

PIECE = b"x" * 262144


def application(environ, start_response):
    path = environ["PATH_INFO"]
    length = int(path.rsplit("/", 1)[1]) if path.count("/") > 1 else 0
    if path == "/boom":
        raise ValueError("boom")
    if environ["REQUEST_METHOD"] == "POST":
        total = 0
        while True:
            data = environ["wsgi.input"].read(262144)
            if not data:
                break
            total += len(data)
        body = b"%d" % total
    elif path.startswith("/pieces/"):
        start_response("200 OK", [("Content-Length", str(length // len(PIECE) * len(PIECE)))])
        return (PIECE for _ in range(length // len(PIECE)))
    elif path.startswith("/file/"):
        name = "hole.%d.%d" % (os.getpid(), threading.get_ident())
        with open(name, "wb") as hole:
            hole.truncate(length)
        opened = open(name, "rb")
        os.unlink(name)
        start_response("200 OK", [("Content-Length", str(length))])
        return environ["wsgi.file_wrapper"](opened)
    elif path.startswith("/bytes/"):
        body = b"x" * length
    elif path == "/slow":
        time.sleep(0.01)
        body = b"slow"
    else:
        body = b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
