//! Families of the interpreter and its engines.

use super::{Family, harmless, later, left_out};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "Gevent",
        support: later("raise threads"),
        rows: "
gevent | number | serve this many requests at once by gevent
gevent-early-monkey-patch | flag | patch the library before the app is loaded
gevent-monkey-patch | flag | patch the library
gevent-wait-for-hub | flag | wait for gevent's hub at the end
",
    },
    Family {
        title: "Asynchronous engines",
        support: later("raise threads, or use gevent"),
        rows: "
async | number=1 | requests that a worker serves at once without threads
asyncio | number | serve this many requests at once by asyncio
loop | text=simple | engine that serves requests
",
    },
    Family {
        title: "Scripts and shells",
        support: left_out(
            "workers run the app, nothing else",
            "run the script with the app's own python, or by attach-daemon",
        ),
        rows: "
pyrun py | path | run a script in place of the app
pyshell | text | a Python shell in the first worker
pyshell-oneshot | text | the same, once
test -J | text | import a module, and exit
",
    },
    Family {
        title: "Apps of other kinds",
        support: left_out(
            "WSGI is the only interface",
            "name the WSGI callable by module or wsgi-file; a file of three lines makes one",
        ),
        rows: "
eval | text | Python source that makes the app
ini-paste | path! | read a paste config, and the app that it describes
ini-paste-logged | path! | the same, with its logging
paste | text | app of a paste config
paste-logger | flag | set up logging from the paste config
pecan | path | app of a pecan config
pump | text | app by the pump interface
python-raw | path | function that gets connections as they are
web3 | text | app by PEP 444
wsgi-lite | text | app by the WSGI lite interface
",
    },
    Family {
        title: "The interpreter",
        support: later("say it in the app's first lines, or choose the interpreter by python"),
        rows: "
import pyimport py-import python-import | text | module to import beside the app
no-site | flag | do not import site
optimize -O | number | level of optimisation
post-pymodule-alias | pair | name for a module, later in the start
py-auto-reload-ignore | text | module that is not watched
py-autoreload py-auto-reload python-auto-reload python-autoreload | seconds | reload when a module's file changes
py-executable py-sys-executable | path | value of sys.executable
py-programname py-program-name | text | name that Python is started by
py-tracebacker | path | print the stacks of all threads on this socket
pyargv | text | value of sys.argv
pymodule-alias | pair | name for a module, ALIAS=MODULE
reload-os-env | flag | read the environment anew for each app
shared-import shared-pyimport shared-py-import shared-python-import | text | module to import in all processes
start_response-nodelay | flag | send headers before the first part of the body
wsgi-accept-buffer wsgi-accept-buffers | flag | take buffers for bytes in answers
wsgi-disable-file-wrapper | flag | no wsgi.file_wrapper
wsgi-env-behaviour wsgi-env-behavior | text | keep or renew the dict of the environ
wsgi-strict | flag | take only what PEP 3333 allows
",
    },
    Family {
        title: "Crashes",
        support: harmless("a worker that crashes is named with its signal, and leaves a core as the system says"),
        rows: "
use-abort | flag | leave a core at a crash
",
    },
];
