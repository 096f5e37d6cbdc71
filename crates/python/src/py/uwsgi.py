# The module `uwsgi`, as apps of the original find it. Executed into the module at its first use;
# `native` is ours: what only the worker knows. What we do not have is an attribute all the same, so
# that an import or a decorator at the top of a file does not fail; it raises when it is called.
import os
import sys
import threading
import time

_native = native
del globals()["native"]

version = b"2.0"
version_info = (2, 0, 0, 0, b"imperator")
hostname = os.uname().nodename.encode()
opt = _native.options()
magic_table, env = {}, {}
if "pidfile" in opt:
    pidfile = opt["pidfile"]
numproc, cores, buffer_size, mode = _native.shape()
has_threads = 1
loop = "gevent" if _native.is_gevent() else None
sockets = []
started_on = _native.started_on()
is_a_reload = False
unbit = None
applications = None
SPOOL_OK, SPOOL_RETRY, SPOOL_IGNORE = -2, -1, 0
# The app may put a function there.
post_fork_hook = after_req_hook = atexit = None


def masterpid():
    return _native.masterpid()


def worker_id():
    return _native.worker_id()


def mule_id():
    return 0


def i_am_the_spooler():
    return None


def i_am_the_lord(name=None):
    return None


def in_farm(name=None):
    return None


def total_requests():
    """Of all workers of the app."""
    return _native.requests()[1]


def request_id():
    """Of this worker."""
    return _native.requests()[0]


def workers():
    """One dict for each worker of the app."""
    return tuple(_native.workers())


def mem():
    with open("/proc/self/statm") as statm:
        vsz, rss = statm.read().split()[:2]
    page = os.sysconf("SC_PAGE_SIZE")
    return (int(rss) * page, int(vsz) * page)


def logsize():
    return 0


def listen_queue(socket=0):
    return 0


def micros():
    return time.time_ns() // 1000


def ready():
    return True


def accepting():
    return None


def log(line):
    _native.log(_text(line))
    return True


def set_logvar(name, value):
    _native.set_logvar(_bytes(name), _bytes(value))


def get_logvar(name):
    return _native.get_logvar(_bytes(name))


def log_this_request():
    _native.log_this_request()


def disconnect():
    _native.disconnect()


def is_connected(fd):
    import select

    poll = select.poll()
    poll.register(fd, select.POLLRDHUP)
    return not poll.poll(0)


def reload():
    """Asks the master for the next generation."""
    _native.ask("reload")
    return True


def stop():
    """Asks the master to finish what runs and to end."""
    _native.ask("stop")
    return True


def suspend():
    time.sleep(0)
    return True


def async_sleep(seconds):
    time.sleep(seconds)
    return b""


def setprocname(name):
    _native.set_title(_text(name))


def set_user_harakiri(seconds):
    """Ends this request as harakiri does, unless it is set anew or to 0 in time."""
    seconds = int(seconds)
    if not _native.set_deadline(max(seconds, 0)):
        _harakiri.set(seconds)


# Locks: shared by all workers of the app, and held by one thread. A worker that dies frees its own.


class _Locks:
    def __init__(self):
        self.threads = {}
        self.guard = threading.Lock()
        self.file = None

    def of(self, number):
        number = int(number)
        if not 0 <= number < 256:
            raise ValueError("Invalid lock number")
        with self.guard:
            if self.file is None or self.file[0] != os.getpid():
                # A description of its own: one that is shared with a parent would share its locks.
                path = "/proc/self/fd/%d" % _native.locks()
                self.file = (os.getpid(), os.open(path, os.O_RDWR | os.O_CLOEXEC))
            thread = self.threads.setdefault(number, threading.Lock())
        return number, thread, self.file[1]

    def call(self, file, command, kind, number):
        import fcntl
        import struct

        # struct flock of 64-bit Linux: type, whence, start, length, pid.
        asked = struct.pack("hhqqi4x", kind, os.SEEK_SET, number, 1, 0)
        return struct.unpack("hhqqi4x", fcntl.fcntl(file, command, asked))[0]

    def lock(self, number):
        import fcntl

        number, thread, file = self.of(number)
        thread.acquire()
        pause = 0.001
        while True:
            try:
                self.call(file, fcntl.F_OFD_SETLK, fcntl.F_WRLCK, number)
                return
            except BlockingIOError:
                # By turns: a wait in the kernel would hold a hub and every signal handler.
                time.sleep(pause)
                pause = min(pause * 2, 0.02)
            except BaseException:
                thread.release()
                raise

    def unlock(self, number):
        import fcntl

        number, thread, file = self.of(number)
        if thread.locked():
            self.call(file, fcntl.F_OFD_SETLK, fcntl.F_UNLCK, number)
            thread.release()

    def is_locked(self, number):
        import fcntl

        number, thread, file = self.of(number)
        return (
            thread.locked()
            or self.call(file, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, number) != fcntl.F_UNLCK
        )


