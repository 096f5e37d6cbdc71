//! What is in flight when a worker is to go: an answer that is streamed, an upload that comes slowly,
//! a thread of the app, its exit handlers. All are finished, whatever the worker goes for.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::apps::{APP, ask, folder, pid_of, serving, start_in, wait_log, wait_version};
use crate::support::{Alone, PATIENCE, Signal, Vars, is_alive};

const FLIGHT: &str = "
import atexit
atexit.register(lambda: open('exits', 'a').write('exit%d ' % os.getpid()))

def work():
    while not os.path.exists('finish'):
        time.sleep(0.01)
    open('exits', 'a').write('thread%d ' % os.getpid())

def pieces():
    for number in range(3):
        while number and not os.path.exists('piece%d' % number):
            time.sleep(0.01)
        yield b'piece%d ' % number

inner = application
workers = []

def begin():
    workers.append(threading.Thread(target=work))
    workers[0].start()

if 'EAGER' in os.environ:
    begin()

def application(environ, start_response):
    if not workers:
        begin()
    if environ['PATH_INFO'] == '/stream':
        start_response('200 OK', [('X-Worker', str(os.getpid()))])
        return pieces()
    if environ['PATH_INFO'] == '/upload':
        size = len(environ['wsgi.input'].read(int(environ['CONTENT_LENGTH'])))
        start_response('200 OK', [])
        return [b'%d bytes' % size]
    return inner(environ, start_response)
";

const SIZE: usize = 200_000;

fn flying(lines: &str) -> Alone {
    let code = format!("{APP}{FLIGHT}");
    start_in(
        folder(&code),
        &format!("threads = 4\nsocket-timeout = 60\n{lines}"),
    )
}

fn open(app: &Alone, vars: Vars) -> UnixStream {
    let mut stream = UnixStream::connect(app.path("app.sock")).expect("a connection");
    let patience = Some(PATIENCE);
    stream.set_read_timeout(patience).expect("a timeout");
    stream.write_all(&vars.packet(0, 0)).expect("a request");
    stream
}

/// An answer of which the first piece is here, and who gives it.
fn stream(app: &Alone) -> (UnixStream, i32) {
    let mut streaming = open(app, Vars::request("GET", "/stream"));
    let mut seen = Vec::new();
    while !seen.ends_with(b"piece0 ") {
        let mut byte = [0];
        assert_eq!(streaming.read(&mut byte).expect("the first piece"), 1);
        seen.push(byte[0]);
    }
    let seen = String::from_utf8(seen).expect("a head");
    let mut worker = seen.lines().filter_map(|it| it.strip_prefix("X-Worker: "));
    let worker = worker.next().and_then(|it| it.trim().parse().ok());
    (streaming, worker.expect("a worker"))
}

#[track_caller]
fn ends_well(app: &Alone, mut streaming: UnixStream) {
    app.folder.write("piece1", "");
    app.folder.write("piece2", "");
    let mut rest = String::new();
    let read = streaming.read_to_string(&mut rest);
    assert!(
        read.is_ok() && rest == "piece1 piece2 ",
        "{read:?} {rest} {}",
        app.report()
    );
}

/// `go`: lets the app's only worker go, and returns when nothing new reaches it.
fn what_is_in_flight_is_finished(lines: &str, go: impl Fn(&Alone)) {
    let mut app = flying(lines);
    let before = pid_of(&serving(&app));
    let (streaming, worker) = stream(&app);
    assert_eq!(worker, before);
    let length = SIZE.to_string();
    let vars = Vars::request("POST", "/upload").with("CONTENT_LENGTH", &length);
    let mut upload = open(&app, vars);
    upload.write_all(&vec![b'x'; SIZE / 2]).expect("half of it");
    // Another request on a later connection: the worker has accepted the ones before.
    ask(&app, "/").expect("an answer");
    go(&app);
    assert!(is_alive(before), "{}", app.report());
    ends_well(&app, streaming);
    upload.write_all(&vec![b'x'; SIZE / 2]).expect("the rest");
    let mut answer = String::new();
    upload.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("200000 bytes"), "{answer}");
    assert!(is_alive(before), "its thread works: {}", app.report());
    app.folder.write("finish", "");
    app.wait_for("the old worker's end", |_| {
        (!is_alive(before)).then_some(())
    });
    has_had_its_turns(&app, before);
    app.send(Signal::TERM);
    assert_eq!(app.wait_for_end(), 0);
    assert!(
        !app.log().contains("in time and was killed"),
        "{}",
        app.report()
    );
}

/// Its thread came to its end, and then its exit handler.
#[track_caller]
fn has_had_its_turns(app: &Alone, pid: i32) {
    let exits = app.folder.read("exits");
    let place = |what: &str| exits.find(&format!("{what}{pid} "));
    let (thread, exit) = (place("thread"), place("exit"));
    assert!(
        thread.is_some() && thread < exit,
        "{exits}\n{}",
        app.report()
    );
}

fn wait_for_another(app: &Alone) {
    let before = app.wait_for("an answer", |app| ask(app, "/"));
    app.wait_for("another worker", |app| {
        ask(app, "/").filter(|facts| facts["pid"] != before["pid"])
    });
}

#[test]
fn a_streaming_answer_and_a_slow_upload_survive_a_reload() {
    what_is_in_flight_is_finished("", |app| {
        let code = app.folder.read("app.py").replace("\"one\"", "\"two\"");
        app.folder.write("app.py", &code);
        app.send(Signal::HUP);
        wait_version(app, "two");
    });
}

#[test]
fn what_is_in_flight_outlives_a_stop() {
    what_is_in_flight_is_finished("", |app| {
        app.send(Signal::TERM);
        app.wait_for("nobody to listen", |app| {
            let connected = UnixStream::connect(app.path("app.sock"));
            connected.is_err().then_some(())
        });
    });
}

#[test]
fn what_is_in_flight_outlives_the_recycling_for_requests() {
    let lines = "max-requests = 20\nmin-worker-lifetime = 0";
    what_is_in_flight_is_finished(lines, wait_for_another);
}

#[test]
fn what_is_in_flight_outlives_the_recycling_for_memory() {
    let lines = "reload-on-rss = 100\nmin-worker-lifetime = 0";
    what_is_in_flight_is_finished(lines, |app| {
        ask(app, "/grow").expect("an answer");
        wait_for_another(app);
    });
}

#[test]
fn scaling_down_takes_an_idle_worker_whose_thread_has_its_turn_and_leaves_the_one_that_streams() {
    let lines =
        "env = EAGER=1\nprocesses = 3\ncheaper = 1\ncheaper-initial = 3\ncheaper-overload = 1";
    let mut app = flying(lines);
    serving(&app);
    let (streaming, busy) = stream(&app);
    wait_log(&app, "scaled from 3 to 2 workers");
    app.folder.write("finish", "");
    let gone = app.wait_for("the end of an idle one", |app| {
        let exits = std::fs::read_to_string(app.path("exits")).ok()?;
        let mut words = exits.split_whitespace();
        words.find_map(|word| word.strip_prefix("exit")?.parse::<i32>().ok())
    });
    assert_ne!(gone, busy);
    has_had_its_turns(&app, gone);
    assert!(is_alive(busy), "{}", app.report());
    ends_well(&app, streaming);
    app.send(Signal::TERM);
    assert_eq!(app.wait_for_end(), 0);
}
