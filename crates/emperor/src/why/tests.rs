//! Which causes are named, fact by fact.

use super::*;
use imperator_core::message::WorkerStatus;

fn app(condition: Condition, status: serde_json::Value) -> AppLine {
    let mut status: AppStatus = serde_json::from_value(status).unwrap();
    status.workers = (1..3)
        .map(|id| WorkerStatus {
            id,
            pid: 100 + i32::try_from(id).unwrap(),
            generation: 7,
            state: "accepting".to_owned(),
            requests: 0,
        })
        .collect();
    AppLine {
        name: "blog".to_owned(),
        id: "blog.ini".to_owned(),
        condition,
        config: None,
        pid: Some(99),
        adopted: false,
        failure: status.failure.clone(),
        retry_in_ms: status.retry_in_ms,
        status: Some(status),
        stopped: None,
        trouble: None,
    }
}

fn ids(app: &AppLine, looks: &Looks) -> Vec<CauseId> {
    causes(app, looks).iter().map(|it| it.cause).collect()
}

fn failure(cause: &str, generation: u32) -> serde_json::Value {
    serde_json::json!({
        "summary": "x", "hint": null, "detail": null, "at": 5,
        "cause": cause, "generation": generation,
    })
}

#[test]
fn the_cause_comes_before_the_wait_unless_it_is_mended() {
    let failing = app(
        Condition::Failing,
        serde_json::json!({
            "state": "failing", "generation": null,
            "failure": failure("missing-file", 1), "retry_in_ms": 4000,
        }),
    );
    let mut looks = Looks::default();
    assert_eq!(
        ids(&failing, &looks),
        [CauseId::MissingFile, CauseId::BackingOff]
    );
    looks.mended = Some("/srv/blog is there".to_owned());
    assert_eq!(
        ids(&failing, &looks),
        [CauseId::BackingOff, CauseId::MissingFile]
    );
}

#[test]
fn a_failed_reload_is_told_apart_from_a_worker_that_does_not_come_up() {
    let status = |generation| {
        let failure = failure("fork-limit", generation);
        serde_json::json!({ "state": "serving", "generation": 7, "failure": failure })
    };
    let looks = Looks::default();
    let next = app(Condition::ServingOld, status(8));
    assert_eq!(
        ids(&next, &looks),
        [CauseId::ReloadFailed, CauseId::ForkLimit]
    );
    let same = app(Condition::ServingOld, status(7));
    assert_eq!(ids(&same, &looks), [CauseId::ForkLimit]);
}

#[test]
fn a_queue_is_blamed_on_who_does_not_empty_it() {
    let with = |occupied: u32, queue: u64| {
        let running = serde_json::json!([
            {"worker": 1, "pid": 101, "thread": 0, "ms": 3000, "line": "GET /"}
        ]);
        app(
            Condition::Serving,
            serde_json::json!({
                "state": "serving", "generation": 7, "capacity": 2, "occupied": occupied,
                "queue": queue, "queue_limit": 10, "running": running,
            }),
        )
    };
    let mut looks = Looks::default();
    assert_eq!(ids(&with(0, 0), &looks), [CauseId::NothingWrong]);
    assert_eq!(ids(&with(1, 3), &looks), [CauseId::NothingWrong]);
    assert_eq!(
        ids(&with(2, 10), &looks),
        [CauseId::EveryWorkerBusy, CauseId::ListenLimit]
    );
    let mut full = with(2, 10);
    let advises = |app: &AppLine| {
        let found = causes(app, &Looks::default());
        let mut steps = found[0].way_out.iter();
        steps.any(|step| step.contains("set harakiri"))
    };
    assert!(advises(&full));
    // Who has a deadline is not told to set one.
    let status = full.status.as_mut().unwrap();
    status.troubles.push(Failure {
        cause: CauseId::RequestDeadline,
        at: 1,
        ..Failure::default()
    });
    assert!(!advises(&full));
    let nearly = causes(&with(2, 8), &looks);
    assert_eq!(nearly[1].cause, CauseId::ListenLimit);
    assert!(nearly[1].summary.ends_with("nearly full"), "{nearly:?}");
    looks.still_waiting = true;
    assert_eq!(ids(&with(1, 3), &looks), [CauseId::QueueFullWorkersIdle]);
    looks.halted = vec![102];
    let found = causes(&with(1, 3), &looks);
    assert_eq!(found[0].way_out, ["kill -CONT 102"]);
}

