"""The app that both servers run in a comparison: as little Python as an answer needs."""

import time

HELLO = b"Hello, Emperor!\n"


def count(number):
    total = 0
    for value in range(number):
        total += value * value
    return total


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/bytes/"):
        body = b"x" * int(path[7:])
    elif path.startswith("/count/"):
        body = b"%d\n" % count(int(path[7:]))
        time.sleep(0.005)
    elif environ["REQUEST_METHOD"] == "POST":
        length = int(environ["CONTENT_LENGTH"] or 0)
        read = environ["wsgi.input"].read
        got = 0
        while got < length:
            part = read(min(65536, length - got))
            if not part:
                break
            got += len(part)
        body = b"%d\n" % got
    else:
        body = HELLO
    start_response(
        "200 OK",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    )
    return [body]
