//! Scenarios of runs, steps, leases and failures, in memory.

use super::tests::{LAKE, TTL, batch, capture, day, finished, graph, key, new_run, published, started, step};
use super::*;
use crate::event::{CheckResult, CheckStatus, Event, RunState, StepState, StepStats};
use crate::graph::{AssetIdx, Fingerprint};

#[test]
fn a_run_from_start_to_end() {
    let state = State::in_memory().unwrap();
    assert!(state.latest_run().unwrap().is_none());
    let run = state.begin_run(&new_run(1, 1_000)).unwrap();
    let (a, b, c) = (step("2026-08-01"), step("2026-08-02"), capture("in/a.ndjson"));
    let first = Batch {
        now_ms: 1_000,
        events: vec![Event::RunStarted { command: "x".into(), steps: 3 }],
        plan: vec![b.clone(), a.clone(), c.clone()],
        ..Batch::default()
    };
    let seqs = state.record(run, &first).unwrap();
    assert_eq!(seqs.len(), 1);
    assert!(state.steps(run, &StepFilter::default()).unwrap().iter().all(|s| s.state == StepState::Waiting));
    state.record(run, &batch(1_100, vec![started(&a, 1), started(&c, 1)])).unwrap();
    let retry = Event::StepRetry { step: a.clone(), attempt: 1, error: "slow".into(), wait_ms: 5 };
    state.record(run, &batch(1_200, vec![retry])).unwrap();
    let running = StepFilter { states: vec![StepState::Running, StepState::Ready], ..StepFilter::default() };
    let rows = state.steps(run, &running).unwrap();
    assert_eq!(rows.iter().map(|s| &s.target).collect::<Vec<_>>(), [&a, &c]);
    assert_eq!((rows[0].state, rows[0].message.as_deref()), (StepState::Ready, Some("slow")));
    let checks = vec![CheckResult {
        check: "unique(a)".into(),
        status: CheckStatus::Failed,
        violations: 2,
        message: "2".into(),
    }];
    let bad = Event::StepFinished {
        step: b.clone(),
        state: StepState::Failed,
        stats: StepStats::default(),
        message: Some("2 rows repeat".into()),
        checks: checks.clone(),
        elapsed_ms: 0,
    };
    let last = Batch {
        now_ms: 1_300,
        events: vec![
            started(&a, 2),
            finished(&a, StepState::Succeeded, None),
            bad,
            finished(&c, StepState::Skipped, Some("fresh")),
        ],
        entries: vec![published("facts", day("2026-08-01"), 1)],
        ..Batch::default()
    };
    let more = state.record(run, &last).unwrap();
    assert!(more.windows(2).all(|w| w[0] < w[1]) && more[0] > seqs[0]);
    state
        .record(run, &batch(1_400, vec![Event::RunFinished { state: RunState::Failed, elapsed_ms: 400 }]))
        .unwrap();
    let row = state.run(run).unwrap().unwrap();
    assert_eq!((row.state, row.steps, row.finished_ms), (RunState::Failed, 3, Some(1_400)));
    assert_eq!(row.counts, StepCounts { succeeded: 1, failed: 1, skipped: 1, ..StepCounts::default() });
    assert_eq!(row.counts.finished(), 3);
    let rows = state.steps(run, &StepFilter { asset: Some(key("facts")), ..StepFilter::default() }).unwrap();
    assert_eq!(rows.len(), 2);
    let done = &rows[0];
    assert_eq!((done.attempt, done.started_ms, done.finished_ms), (2, Some(1_100), Some(1_300)));
    assert_eq!((done.stats.rows_out, done.message.as_deref()), (Some(3), None));
    assert_eq!((rows[1].checks.clone(), rows[1].started_ms), (checks, None));
    assert!(state.steps(run, &StepFilter { limit: Some(1), ..StepFilter::default() }).unwrap().len() == 1);
    // A follower sees every event once, in order.
    let mut seen = Vec::new();
    while let Some(&(seq, ..)) =
        seen.last().or(Some(&(0, 0, Event::RunStarted { command: "".into(), steps: 0 })))
    {
        let next = state.events(run, seq, 2).unwrap();
        if next.is_empty() {
            break;
        }
        seen.extend(next);
    }
    assert_eq!(seen.iter().map(|e| e.0).collect::<Vec<_>>().len(), 9);
    assert!(seen.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1));
    assert_eq!(seen[0].2, first.events[0]);
    assert_eq!(state.latest_run().unwrap().unwrap().id, run);
}