_locks = _Locks()


def lock(number=0):
    _locks.lock(number)


def unlock(number=0):
    _locks.unlock(number)


def is_locked(number=0):
    return _locks.is_locked(number)


class _Harakiri:
    """For threads that answer no request: the earliest deadline ends the worker, with its stacks."""

    def __init__(self):
        self.deadlines = {}

    def set(self, seconds):
        import faulthandler

        me = _native.task()
        if seconds > 0:
            self.deadlines[me] = time.monotonic() + seconds
        else:
            self.deadlines.pop(me, None)
        _native.watch_harakiri(bool(self.deadlines))
        faulthandler.cancel_dump_traceback_later()
        if self.deadlines:
            left = max(min(self.deadlines.values()) - time.monotonic(), 0.001)
            faulthandler.dump_traceback_later(left, exit=True, file=2)


_harakiri = _Harakiri()


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _bytes(value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


# What is not here, and what to use instead.
_INSTEAD = {
    "cache_": "use Redis, memcached, or a dict of each worker's own",
    "queue_": "use a task queue such as Celery, RQ or Huey",
    "sharedarea_": "use multiprocessing.shared_memory",
    "metric_": "use prometheus_client or statsd",
    "websocket_": "serve WebSockets by an ASGI server beside this app",
    "mule_": "run the program by attach-daemon, or as a service of its own",
    "farm_": "run the program by attach-daemon, or as a service of its own",
    "spool": "use a task queue such as Celery, RQ or Huey",
    "send_to_spooler": "use a task queue such as Celery, RQ or Huey",
    "set_spooler_frequency": "use a task queue such as Celery, RQ or Huey",
    "add_cron": "use the option cron, or a timer of systemd",
    "add_timer": "use threading.Timer after a postfork, the option cron, or a timer of systemd",
    "add_rb_timer": "use threading.Timer after a postfork, the option cron, or a timer of systemd",
    "add_ms_timer": "use threading.Timer after a postfork",
    "add_file_monitor": "use the option touch-reload, or watchdog in a thread",
    "register_signal": "use the option cron, or a task queue",
    "signal": "use the option cron, or a task queue",
    "rpc": "call the other app over HTTP",
    "register_rpc": "call the other app over HTTP",
    "rpc_list": "call the other app over HTTP",
    "call": "call the function itself",
    "alarm": "use the option alarm, or log a line",
    "chunked_read": "read wsgi.input: it ends where the chunks end",
    "sendfile": "return wsgi.file_wrapper",
    "offload": "return wsgi.file_wrapper",
    "route": "use the option route in the config",
    "snmp_": "use the option stats",
    "scrolls": "there is no legion",
    "lord_scroll": "there is no legion",
    "connect": "use the module socket",
    "send": "use the module socket",
    "recv": "use the module socket",
    "close": "use the module socket",
    "connection_fd": "the connection is the server's",
    "ready_fd": "use gevent = N",
    "wait_fd_": "use gevent = N",
    "async_": "use gevent = N",
    "add_var": "change the environ",
    "parsefile": "read the file",
    "embedded_data": "use importlib.resources",
    "SymbolsImporter": "use the module zipimport",
    "SymbolsZipImporter": "use the module zipimport",
    "ZipImporter": "use the module zipimport",
    "extract": "use the module zipfile or importlib.resources",
    "spooler": "use a task queue such as Celery, RQ or Huey",
    "start_response": "call the one that the app is called with",
    "cl": "read CONTENT_LENGTH of the environ",
    "green_schedule": "use gevent = N",
    "set_warning_message": "answer a page of your own",
}


class NotHere(NotImplementedError):
    pass


def __getattr__(name):
    instead = _INSTEAD.get(name)
    if instead is None:
        found = [key for key in _INSTEAD if name.startswith(key) and (key[-1] == "_" or key == "signal" or key.startswith("spool") or key == "chunked_read")]
        instead = _INSTEAD[found[0]] if found else None
    if instead is None:
        raise AttributeError("module 'uwsgi' has no attribute %r" % name)

    def missing(*arguments, **options):
        raise NotHere("uwsgi.%s is not here under Imperator: %s" % (name, instead))

    missing.__name__ = missing.__qualname__ = name
    return missing
