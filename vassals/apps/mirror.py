"""Answers with the request: its environ, and its body's size."""

import os
import sys

SHOWN = ("REQUEST_", "PATH_", "SCRIPT_", "QUERY_", "CONTENT_", "SERVER_", "REMOTE_", "HTTP_", "wsgi.")


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    lines = [f"{key} = {environ[key]!r}" for key in sorted(environ) if key.startswith(SHOWN)]
    lines.append(f"body: {len(body)} bytes")
    lines.append(f"answered by process {os.getpid()}, Python {sys.version.split()[0]}")
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return ["\n".join(lines).encode() + b"\n"]