#[test]
fn final_states_are_never_overwritten() {
    let finals = [
        StepState::Succeeded,
        StepState::Failed,
        StepState::Skipped,
        StepState::UpstreamFailed,
        StepState::Canceled,
    ];
    for first in finals {
        for second in finals {
            let state = State::in_memory().unwrap();
            let run = state.begin_run(&new_run(1, 0)).unwrap();
            let a = step("2026-08-01");
            state.record(run, &batch(1, vec![started(&a, 1), finished(&a, first, Some("first"))])).unwrap();
            let before = state.steps(run, &StepFilter::default()).unwrap();
            state.record(run, &batch(2, vec![started(&a, 2), finished(&a, second, Some("second"))])).unwrap();
            state.record(run, &Batch { plan: vec![a.clone()], ..batch(3, vec![]) }).unwrap();
            assert_eq!(state.steps(run, &StepFilter::default()).unwrap(), before);
            assert_eq!(state.run(run).unwrap().unwrap().counts.finished(), 1);
        }
    }
    let finals = [RunState::Succeeded, RunState::Failed, RunState::Canceled];
    for first in finals {
        for second in finals {
            let state = State::in_memory().unwrap();
            let run = state.begin_run(&new_run(1, 0)).unwrap();
            state.finish_run(run, first, 10).unwrap();
            let before = state.run(run).unwrap();
            state.finish_run(run, second, 20).unwrap();
            state.record(run, &batch(30, vec![Event::RunFinished { state: second, elapsed_ms: 1 }])).unwrap();
            assert!(!state.mark_dead(run, 40).unwrap());
            assert!(!state.request_cancel(run).unwrap());
            assert_eq!(state.run(run).unwrap(), before);
            assert_eq!(before.unwrap().state, first);
        }
    }
}

#[test]
fn only_final_states_finish_and_a_refused_batch_leaves_nothing() {
    let state = State::in_memory().unwrap();
    let run = state.begin_run(&new_run(1, 0)).unwrap();
    let a = step("2026-08-01");
    let wrong = batch(1, vec![started(&a, 1), finished(&a, StepState::Running, None)]);
    assert!(matches!(state.record(run, &wrong), Err(StateError::NotFinal { state: "running", .. })));
    let wrong = batch(1, vec![started(&a, 1), Event::RunFinished { state: RunState::Queued, elapsed_ms: 0 }]);
    assert!(matches!(state.record(run, &wrong), Err(StateError::NotFinal { state: "queued", .. })));
    assert!(matches!(state.finish_run(run, RunState::Running, 1), Err(StateError::NotFinal { .. })));
    assert!(state.events(run, 0, 10).unwrap().is_empty());
    assert!(state.steps(run, &StepFilter::default()).unwrap().is_empty());
}

#[test]
fn unknown_runs_are_named() {
    let state = State::in_memory().unwrap();
    let no = RunId(42);
    let errors = [
        state.record(no, &Batch::default()).unwrap_err(),
        state.finish_run(no, RunState::Failed, 0).unwrap_err(),
        state.heartbeat(no, 0).unwrap_err(),
        state.request_cancel(no).unwrap_err(),
        state.mark_dead(no, 0).unwrap_err(),
        state.lease(LAKE, no, &["k".into()], 0, TTL).unwrap_err(),
        state.steps(no, &StepFilter::default()).unwrap_err(),
        state.events(no, 0, 1).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StateError::UnknownRun { run, .. } if run == no), "{error}");
    }
    assert!(state.run(no).unwrap().is_none());
}

