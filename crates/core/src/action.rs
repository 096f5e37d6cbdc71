//! The actions of hooks, `name:arguments`, read as the original reads them. Pure; the crate `hooks`
//! performs them.

use std::path::PathBuf;

use crate::command::{self, Command};

/// What one hook line does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Chdir(PathBuf),
    Mkdir(PathBuf),
    Rmdir(PathBuf),
    Unlink(PathBuf),
    /// `None` removes the variable.
    Putenv(String, Option<String>),
    Chmod(PathBuf, u32),
    /// Names.
    Chown(PathBuf, String, String),
    /// Numbers.
    Chown2(PathBuf, u32, u32),
    Sticky(PathBuf),
    Exec {
        command: String,
        /// Its failure is only told.
        safe: bool,
    },
    /// Empties a file that is there.
    Create(PathBuf),
    Write {
        path: PathBuf,
        text: String,
        append: bool,
    },
    WriteFifo {
        path: PathBuf,
        text: String,
        /// Until somebody reads it.
        wait: bool,
    },
    Mount {
        fs: String,
        what: String,
        place: PathBuf,
        flags: String,
    },
    Umount {
        place: PathBuf,
        flags: String,
    },
    Hostname(String),
    WaitForFs(PathBuf, Wanted),
    WaitForSocket(String),
    Print(String),
    Exit(i32),
    Sleep(u32),
    /// From now on this signal means this to the master.
    Signal(i32, Command),
    Order(Command),
}

/// What is waited for in a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Anything,
    File,
    Directory,
    Mountpoint,
}

impl Action {
    /// # Errors
    /// Why the original would end at this line, or why we cannot do it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((name, rest)) = text.split_once(':') else {
            return Err(format!("\"{text}\" is no action: write name:arguments"));
        };
        // A leading "!" keeps the line out of the original's log.
        let name = name.strip_prefix('!').unwrap_or(name);
        let path = || PathBuf::from(rest);
        let two = |form: &str| match rest.split_once(' ') {
            Some((first, second)) => Ok((PathBuf::from(first), second)),
            None => Err(format!("\"{text}\" lacks a part: write {name}:{form}")),
        };
        Ok(match name {
            "cd" | "chdir" => Self::Chdir(path()),
            "mkdir" => Self::Mkdir(path()),
            "unlink" => Self::Unlink(path()),
            "putenv" => match rest.split_once('=') {
                Some(("", _)) => return Err(format!("\"{text}\" names no variable")),
                Some((name, value)) => Self::Putenv(name.to_owned(), Some(value.to_owned())),
                None if rest.is_empty() => return Err(format!("\"{text}\" names no variable")),
                None => Self::Putenv(rest.to_owned(), None),
            },
            "chmod" => {
                let (path, mode) = two("FILE MODE")?;
                Self::Chmod(path, mode_of(mode, text)?)
            }
            "chown" => {
                let (path, owner) = two("FILE USER GROUP")?;
                let Some((user, group)) = owner.split_once(' ') else {
                    return Err(format!(
                        "\"{text}\" lacks a part: write chown:FILE USER GROUP"
                    ));
                };
                Self::Chown(path, user.to_owned(), group.to_owned())
            }
            "chown2" => {
                let (path, owner) = two("FILE UID GID")?;
                let ids = owner
                    .split_once(' ')
                    .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
                let Some((uid, gid)) = ids else {
                    return Err(format!(
                        "\"{text}\" needs two numbers: write chown2:FILE UID GID"
                    ));
                };
                Self::Chown2(path, uid, gid)
            }
            "sticky" => Self::Sticky(path()),
            "exec" | "safeexec" => Self::Exec {
                command: rest.to_owned(),
                safe: name == "safeexec",
            },
            "create" | "creat" => Self::Create(path()),
            "write" | "writen" | "append" => {
                let (path, text) = two("FILE TEXT")?;
                let end = if name == "writen" { "\n" } else { "" };
                Self::Write {
                    path,
                    text: format!("{text}{end}"),
                    append: name == "append",
                }
            }
            "appendn" => {
                let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
                Self::Write {
                    path: path.into(),
                    text: format!("{text}\n"),
                    append: true,
                }
            }
            "writefifo" | "spinningfifo" => {
                let (path, text) = two("FIFO TEXT")?;
                Self::WriteFifo {
                    path,
                    text: text.to_owned(),
                    wait: name == "spinningfifo",
                }
            }
            "mount" => mount(rest, text)?,
            "umount" => {
                let (place, flags) = rest.split_once(' ').unwrap_or((rest, ""));
                Self::Umount {
                    place: place.into(),
                    flags: flags.to_owned(),
                }
            }
            "hostname" => Self::Hostname(rest.to_owned()),
            "wait_for_fs" => Self::WaitForFs(path(), Wanted::Anything),
            "wait_for_file" => Self::WaitForFs(path(), Wanted::File),
            "wait_for_dir" => Self::WaitForFs(path(), Wanted::Directory),
            // Only the option has it in the original.
            "wait_for_mountpoint" => Self::WaitForFs(path(), Wanted::Mountpoint),
            "wait_for_socket" => Self::WaitForSocket(rest.to_owned()),
            "print" | "log" => Self::Print(rest.to_owned()),
            "exit" => Self::Exit(atoi(rest)),
            "unix_signal" => {
                let (number, function) = two("NUMBER FUNCTION")?;
                let number = atoi(&number.to_string_lossy());
                match command::of_function(function) {
                    Some(command) if number > 0 => Self::Signal(number, command),
                    Some(_) => return Err(format!("\"{text}\" names no signal")),
                    None => return Err(format!("there is no function \"{function}\" here")),
                }
            }
            "call" | "callret" | "callint" | "callintret" => call(rest)?,
            "alarm" => return Err("alarms are not raised by hooks here".to_owned()),
            "rpc" | "retryrpc" => return Err("there are no remote procedures here".to_owned()),
            other => return Err(format!("there is no action \"{other}\"")),
        })
    }
}

