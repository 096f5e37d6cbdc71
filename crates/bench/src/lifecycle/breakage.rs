//! The ways in which a deploy can be bad.

use crate::lifecycle::servers::Server;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breakage {
    Syntax,
    Import,
    Exception,
    Hang,
    Exit,
    Segfault,
    Killed,
    Memory,
    MissingModule,
    MissingVirtualenv,
    WrongPython,
    NotReady,
    BrokenConfig,
    VanishedDirectory,
    PortTaken,
}

pub const ALL: [Breakage; 15] = [
    Breakage::Syntax,
    Breakage::Import,
    Breakage::Exception,
    Breakage::Hang,
    Breakage::Exit,
    Breakage::Segfault,
    Breakage::Killed,
    Breakage::Memory,
    Breakage::MissingModule,
    Breakage::MissingVirtualenv,
    Breakage::WrongPython,
    Breakage::NotReady,
    Breakage::BrokenConfig,
    Breakage::VanishedDirectory,
    Breakage::PortTaken,
];

/// Those that show how another server takes a bad deploy: code that fails, hangs and crashes, and
/// a config that cannot be followed.
pub const SOME: [Breakage; 6] = [
    Breakage::Import,
    Breakage::Hang,
    Breakage::Segfault,
    Breakage::BrokenConfig,
    Breakage::VanishedDirectory,
    Breakage::PortTaken,
];

impl Breakage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax error",
            Self::Import => "import error",
            Self::Exception => "exception at load",
            Self::Hang => "hang at load",
            Self::Exit => "exit at load",
            Self::Segfault => "segfault at load",
            Self::Killed => "SIGKILL at load (as by the OOM killer)",
            Self::Memory => "no memory at load",
            Self::MissingModule => "missing module",
            Self::MissingVirtualenv => "missing virtualenv",
            Self::WrongPython => "wrong Python",
            Self::NotReady => "failing ready-request",
            Self::BrokenConfig => "broken ini",
            Self::VanishedDirectory => "vanished ini directory",
            Self::PortTaken => "port taken",
        }
    }

    /// Whether the server has what this breaks.
    pub fn concerns(self, server: Server) -> bool {
        match self {
            Self::Syntax
            | Self::Import
            | Self::Exception
            | Self::Hang
            | Self::Exit
            | Self::Segfault
            | Self::Killed
            | Self::Memory => true,
            Self::MissingModule
            | Self::MissingVirtualenv
            | Self::BrokenConfig
            | Self::PortTaken => server.reads_ini(),
            Self::VanishedDirectory => server.has_emperor(),
            Self::WrongPython | Self::NotReady => server == Server::Ours,
        }
    }

    /// Whether the deploy fails, so that somebody has to tell it; else nothing happens at all.
    pub fn fails(self) -> bool {
        self != Self::VanishedDirectory
    }

    /// What stands at the end of the app's file.
    pub fn code(self) -> Option<&'static str> {
        match self {
            Self::Syntax => Some("def broken(:\n"),
            Self::Import => Some("import nothing_of_this_name\n"),
            Self::Exception => Some("raise RuntimeError('a bad deploy')\n"),
            Self::Hang => Some("time.sleep(600)\n"),
            Self::Exit => Some("os._exit(3)\n"),
            Self::Segfault => Some("import ctypes\nctypes.string_at(0)\n"),
            Self::Killed => Some("os.kill(os.getpid(), 9)\n"),
            Self::Memory => Some(
                "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n\
                 bytearray(4 << 30)\n",
            ),
            Self::NotReady => Some("READY = False\n"),
            Self::MissingModule
            | Self::MissingVirtualenv
            | Self::WrongPython
            | Self::BrokenConfig
            | Self::VanishedDirectory
            | Self::PortTaken => None,
        }
    }

    /// What the config is then, of what it was. `taken` is an address that somebody else has.
    pub fn config(self, good: &str, taken: &str) -> Option<String> {
        match self {
            Self::MissingModule => Some(good.replace("module = life", "module = no_such_life")),
            // An interpreter that is named would be taken whatever the virtualenv is.
            Self::MissingVirtualenv => {
                let lines = good.lines().filter(|line| !line.starts_with("python = "));
                let kept: String = lines.flat_map(|line| [line, "\n"]).collect();
                Some(format!("{kept}virtualenv = /nowhere/venv\n"))
            }
            // The last one counts.
            Self::WrongPython => Some(format!("{good}python = /bin/false\n")),
            Self::BrokenConfig => Some(format!("{good}processes = many\ninclude = nowhere.ini\n")),
            Self::PortTaken => Some(format!("{good}socket = {taken}\n")),
            Self::Syntax
            | Self::Import
            | Self::Exception
            | Self::Hang
            | Self::Exit
            | Self::Segfault
            | Self::Killed
            | Self::Memory
            | Self::NotReady
            | Self::VanishedDirectory => None,
        }
    }
}