#[test]
fn a_finished_run_has_no_open_steps_and_no_leases() {
    let state = State::in_memory().unwrap();
    let run = state.begin_run(&new_run(1, 0)).unwrap();
    let (a, b) = (step("2026-08-01"), step("2026-08-02"));
    state.record(run, &Batch { plan: vec![a.clone(), b.clone()], ..batch(1, vec![started(&a, 1)]) }).unwrap();
    state.lease(LAKE, run, &["k".into()], 1, TTL).unwrap();
    state.finish_run(run, RunState::Canceled, 5).unwrap();
    let rows = state.steps(run, &StepFilter::default()).unwrap();
    assert!(rows.iter().all(|s| s.state == StepState::Canceled && s.finished_ms == Some(5)));
    assert_eq!(state.run(run).unwrap().unwrap().counts.canceled, 2);
    // Whoever follows the log learns it there, once.
    state.finish_run(run, RunState::Canceled, 6).unwrap();
    let last: Vec<Event> = state.events(run, 0, 10).unwrap().into_iter().skip(1).map(|e| e.2).collect();
    assert_eq!(last, [Event::RunFinished { state: RunState::Canceled, elapsed_ms: 5 }]);
    // A late event of it is kept, and opens nothing.
    state.record(run, &batch(6, vec![started(&step("2026-08-09"), 1)])).unwrap();
    assert_eq!(state.steps(run, &StepFilter::default()).unwrap().len(), 2);
    let other = state.begin_run(&new_run(2, 6)).unwrap();
    assert_eq!(state.lease(LAKE, other, &["k".into()], 7, TTL).unwrap(), [LeaseOutcome::Granted]);
}

#[test]
fn cancel_reaches_the_run_by_its_heartbeat() {
    let state = State::in_memory().unwrap();
    let run = state.begin_run(&new_run(1, 1_000)).unwrap();
    assert_eq!(state.heartbeat(run, 2_000).unwrap(), Orders::default());
    assert!(state.request_cancel(run).unwrap());
    assert_eq!(state.heartbeat(run, 3_000).unwrap(), Orders { cancel: true, over: false });
    // A clock that goes back does not age the run.
    state.heartbeat(run, 500).unwrap();
    let row = state.run(run).unwrap().unwrap();
    assert_eq!(row.heartbeat_ms, 3_000);
    assert_eq!(row.effective(3_000 + TTL, TTL), RunLife::Canceling);
    assert_eq!(row.effective(3_001 + TTL, TTL), RunLife::Dead);
    state.finish_run(run, RunState::Canceled, 4_000).unwrap();
    assert_eq!(state.run(run).unwrap().unwrap().effective(i64::MAX, TTL), RunLife::Canceled);
    assert!(state.heartbeat(run, 5_000).unwrap().over);
}

#[test]
fn leases_keep_two_runs_apart() {
    let state = State::in_memory().unwrap();
    let (one, two) = (state.begin_run(&new_run(11, 0)).unwrap(), state.begin_run(&new_run(22, 0)).unwrap());
    let keys = ["a".to_string(), "b".to_string(), "c".to_string()];
    let granted = LeaseOutcome::Granted;
    assert_eq!(state.lease(LAKE, one, &keys[..2], 100, TTL).unwrap(), [granted.clone(), granted.clone()]);
    let held = LeaseOutcome::HeldBy { run: one, pid: 11, host: "here".into(), heartbeat_age_ms: 50 };
    assert_eq!(
        state.lease(LAKE, two, &keys, 150, TTL).unwrap(),
        [held.clone(), held.clone(), granted.clone()]
    );
    // Re-entrant; another lake is another world; a heartbeat from the future is no death.
    assert_eq!(state.lease(LAKE, one, &keys[..1], 160, TTL).unwrap(), std::slice::from_ref(&granted));
    assert_eq!(state.lease("other", two, &keys[..1], 160, TTL).unwrap(), std::slice::from_ref(&granted));
    let early = state.lease(LAKE, two, &keys[..1], -99_999, TTL).unwrap();
    assert!(matches!(early[0], LeaseOutcome::HeldBy { heartbeat_age_ms: 0, .. }));
    // Released one by one, or all.
    state.record(one, &Batch { release: vec!["a".into(), "c".into()], ..batch(170, vec![]) }).unwrap();
    assert_eq!(state.lease(LAKE, two, &keys[..1], 180, TTL).unwrap(), std::slice::from_ref(&granted));
    assert!(matches!(state.lease(LAKE, one, &keys[2..], 180, TTL).unwrap()[0], LeaseOutcome::HeldBy { .. }));
    state.release_all(two).unwrap();
    assert_eq!(
        state.lease(LAKE, one, &keys, 190, TTL).unwrap(),
        [granted.clone(), granted.clone(), granted.clone()]
    );
}

