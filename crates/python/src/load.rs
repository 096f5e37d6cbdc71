//! Imports what `module`, `wsgi-file`, `mount`, `eval` and `paste` name, and what `import` wants
//! before; says in one line why something cannot be.

use std::path::Path;

use imperator_core::message::LoadError;
use imperator_core::settings::{Mount, Settings, Target};
use pyo3::exceptions::{PyImportError, PyOSError, PySyntaxError, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTypeMethods};

use crate::callable::{self, Refused};
use crate::{errors, gevent};

/// One app that was loaded.
pub(crate) struct Mounted {
    /// The SCRIPT_NAME that it serves; "" for the default app.
    pub(crate) prefix: String,
    pub(crate) app: Py<PyAny>,
}

impl AsRef<str> for Mounted {
    fn as_ref(&self) -> &str {
        &self.prefix
    }
}

/// Why an app cannot be loaded.
pub(crate) struct Failure {
    /// One line.
    pub(crate) summary: String,
    /// Empty when no Python code is to blame.
    pub(crate) traceback: String,
    /// Files that the traceback names: a failed import leaves no module.
    pub(crate) files: Vec<String>,
    pub(crate) error: Option<Box<LoadError>>,
}

/// Loads all apps in config order.
///
/// # Errors
/// The first that cannot be loaded. Without `need-app` it is left out instead, and handed to
/// `skipped`.
pub(crate) fn all(
    py: Python<'_>,
    settings: &Settings,
    cwd: &Path,
    skipped: &mut dyn FnMut(Failure),
) -> Result<Vec<Mounted>, Failure> {
    if settings.mounts.is_empty() && settings.need_app {
        return Err(Failure {
            summary: "nothing to run: set module, wsgi-file or mount".to_owned(),
            traceback: String::new(),
            files: Vec::new(),
            error: None,
        });
    }
    gevent::prepare(py, settings)?;
    for (alias, module) in &settings.interpreter.aliases {
        add_alias(py, alias, module)?;
    }
    for module in &settings.interpreter.imports {
        // uWSGI goes on as well: an app that needs the module fails by itself.
        if let Err(error) = import_any(py, module) {
            skipped(explain(
                py,
                &error,
                &cite_option(settings, "import", module),
            ));
        }
    }
    let mut loaded: Vec<Mounted> = Vec::new();
    for mount in &settings.mounts {
        let is_second = loaded.iter().any(|other| other.prefix == mount.prefix);
        if is_second {
            // uWSGI: "mountpoint already configured. skip."
            skipped(Failure {
                summary: format!(
                    "skipped, \"{}\" has an app already {}",
                    mount.prefix,
                    cite(mount)
                ),
                traceback: String::new(),
                files: Vec::new(),
                error: None,
            });
            continue;
        }
        match one(py, settings, cwd, mount) {
            Ok(app) => loaded.push(Mounted {
                prefix: mount.prefix.clone(),
                app,
            }),
            Err(failure) if settings.need_app => return Err(failure),
            Err(failure) => skipped(failure),
        }
    }
    Ok(loaded)
}

fn one(
    py: Python<'_>,
    settings: &Settings,
    cwd: &Path,
    mount: &Mount,
) -> Result<Py<PyAny>, Failure> {
    let default = settings.callable.as_deref().unwrap_or("application");
    let failed = |error: PyErr| explain(py, &error, &cite(mount));
    let (module, callable) = match &mount.target {
        Target::Module(target) => {
            let (name, callable) = match target.split_once(':') {
                Some((name, callable)) if !callable.is_empty() => (name, callable),
                Some((name, _)) => (name, default),
                None => (target.as_str(), default),
            };
            let name = name.trim();
            let module = match import(py, name) {
                Ok(module) => module,
                Err(_) if is_a_path(name) => {
                    let dotted = name.strip_suffix(".py").unwrap_or(name);
                    let dotted = dotted.trim_start_matches("./").replace('/', ".");
                    let or = match dotted.starts_with('.') {
                        true => String::new(),
                        false => format!(", or module = {dotted}"),
                    };
                    let text = format!(
                        "\"{name}\" is a file, and module names a module: set wsgi-file = {name}{or}"
                    );
                    return Err(because(&text, mount));
                }
                Err(error) => return Err(failed(error)),
            };
            (module, callable)
        }
        Target::File(path) => {
            let name = format!("uwsgi_file_{}", module_name(path));
            (run_file(py, &name, path).map_err(failed)?, default)
        }
        Target::Eval(code) => (run_code(py, code).map_err(failed)?, default),
        Target::Paste(uri) => {
            let logger = settings.interpreter.paste_logger;
            let app = load_paste(py, uri, cwd, logger).map_err(failed)?;
            return Ok(app.unbind());
        }
    };
    callable::pick(&module, callable).map_err(|refused| match refused {
        Refused::Raised(error) => failed(error),
        Refused::Lacks(text) => Failure {
            error: Some(Box::new(LoadError {
                classes: vec!["ImportError".to_owned()],
                ..LoadError::default()
            })),
            ..because(&text, mount)
        },
        Refused::Because(text) => because(&text, mount),
    })
}

