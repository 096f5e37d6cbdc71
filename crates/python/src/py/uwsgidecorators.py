# The module `uwsgidecorators`: postfork, lock, thread and harakiri work; the others raise where they
# are used, with what to use instead.
import functools
import threading

import uwsgi

# Only the other module needs it.
del globals()["native"]

postfork_chain = []


def postfork(wrapped=None, *arguments, **options):
    """Calls the function in each worker before its first request; `worker`: only in that one."""
    if callable(wrapped):
        postfork_chain.append(wrapped)
        return wrapped
    wanted = options.get("wid", wrapped)

    def decorate(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            if not wanted or uwsgi.worker_id() == wanted:
                return function(*args, **kwargs)

        postfork_chain.append(call)
        return call

    return decorate


def run_postfork():
    hook = getattr(uwsgi, "post_fork_hook", None)
    if callable(hook):
        hook()
    for function in postfork_chain:
        function()


def lock(function):
    @functools.wraps(function)
    def call(*arguments, **options):
        uwsgi.lock()
        try:
            return function(*arguments, **options)
        finally:
            uwsgi.unlock()

    return call


class thread:
    """A thread for the function in each worker, or for each call of it."""

    def __init__(self, function):
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *arguments, **options):
        started = threading.Thread(target=self.function, args=arguments, kwargs=options)
        started.daemon = True
        started.start()
        return self.function


class harakiri:
    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, function):
        @functools.wraps(function)
        def call(*arguments, **options):
            uwsgi.set_user_harakiri(self.seconds)
            try:
                return function(*arguments, **options)
            finally:
                uwsgi.set_user_harakiri(0)

        return call


def _missing(name, instead):
    def decorator(*arguments, **options):
        raise uwsgi.NotHere("uwsgidecorators.%s is not here under Imperator: %s" % (name, instead))

    decorator.__name__ = name
    return decorator


_TASKS = "use a task queue such as Celery, RQ or Huey"
_TIMES = "use the option cron, a timer of systemd, or threading.Timer after a postfork"
_PROGRAM = "run the program by attach-daemon, or as a service of its own"

for _name, _instead in {
    "spool": _TASKS,
    "spoolraw": _TASKS,
    "spoolforever": _TASKS,
    "timer": _TIMES,
    "rbtimer": _TIMES,
    "cron": _TIMES,
    "signal": _TIMES,
    "filemon": "use the option touch-reload, or watchdog in a thread",
    "mule": _PROGRAM,
    "mulefunc": _PROGRAM,
    "muleloop": _PROGRAM,
    "mulemsg_loop": _PROGRAM,
    "mulemsg": _PROGRAM,
    "farm": _PROGRAM,
    "farm_loop": _PROGRAM,
    "rpc": "call the other app over HTTP",
    "erlang": "call the other program over HTTP",
}.items():
    globals()[_name] = _missing(_name, _instead)
