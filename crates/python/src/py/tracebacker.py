# `py-tracebacker`: who connects to the socket is told the stacks of all threads.
import os
import sys
import traceback


def original(module, name):
    """What gevent has not patched: a greenlet would not run while the hub's thread hangs."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(__import__(module), name)


def stacks():
    threads = {}
    threading = sys.modules.get("threading")
    if threading is not None:
        threads = {thread.ident: thread.name for thread in threading.enumerate()}
    told = ["*** stacks of all threads of pid %d ***\n" % os.getpid()]
    for ident, frame in sys._current_frames().items():
        if ident != own:
            told.append("\nthread %s (%d)\n" % (threads.get(ident, "without a name"), ident))
            told.extend(traceback.format_stack(frame))
    return "".join(told).encode("utf-8", "backslashreplace")


def serve(listener):
    global own
    own = original("_thread", "get_ident")()
    while True:
        connection, _ = listener.accept()
        try:
            connection.settimeout(5)
            connection.sendall(stacks())
        except OSError:
            pass
        finally:
            connection.close()


def start(path):
    import socket
    import threading  # Knows the main thread by being imported in it.

    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    listener = original("socket", "socket")(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    original("_thread", "start_new_thread")(serve, (listener,))
    return listener