#[test]
fn a_silent_holder_is_taken_over_and_fenced_off() {
    let state = State::in_memory().unwrap();
    let frozen = state.begin_run(&new_run(11, 0)).unwrap();
    let (a, b) = (step("2026-08-01"), step("2026-08-02"));
    let plan = Batch { plan: vec![a.clone(), b.clone()], ..batch(10, vec![started(&a, 1)]) };
    state.record(frozen, &plan).unwrap();
    let keys = ["a".to_string(), "b".to_string()];
    state.lease(LAKE, frozen, &keys, 10, TTL).unwrap();
    let late = state.begin_run(&new_run(22, 10 + TTL)).unwrap();
    assert!(matches!(
        state.lease(LAKE, late, &keys[..1], 10 + TTL, TTL).unwrap()[0],
        LeaseOutcome::HeldBy { run, .. } if run == frozen
    ));
    assert_eq!(state.lease(LAKE, late, &keys[..1], 11 + TTL, TTL).unwrap(), [LeaseOutcome::Granted]);
    // The dead run is ended as a whole: its step, its other lease, its followers know.
    let row = state.run(frozen).unwrap().unwrap();
    assert_eq!((row.state, row.message.as_deref()), (RunState::Failed, Some("the process died")));
    assert_eq!((row.counts.failed, row.counts.canceled), (1, 1));
    let rows = state.steps(frozen, &StepFilter::default()).unwrap();
    assert_eq!((rows[0].state, rows[1].state), (StepState::Failed, StepState::Canceled));
    let events = state.events(frozen, 0, 100).unwrap();
    assert!(matches!(events.last(), Some((_, _, Event::RunFinished { state: RunState::Failed, .. }))));
    assert_eq!(state.last_failures(LAKE).unwrap()[0].target, a);
    assert_eq!(state.lease(LAKE, late, &keys[1..], 12 + TTL, TTL).unwrap(), [LeaseOutcome::Granted]);
    // The new holder publishes; then the frozen one wakes up.
    let done = Batch { entries: vec![published("facts", day("2026-08-01"), 2)], ..batch(13 + TTL, vec![]) };
    state.record(late, &done).unwrap();
    assert!(state.heartbeat(frozen, 14 + TTL).unwrap().over);
    let refused = state.lease(LAKE, frozen, &keys, 14 + TTL, TTL);
    assert!(matches!(refused, Err(StateError::RunOver { run }) if run == frozen));
    let stale = Batch {
        entries: vec![published("facts", day("2026-08-01"), 1)],
        release: keys.to_vec(),
        ..batch(15 + TTL, vec![finished(&a, StepState::Succeeded, None)])
    };
    state.record(frozen, &stale).unwrap();
    let graph = graph();
    assert_eq!(state.ledger(LAKE, &graph).unwrap().ledger.at(AssetIdx(0), 0).unwrap().generation.get(), 2);
    assert_eq!(state.steps(frozen, &StepFilter::default()).unwrap()[0].state, StepState::Failed);
    assert!(state.last_failures(LAKE).unwrap().is_empty());
    // Its releases freed nothing that is not its own any more.
    let third = state.begin_run(&new_run(33, 15 + TTL)).unwrap();
    assert!(matches!(
        state.lease(LAKE, third, &keys[..1], 16 + TTL, TTL).unwrap()[0],
        LeaseOutcome::HeldBy { .. }
    ));
}

#[test]
fn a_run_known_to_be_gone_is_ended_at_once() {
    let state = State::in_memory().unwrap();
    let gone = state.begin_run(&new_run(11, 0)).unwrap();
    state.lease(LAKE, gone, &["a".into()], 0, TTL).unwrap();
    assert!(state.mark_dead(gone, 1).unwrap());
    assert!(!state.mark_dead(gone, 2).unwrap());
    let next = state.begin_run(&new_run(22, 2)).unwrap();
    assert_eq!(state.lease(LAKE, next, &["a".into()], 2, TTL).unwrap(), [LeaseOutcome::Granted]);
}

