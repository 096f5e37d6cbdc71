"""The standard library's own judge of PEP 3333 around a small app: any breach is a 500."""
from wsgiref.validate import validator


def plain(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    keys = sorted(key for key in environ if key.isupper())
    text = "\n".join(f"{key}={environ[key]}" for key in keys)
    start_response("200 OK", [("Content-Type", "text/plain; charset=latin-1")])
    return [text.encode("latin-1"), b"\nbody=%d" % len(body)]


application = validator(plain)
