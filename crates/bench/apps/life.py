"""The app of the lifecycle harness. It writes down each request that it begins and ends, so that
clients, app and server log can be compared, and answers with its version and its process."""

import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))

with open(os.path.join(HERE, "version")) as file:
    VERSION = int(file.read())
with open(os.path.join(HERE, "load-seconds")) as file:
    time.sleep(float(file.read()))

READY = True
PARTS = 20
PART = 3200
LOG = os.open(os.path.join(HERE, "app.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


def note(letter, number):
    os.write(LOG, f"{letter} {number} {os.getpid()}\n".encode())


def stream(number, first):
    for index in range(PARTS):
        if index:
            time.sleep(0.05)
        yield first.ljust(PART, b"x") if index == 0 else b"x" * PART
    note("E", number)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if not path.startswith("/r/"):
        status = "200 OK" if READY else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return [b""]
    _, _, number, kind = path.split("/")
    note("B", number)
    got = 0
    if kind == "slow":
        time.sleep(2)
    elif kind == "upload":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        while got < length:
            part = environ["wsgi.input"].read(min(8192, length - got))
            if not part:
                break
            got += len(part)
    body = f"{VERSION} {os.getpid()} {number} {got} ".encode()
    length = PARTS * PART if kind == "stream" else len(body)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(length))])
    if kind == "stream":
        return stream(number, body)
    note("E", number)
    return [body]
