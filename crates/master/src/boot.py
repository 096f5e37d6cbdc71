# What the master runs in the app's own interpreter (`python -c`): checks the interpreter, loads the
# extension from descriptor 4 and hands over. Parses on Python 2.7 and later, so that an
# interpreter that is too old says so itself, on the channel (descriptor 3).
import os
import sys


def unfit(why):
    import json

    if isinstance(why, bytes):
        why = why.decode("utf-8", "replace")
    why = why.encode("utf-8", "replace").decode("utf-8")
    said = {"say": "unfit", "python": "%d.%d.%d" % sys.version_info[:3], "why": why}
    os.write(3, json.dumps(said).encode("ascii"))
    sys.exit(1)


def boot():
    me = "python %d.%d.%d of %s" % (sys.version_info[:3] + (sys.executable or "an unknown path",))
    if sys.version_info < (3, 9):
        unfit(me + " is too old; Imperator needs CPython 3.9 or later")
    if sys.implementation.name != "cpython":
        unfit("%s is %s; Imperator needs CPython 3.9 or later" % (me, sys.implementation.name))
    if "t" in sys.abiflags:
        unfit(me + " is a free-threaded build, which Imperator cannot load yet")
    for fd in (3, 4, 5, 6):
        try:
            os.set_inheritable(fd, False)
        except OSError:
            pass
    # `-c` puts '' first, which would follow every chdir of the app.
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    sys.argv[:] = ["uwsgi"]
    # What importlib is made of: importlib.util would bring in a dozen modules more, in each app.
    from _frozen_importlib import ModuleSpec
    from _frozen_importlib_external import ExtensionFileLoader

    path = "/proc/self/fd/4"
    try:
        loader = ExtensionFileLoader("imperator_python", path)
        module = loader.create_module(ModuleSpec("imperator_python", loader, origin=path))
        loader.exec_module(module)
    except Exception as error:
        unfit("%s cannot load Imperator's extension: %s" % (me, error))
    try:
        os.close(4)
    except OSError:
        pass
    # The app may look at __main__; nothing of ours is left there.
    leave = sys.exit
    for name in ("boot", "unfit", "os", "sys"):
        globals().pop(name, None)
    leave(module.main())


boot()