/// C's functions that hooks are seen to call, and the original's own.
fn call(rest: &str) -> Result<Action, String> {
    let (function, argument) = rest.split_once(' ').unwrap_or((rest, ""));
    match function {
        "chdir" => Ok(Action::Chdir(argument.into())),
        "unlink" | "remove" => Ok(Action::Unlink(argument.into())),
        "rmdir" => Ok(Action::Rmdir(argument.into())),
        "sleep" => Ok(Action::Sleep(
            u32::try_from(atoi(argument)).unwrap_or_default(),
        )),
        "exit" => Ok(Action::Exit(atoi(argument))),
        other => command::of_function(other)
            .map(Action::Order)
            .ok_or_else(|| format!("there is no function \"{other}\" here")),
    }
}

/// `mount:FS WHAT WHERE [FLAGS]`
fn mount(rest: &str, text: &str) -> Result<Action, String> {
    let mut parts = rest.splitn(4, ' ');
    let (Some(fs), Some(what), Some(place)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!(
            "\"{text}\" lacks a part: write mount:FS WHAT WHERE [FLAGS]"
        ));
    };
    Ok(Action::Mount {
        fs: fs.to_owned(),
        what: what.to_owned(),
        place: place.into(),
        flags: parts.next().unwrap_or_default().to_owned(),
    })
}

/// Three octal digits, or four.
fn mode_of(mode: &str, text: &str) -> Result<u32, String> {
    let fits = (3..=4).contains(&mode.len());
    let number = u32::from_str_radix(mode, 8).ok().filter(|_| fits);
    number.ok_or_else(|| format!("\"{text}\" has no mode: write 660, for example"))
}

/// The number at the start as C's `atoi` reads it: 0 without one.
pub(crate) fn atoi(text: &str) -> i32 {
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(digits.len());
    let number = digits[..end].parse().unwrap_or(0);
    if text.starts_with('-') {
        -number
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_split_at_the_first_spaces() {
        let parse = |text| Action::parse(text).unwrap();
        assert_eq!(
            parse("write:/tmp/a b c"),
            Action::Write {
                path: "/tmp/a".into(),
                text: "b c".into(),
                append: false
            }
        );
        assert_eq!(
            parse("appendn:/tmp/a"),
            Action::Write {
                path: "/tmp/a".into(),
                text: "\n".into(),
                append: true
            }
        );
        assert_eq!(
            parse("chown:/run/a www-data adm"),
            Action::Chown("/run/a".into(), "www-data".into(), "adm".into())
        );
        assert_eq!(
            parse("!exec:echo a:b"),
            Action::Exec {
                command: "echo a:b".into(),
                safe: false
            }
        );
        assert_eq!(
            parse("mount:none /a /b bind,ro"),
            Action::Mount {
                fs: "none".into(),
                what: "/a".into(),
                place: "/b".into(),
                flags: "bind,ro".into()
            }
        );
        assert_eq!(parse("callret:chdir /"), Action::Chdir("/".into()));
    }

    #[test]
    fn functions_of_the_original_are_known_by_what_they_do() {
        let stop = Action::parse("unix_signal:15 gracefully_kill_them_all");
        assert_eq!(stop, Ok(Action::Signal(15, Command::Stop)));
        let reload = Action::parse("callint:uwsgi_reload_workers");
        assert_eq!(reload, Ok(Action::Order(Command::ReloadWorkers)));
    }

    #[test]
    fn what_cannot_be_done_says_why() {
        for (text, why) in [
            ("nothing", "is no action"),
            ("chmod:/run/a", "lacks a part"),
            ("chmod:/run/a rw", "has no mode"),
            ("chown2:/a root root", "needs two numbers"),
            ("unix_signal:15 malloc", "no function \"malloc\""),
            ("setquota:/dev/sda 1 2", "no action \"setquota\""),
            ("putenv:=x", "names no variable"),
        ] {
            let error = Action::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