#[test]
fn failures_are_the_newest_outcome_of_each_target() {
    let state = State::in_memory().unwrap();
    let (a, b, c, d) = (step("2026-08-01"), step("2026-08-02"), step("2026-08-03"), capture("in/x"));
    let one = state.begin_run(&new_run(1, 0)).unwrap();
    let print = Fingerprint::of(b"code and inputs");
    let failed = Batch {
        fingerprints: vec![(a.clone(), print), (step("2026-08-09"), print)],
        ..batch(
            1,
            vec![
                finished(&a, StepState::Failed, Some("no such column")),
                finished(&b, StepState::UpstreamFailed, Some("+facts")),
                finished(&c, StepState::Failed, None),
                finished(&d, StepState::Failed, Some("truncated")),
            ],
        )
    };
    state.record(one, &failed).unwrap();
    let all = state.last_failures(LAKE).unwrap();
    assert_eq!(all.iter().map(|f| &f.target).collect::<Vec<_>>(), [&a, &b, &c, &d]);
    assert_eq!(
        (all[0].fingerprint, all[0].run, all[0].message.as_str()),
        (Some(print), one, "no such column")
    );
    assert_eq!((all[1].state, all[1].fingerprint), (StepState::UpstreamFailed, None));
    // Tried again: one succeeds, one is canceled (no outcome), one was made by somebody else.
    let two = state.begin_run(&new_run(2, 2)).unwrap();
    let again = Batch {
        entries: vec![published("facts", day("2026-08-03"), 1)],
        ..batch(3, vec![finished(&b, StepState::Succeeded, None), finished(&a, StepState::Canceled, None)])
    };
    state.record(two, &again).unwrap();
    let left: Vec<_> = state.last_failures(LAKE).unwrap().into_iter().map(|f| f.target).collect();
    assert_eq!(left, [a.clone(), d.clone()]);
    // A forced rebuild fails; adopting the old manifest again does not hide that.
    let three = state.begin_run(&new_run(3, 4)).unwrap();
    state.record(three, &batch(5, vec![finished(&c, StepState::Failed, None)])).unwrap();
    state.ledger_adopt(LAKE, &[published("facts", day("2026-08-03"), 1)]).unwrap();
    assert!(state.last_failures(LAKE).unwrap().iter().any(|f| f.target == c && f.run == three));
    state.ledger_adopt(LAKE, &[published("facts", day("2026-08-03"), 2)]).unwrap();
    assert!(!state.last_failures(LAKE).unwrap().iter().any(|f| f.target == c));
    // Failing again without saying of what forgets what the old failure was of.
    state.record(three, &batch(6, vec![finished(&a, StepState::Failed, Some("other"))])).unwrap();
    let a_now = state.last_failures(LAKE).unwrap().into_iter().find(|f| f.target == a).unwrap();
    assert_eq!((a_now.run, a_now.fingerprint, a_now.message.as_str()), (three, None, "other"));
}

#[test]
fn runs_page_backwards() {
    let state = State::in_memory().unwrap();
    let ids: Vec<RunId> = (0..5).map(|n| state.begin_run(&new_run(n, n.into())).unwrap()).collect();
    let page = |before| state.runs(2, before).unwrap().into_iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(page(None), [ids[4], ids[3]]);
    assert_eq!(page(Some(ids[3])), [ids[2], ids[1]]);
    assert_eq!(page(Some(ids[0])), []);
}

#[test]
fn an_event_of_another_version_is_shown_as_such() {
    let state = State::in_memory().unwrap();
    let run = state.begin_run(&new_run(1, 0)).unwrap();
    state.record(run, &batch(1, vec![Event::RunStarted { command: "x".into(), steps: 0 }])).unwrap();
    let conn = state.writer().unwrap();
    conn.execute("INSERT INTO events (run, at_ms, event) VALUES (1, 2, '{\"event\":\"of_tomorrow\"}')", [])
        .unwrap();
    let events = state.events(run, 0, 10).unwrap();
    assert_eq!(events.len(), 2);
    assert!(matches!(&events[1].2, Event::Log { level, .. } if level == "warn"));
}
