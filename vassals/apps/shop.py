"""Two callables of one module, run as two apps."""

import json
import os


def front(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    yield b"<h1>The shop</h1>\n"
    yield b"<p>Its prices: <a href='http://127.0.0.1:8003/prices'>/prices</a></p>\n"


def api(environ, start_response):
    if environ["PATH_INFO"] != "/prices":
        start_response("404 Not Found", [("Content-Type", "application/json")])
        return [b'{"error": "try /prices"}\n']
    answer = {"greeting": os.environ["SHOP_GREETING"], "laurel": 12, "purple": 1200}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode() + b"\n"]
