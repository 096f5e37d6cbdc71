"""Reads requests as h11 and gunicorn read them. Lines of hex come in, lines of JSON go out: what each
makes of the request, or why it refuses."""
import json
import sys

import h11
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser

CONFIG = Config()


def of_h11(request):
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(request)
        event = connection.next_event()
        if event is h11.NEED_DATA:
            return {"more": "head"}
        kind, rest = h11._connection._body_framing(event.method, event)
        told = {
            "method": event.method.decode(),
            "target": event.target.decode("latin-1"),
            "length": rest[0] if kind == "content-length" else None,
            "headers": [[n.decode().lower(), v.decode("latin-1")] for n, v in event.headers],
        }
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                told["more"] = "body"
                return told
            if isinstance(event, h11.EndOfMessage):
                told["body"] = body.hex()
                return told
            body += event.data
    except h11.RemoteProtocolError as error:
        return {"refused": str(error)}


def of_gunicorn(request):
    parser = RequestParser(CONFIG, iter([request]), ("127.0.0.1", 1))
    try:
        read = next(parser)
        reader = read.body.reader
        told = {
            "method": read.method,
            "target": read.uri,
            "length": getattr(reader, "length", None),
            "headers": [[name.lower(), value] for name, value in read.headers],
        }
        length = told["length"]
        body = read.body.read()
        if length is not None and len(body) < length:
            told["more"] = "body"
        else:
            told["body"] = body.hex()
        return told
    except (NoMoreData, StopIteration):
        return {"more": "somewhere"}
    except Exception as error:
        return {"refused": "%s: %s" % (type(error).__name__, error)}


for line in sys.stdin:
    request = bytes.fromhex(line.strip())
    print(json.dumps([of_h11(request), of_gunicorn(request)]))