#[test]
fn the_kernels_log_tells_who_killed_a_process() {
    let trouble = serde_json::json!({
        "summary": "worker 1 died", "hint": "look", "detail": null, "at": 100,
        "cause": "crash", "evidence": [{"what": "pid", "text": "101"}],
    });
    let serving = app(
        Condition::Serving,
        serde_json::json!({ "state": "serving", "generation": 7, "troubles": [trouble] }),
    );
    let mut looks = Looks {
        now: 160,
        ..Looks::default()
    };
    assert_eq!(ids(&serving, &looks), [CauseId::Crash]);
    looks.kernel = vec![(101, "Killed process 101 (python3)".to_owned())];
    let found = causes(&serving, &looks);
    assert_eq!(found[0].cause, CauseId::OutOfMemory);
    assert!(found[0].summary.ends_with("(60 s ago)"), "{found:?}");
    looks.now = 100 + LATELY + 1;
    assert_eq!(ids(&serving, &looks), [CauseId::NothingWrong]);
}

#[test]
fn an_app_that_is_not_meant_to_serve_now_is_told_so() {
    let with = |condition, status: serde_json::Value| {
        let mut status = status;
        status["state"] = "serving".into();
        app(condition, status)
    };
    let nothing = || serde_json::json!({});
    let looks = Looks {
        stopped: Some(("uid 7".to_owned(), "noon".to_owned())),
        ..Looks::default()
    };
    for (app, cause, summary, way_out) in [
        (
            with(Condition::Stopped, nothing()),
            CauseId::Stopped,
            "stopped by uid 7 at noon",
            "imperator start blog",
        ),
        (
            with(Condition::Paused, nothing()),
            CauseId::Paused,
            "it accepts nothing",
            "kill -TSTP 99",
        ),
        (
            with(Condition::Asleep, nothing()),
            CauseId::Asleep,
            "no process of it runs, and the first request starts it",
            "nothing is to be done: the first request starts it",
        ),
        (
            with(Condition::Silent, nothing()),
            CauseId::MasterSilent,
            "its master (pid 99) says nothing",
            known(CauseId::MasterSilent).way_out,
        ),
        (
            with(Condition::Stopping, nothing()),
            CauseId::Stopped,
            "it stops: its requests are finished",
            known(CauseId::Stopped).way_out,
        ),
        (
            with(Condition::Waiting, nothing()),
            CauseId::Starting,
            "it waits for its turn to start",
            known(CauseId::Starting).way_out,
        ),
        (
            with(
                Condition::Starting,
                serde_json::json!({"starting_ms": 4999}),
            ),
            CauseId::Starting,
            "it has been importing for 4 s",
            known(CauseId::Starting).way_out,
        ),
        (
            with(
                Condition::Starting,
                serde_json::json!({"starting_ms": 5000}),
            ),
            CauseId::HangsAtImport,
            "it has been importing for 5 s",
            known(CauseId::HangsAtImport).way_out,
        ),
    ] {
        let found = causes(&app, &looks);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].cause, cause);
        assert_eq!(found[0].summary, summary);
        assert_eq!(found[0].way_out, [way_out.replace("APP", "blog")]);
    }
}

#[test]
fn workers_that_answer_nobody_are_told_unless_all_are_busy() {
    let with = |occupied: u32, ms: u64, stuck: bool| {
        let stuck = match stuck {
            true => serde_json::json!([
                {"worker": 2, "pid": 102, "what": "its GIL cannot be had", "since": 5,
                 "stacks": "File x.py"}
            ]),
            false => serde_json::json!([]),
        };
        app(
            Condition::Serving,
            serde_json::json!({
                "state": "serving", "generation": 7, "capacity": 2, "occupied": occupied,
                "running": [
                    {"worker": 2, "pid": 102, "thread": 0, "ms": ms, "line": "GET /"},
                    {"worker": 1, "pid": 101, "thread": 0, "ms": 10, "line": "GET /1"},
                ],
                "stuck": stuck,
            }),
        )
    };
    let looks = Looks::default();
    let found = causes(&with(1, 3250, true), &looks);
    assert_eq!(found[0].cause, CauseId::WorkerStuck);
    assert_eq!(
        found[0].summary,
        "worker 2 (pid 102): its GIL cannot be had"
    );
    let told: Vec<&str> = found[0]
        .evidence
        .iter()
        .map(|it| it.text.as_str())
        .collect();
    let its_request = "worker 2 (pid 102) thread 0: GET / for 3.2 s";
    assert_eq!(
        told,
        ["worker 2 (pid 102): its GIL cannot be had", its_request]
    );
    let stacks = "worker 2 (pid 102):\nFile x.py";
    assert_eq!(found[0].detail.as_deref(), Some(stacks));
    let all = causes(&with(2, 3250, true), &looks);
    assert_eq!(all[0].cause, CauseId::EveryWorkerBusy);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].detail.as_deref(), Some(stacks));
    assert_eq!(ids(&with(2, 999, false), &looks), [CauseId::NothingWrong]);
    assert_eq!(
        ids(&with(2, 1000, false), &looks),
        [CauseId::EveryWorkerBusy]
    );
}