/// Why it cannot be, where no code raised.
fn because(text: &str, mount: &Mount) -> Failure {
    Failure {
        summary: format!("{text} {}", cite(mount)),
        traceback: String::new(),
        files: Vec::new(),
        error: None,
    }
}

fn import<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import(intern!(py, "importlib"))?
        .call_method1(intern!(py, "import_module"), (name,))
}

/// What `import` and `pymodule-alias` name: a module, or a file by its path.
fn import_any<'py>(py: Python<'py>, module: &str) -> PyResult<Bound<'py, PyAny>> {
    if module.contains('/') || module.ends_with(".py") {
        let path = Path::new(module);
        run_file(py, &module_name(path), path)
    } else {
        import(py, module)
    }
}

fn add_alias(py: Python<'_>, alias: &str, module: &str) -> Result<(), Failure> {
    let add = || {
        if module.contains('/') {
            run_file(py, alias, Path::new(module))?;
            return Ok(());
        }
        let module = import(py, module)?;
        let modules = py.import(intern!(py, "sys"))?.getattr("modules")?;
        modules.set_item(alias, module)
    };
    let cite = format!("(pymodule-alias = {alias}={module})");
    add().map_err(|error| explain(py, &error, &cite))
}

/// Code of the config as a module; uWSGI: uwsgi_eval_loader.
fn run_code<'py>(py: Python<'py>, code: &str) -> PyResult<Bound<'py, PyAny>> {
    const NAME: &str = "uwsgi_eval_config";
    let builtins = py.import("builtins")?;
    let code = builtins.call_method1("compile", (code, NAME, "exec"))?;
    let module = py.import("types")?.call_method1("ModuleType", (NAME,))?;
    let modules = py.import(intern!(py, "sys"))?.getattr("modules")?;
    modules.set_item(NAME, &module)?;
    builtins.call_method1("exec", (code, module.getattr("__dict__")?))?;
    Ok(module)
}

/// An app of PasteDeploy, from the app's own packages.
fn load_paste<'py>(
    py: Python<'py>,
    uri: &str,
    cwd: &Path,
    logger: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("config", uri));
    let is_config = scheme == "config";
    let uri = match is_config {
        true => format!("config:{}", cwd.join(rest).display()),
        false => uri.to_owned(),
    };
    if logger && is_config {
        let file = rest.split('#').next().unwrap_or(rest);
        let file = cwd.join(file);
        let defaults = PyDict::new(py);
        defaults.set_item("__file__", file.as_os_str())?;
        defaults.set_item("here", file.parent().unwrap_or(cwd).as_os_str())?;
        py.import("logging.config")?
            .call_method1("fileConfig", (file.as_os_str(), defaults))?;
    }
    py.import("paste.deploy")?.call_method1("loadapp", (uri,))
}

/// Runs a file as a module of this name. Its byte code is not cached: `app.wsgi` and `app.py`
/// would fight for one cache file.
fn run_file<'py>(py: Python<'py>, name: &str, path: &Path) -> PyResult<Bound<'py, PyAny>> {
    // As a module's __file__ is: absolute.
    let path = &std::path::absolute(path)?;
    let loader = py
        .import("importlib.machinery")?
        .call_method1("SourceFileLoader", (name, path.as_os_str()))?;
    let util = py.import("importlib.util")?;
    let options = PyDict::new(py);
    options.set_item("loader", &loader)?;
    let spec = util.call_method(
        "spec_from_file_location",
        (name, path.as_os_str()),
        Some(&options),
    )?;
    let module = util.call_method1("module_from_spec", (spec,))?;
    let source = loader.call_method1("get_data", (path.as_os_str(),))?;
    let code = loader.call_method1("source_to_code", (source, path.as_os_str()))?;
    let modules = py.import(intern!(py, "sys"))?.getattr("modules")?;
    modules.set_item(name, &module)?;
    let run = py.import("builtins")?.getattr("exec")?;
    if let Err(error) = run.call1((code, module.getattr("__dict__")?)) {
        modules.del_item(name)?;
        return Err(error);
    }
    Ok(module)
}

/// uWSGI: plugins/python/pyloader.c, `/x/y.py` is `_x_y`.
fn module_name(path: &Path) -> String {
    let name = path.to_string_lossy().replace(['/', '.'], "_");
    name.strip_suffix("_py").unwrap_or(&name).to_owned()
}

fn is_a_path(module: &str) -> bool {
    module.contains('/') || Path::new(module).extension().is_some_and(|it| it == "py")
}

/// `(blog.ini:4: module = blog.wsgi)`
fn cite(mount: &Mount) -> String {
    let target = match &mount.target {
        Target::Module(name) if mount.prefix.is_empty() => format!("module = {name}"),
        Target::File(path) if mount.prefix.is_empty() => format!("wsgi-file = {}", path.display()),
        Target::Module(name) => format!("mount = {}={name}", mount.prefix),
        Target::File(path) => format!("mount = {}={}", mount.prefix, path.display()),
        // The code may be long, and its line tells which it is.
        Target::Eval(_) => "eval".to_owned(),
        Target::Paste(uri) if mount.prefix.is_empty() => format!("paste = {uri}"),
        Target::Paste(uri) => format!("mount = {}={uri}", mount.prefix),
    };
    if mount.place.line == 0 {
        return format!("({target})");
    }
    format!("({}: {target})", mount.place)
}

