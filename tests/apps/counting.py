"""Says which load of the code and which process answers, after a moment of work."""
import os
import time

# The ini that is touched does not change; each load of the code has its own mark.
LOADED = "%d-%d" % (os.getpid(), time.monotonic_ns())


def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.3)
    body = ("%s %d" % (LOADED, os.getpid())).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