/// As [`cite`], for an option that is no app.
fn cite_option(settings: &Settings, option: &str, value: &str) -> String {
    match settings.places.get(option) {
        // The last of several lines is all that is known.
        Some(place) if settings.interpreter.imports.len() == 1 => {
            format!("({place}: {option} = {value})")
        }
        Some(_) | None => format!("({option} = {value})"),
    }
}

fn explain(py: Python<'_>, error: &PyErr, cite: &str) -> Failure {
    let value = error.value(py);
    // A SyntaxError's own text repeats its place.
    let text = match value.getattr("msg") {
        Ok(message) if error.is_instance_of::<PySyntaxError>(py) => message.to_string(),
        Ok(_) | Err(_) => value.to_string(),
    };
    let text = one_line(&text);
    let kind = match error.get_type(py).qualname() {
        Ok(name) => name.to_string(),
        Err(_) => "an exception".to_owned(),
    };
    let cause = if error.is_instance_of::<PySystemExit>(py) {
        format!("the app called sys.exit({text}) while it was loaded")
    } else if text.is_empty() {
        kind
    } else {
        format!("{kind}: {text}")
    };
    let found = app_place(py, error);
    let place = match &found {
        Some((file, line)) => format!(" ({file}:{line})"),
        None => String::new(),
    };
    Failure {
        summary: format!("{cause}{place} {cite}"),
        traceback: errors::traceback(py, error),
        files: traced_files(py, error),
        error: Some(Box::new(load_error(py, error, found))),
    }
}

/// What a program can tell of an exception.
fn load_error(py: Python<'_>, error: &PyErr, place: Option<(String, u32)>) -> LoadError {
    let value = error.value(py);
    let mro = error.get_type(py).mro();
    let classes = mro.iter().filter_map(|class| {
        let name = class.getattr(intern!(py, "__name__")).ok()?;
        name.extract::<String>().ok()
    });
    let text = |name: &str| value.getattr(name).ok()?.extract::<String>().ok();
    let is_import = error.is_instance_of::<PyImportError>(py);
    let is_os = error.is_instance_of::<PyOSError>(py);
    let (file, line) = place.unzip();
    LoadError {
        classes: classes.take(8).collect(),
        file,
        line,
        module: text("name").filter(|_| is_import),
        errno: value
            .getattr("errno")
            .ok()
            .filter(|_| is_os)
            .and_then(|errno| errno.extract().ok()),
        path: text("filename").filter(|_| is_os),
    }
}

/// Every file that the traceback, or a SyntaxError, names.
fn traced_files(py: Python<'_>, error: &PyErr) -> Vec<String> {
    let file = error.value(py).getattr("filename");
    let mut files: Vec<String> = file.and_then(|file| file.extract()).into_iter().collect();
    let mut next = error.traceback(py).map(Bound::into_any);
    while let Some(frame) = next {
        let file = frame
            .getattr("tb_frame")
            .and_then(|frame| frame.getattr("f_code")?.getattr("co_filename")?.extract());
        files.extend(file);
        let after = frame.getattr("tb_next").ok();
        next = after.filter(|after| !after.is_none());
    }
    files
}

/// The innermost place in the app's own code: not the interpreter's, not an installed package's.
fn app_place(py: Python<'_>, error: &PyErr) -> Option<(String, u32)> {
    let value = error.value(py);
    if error.is_instance_of::<PySyntaxError>(py)
        && let Ok(file) = value.getattr("filename").and_then(|file| file.extract())
        && let Ok(line) = value.getattr("lineno").and_then(|line| line.extract())
    {
        return Some((file, line));
    }
    let library = library_directory(py)?;
    let frames = py
        .import("traceback")
        .and_then(|module| module.call_method1("extract_tb", (error.traceback(py),)))
        .ok()?;
    let mut innermost = None;
    for frame in frames.try_iter().ok()? {
        let frame = frame.ok()?;
        let file: String = frame.getattr("filename").ok()?.extract().ok()?;
        let is_installed = file.contains("/site-packages/") || file.contains("/dist-packages/");
        if !file.starts_with('<') && !file.starts_with(&library) && !is_installed {
            innermost = Some((file, frame.getattr("lineno").ok()?.extract().ok()?));
        }
    }
    innermost
}

/// Where the standard library is, with a slash at the end.
fn library_directory(py: Python<'_>) -> Option<String> {
    let file: String = py
        .import("os")
        .ok()?
        .getattr("__file__")
        .ok()?
        .extract()
        .ok()?;
    file.strip_suffix("os.py").map(str::to_owned)
}

fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > LONGEST {
        line.truncate(line.floor_char_boundary(LONGEST));
        line.push('…');
    }
    line
}
