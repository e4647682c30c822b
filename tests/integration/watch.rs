//! What a viewer shows of another process's run is what is recorded, at every moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use rxpulse::event::{Event, StepState, Target};
use rxpulse::run_view::{RunDetail, lane};
use rxpulse::state::{RunId, RunLife, State, StepFilter};
use rxpulse::tui::feed::{self, Want};
use rxpulse::tui::shot::News;

use crate::project::{Project, day, finish, steps};
use crate::pty::PATIENCE;

const BAD: [u32; 2] = [4, 17];

/// A backfill of a few seconds in which two days fail.
fn project() -> Project {
    let mut project = Project::sample("2026-08-01", "2026-08-24", 300).without(&[
        "issue_trend_daily",
        "top_issue_posts",
        "post_signals",
        "general_feedback_ai",
    ]);
    project.set("run.concurrency", 2);
    project.set("run.group_bytes", "100KB");
    for (name, up) in [("brittle", "fact_issue_daily"), ("after", "brittle")] {
        project.set(&format!("assets.{name}.layer"), "gold");
        project.set(&format!("assets.{name}.kind"), "sql");
        project.set(&format!("assets.{name}.deps"), vec![up]);
        project.set(&format!("assets.{name}.key"), vec!["n"]);
    }
    project.save();
    let days: Vec<String> = BAD.iter().map(|d| format!("'{}'", day(*d))).collect();
    project.write(
        "assets/brittle.sql",
        format!(
            "SELECT dt, CAST(CASE WHEN dt IN ({}) THEN 'no number' ELSE '1' END AS BIGINT) AS n\nFROM fact_issue_daily GROUP BY dt\n",
            days.join(", ")
        ),
    );
    project.write("assets/after.sql", "SELECT dt, sum(n) AS n FROM brittle GROUP BY dt\n");
    project.ok(&["materialize", "raw_posts"]);
    project
}

/// A viewer without a screen.
struct Watch {
    wants: Sender<Want>,
    news: Receiver<News>,
}

impl Watch {
    fn start(project: &Project, run: Option<RunId>) -> Self {
        let ((wants, wanted), (tell, news)) = (channel(), channel());
        wants.send(Want::Run(run)).unwrap();
        feed::start(Arc::new(project.opened()), rxpulse::exec::now_ms, wanted, tell).unwrap();
        Self { wants, news }
    }

    fn next(&self) -> News {
        match self.news.recv_timeout(PATIENCE).expect("news") {
            News::Trouble(text) => panic!("{text}"),
            news => news,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.wants.send(Want::Stop);
    }
}

type States = BTreeMap<(String, String), StepState>;

/// A step's lane, and what it is called there.
fn place(step: &Target) -> (String, String) {
    let part = match step {
        Target::Capture { window, .. } => window.clone(),
        Target::Partition { partition, .. } => partition.to_string(),
    };
    (lane(step), part)
}

fn shown(detail: &RunDetail) -> States {
    let lanes = detail.lanes.iter();
    lanes.flat_map(|(l, lane)| lane.steps.values().map(|s| ((l.clone(), s.part.clone()), s.state))).collect()
}

/// Where steps stand by the log up to an event, told from the log alone.
fn by_the_log(state: &State, run: RunId, until: i64) -> States {
    let mut out = States::new();
    let events = state.events(run, 0, u32::MAX).unwrap();
    let upto: Vec<_> = events.iter().filter(|(seq, ..)| *seq <= until).collect();
    if !upto.is_empty() {
        for step in state.steps(run, &StepFilter::default()).unwrap() {
            out.insert(place(&step.target), StepState::Waiting);
        }
    }
    for (_, _, event) in upto {
        match event {
            Event::StepStarted { step, .. } => _ = out.insert(place(step), StepState::Running),
            Event::StepRetry { step, .. } => _ = out.insert(place(step), StepState::Ready),
            Event::StepFinished { step, state, .. } => _ = out.insert(place(step), *state),
            Event::RunFinished { .. } => {
                out.values_mut().filter(|s| !s.is_final()).for_each(|s| *s = StepState::Canceled);
            }
            _ => {}
        }
    }
    out
}

fn recorded(state: &State, run: RunId) -> States {
    state
        .steps(run, &StepFilter::default())
        .unwrap()
        .into_iter()
        .map(|s| (place(&s.target), s.state))
        .collect()
}

fn database(project: &Project) -> State {
    State::open_read_only(&project.path("state/rxpulse.db")).unwrap().expect("a database")
}

/// Follows the run that a command begins until it has begun.
fn begun(project: &Project, state: &State, after: i64) -> RunId {
    let began = Instant::now();
    loop {
        if let Some(run) = state.latest_run().unwrap().filter(|r| r.id.0 > after) {
            return run.id;
        }
        assert!(began.elapsed() < PATIENCE, "no run begins in {}", project.path("").display());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn every_step_is_shown_as_recorded_until_the_end() {
    let project = project();
    let state = database(&project);
    let before = state.latest_run().unwrap().map_or(0, |r| r.id.0);
    let child = project.start(&["backfill", "silver_posts+"]);
    let run = begun(&project, &state, before);
    let watch = Watch::start(&project, Some(run));
    let (mut looks, mut at_work) = (0, 0);
    let last = loop {
        let News::Run(detail) = watch.next() else { continue };
        let states = shown(&detail.detail);
        assert_eq!(states, by_the_log(&state, run, detail.detail.seq), "after event {}", detail.detail.seq);
        looks += 1;
        at_work += usize::from(states.values().any(|s| *s == StepState::Running));
        let counts = detail.detail.view.total();
        assert_eq!(counts.running, states.values().filter(|s| **s == StepState::Running).count() as u64);
        let life = detail.run.as_ref().unwrap().life;
        if !matches!(life, RunLife::Running) && detail.detail.view.state.is_some() {
            break detail;
        }
    };
    println!("{looks} looks, {at_work} of them while steps were at work");
    assert!(looks >= 2 && at_work >= 1, "{looks} {at_work}");
    finish(child).expect(3);
    assert_eq!(shown(&last.detail), recorded(&state, run));
    let row = state.run(run).unwrap().unwrap();
    let counts = last.detail.view.total();
    assert_eq!(
        (counts.succeeded, counts.failed, counts.upstream_failed, counts.canceled, counts.running),
        (row.counts.succeeded, row.counts.failed, row.counts.upstream_failed, row.counts.canceled, 0)
    );
    assert_eq!((counts.failed, counts.upstream_failed), (2, 2));
}

#[test]
fn a_killed_run_is_shown_dead_and_ends_as_it_is_buried() {
    let project = project();
    let state = database(&project);
    let before = state.latest_run().unwrap().map_or(0, |r| r.id.0);
    let mut child = project.start(&["backfill", "silver_posts+"]);
    let run = begun(&project, &state, before);
    let watch = Watch::start(&project, Some(run));
    // While something is at work.
    loop {
        let News::Run(detail) = watch.next() else { continue };
        assert!(detail.detail.view.state.is_none(), "the run was too quick");
        if detail.detail.view.total().running > 0 && detail.detail.view.total().succeeded > 0 {
            break;
        }
    }
    child.kill().unwrap();
    // Nobody has asked how it ended: it is there, and dead.
    let heard = loop {
        let News::Run(detail) = watch.next() else { continue };
        let shot = detail.run.as_ref().unwrap();
        if shot.life == RunLife::Dead {
            break rxpulse::exec::now_ms() - shot.row.heartbeat_ms;
        }
        assert_eq!(shot.life, RunLife::Running);
    };
    println!("shown dead {heard} ms after its last sign of life");
    child.wait().unwrap();
    // Going on with it ends it first: what it was at has failed, what waited is canceled.
    project.run(&["runs", "resume"]).expect(3);
    let last = loop {
        let News::Run(detail) = watch.next() else { continue };
        assert_eq!(shown(&detail.detail), by_the_log(&state, run, detail.detail.seq));
        if detail.detail.view.state.is_some() && detail.run.as_ref().unwrap().life == RunLife::Failed {
            break detail;
        }
    };
    assert_eq!(shown(&last.detail), recorded(&state, run));
    // The resumed run made everything that can be made; retry tries only what failed.
    project.run(&["runs", "retry"]).expect(1);
    assert_eq!(project.steps("failed"), steps(&["brittle"], BAD));
    assert_eq!(project.steps("upstream_failed"), steps(&["after"], BAD));
    assert_eq!(project.steps("succeeded"), crate::project::Steps::new());
}

#[test]
fn a_run_is_followed_from_before_its_steps_are_known() {
    use rxpulse::graph::PartitionKey;
    use rxpulse::state::{Batch, NewRun};
    let project = project();
    let writer = State::open(&project.path("state/rxpulse.db")).unwrap();
    let lake = project.opened().lake_if_any().unwrap().unwrap().id().to_string();
    let run = writer
        .begin_run(&NewRun {
            lake,
            command: "materialize".into(),
            request_json: "{}".into(),
            pid: std::process::id(),
            host: rxpulse::exec::host(),
            steps: 2,
            now_ms: rxpulse::exec::now_ms(),
        })
        .unwrap();
    let watch = Watch::start(&project, Some(run));
    let first = loop {
        if let News::Run(detail) = watch.next() {
            break detail;
        }
    };
    assert!(first.detail.lanes.is_empty());
    let plan: Vec<Target> = [1, 2]
        .map(|n| Target::Partition {
            asset: "silver_posts".parse().unwrap(),
            partition: PartitionKey::Day(day(n).parse().unwrap()),
        })
        .to_vec();
    let events = vec![
        Event::RunStarted { command: "materialize".into(), steps: 2 },
        Event::StepStarted { step: plan[0].clone(), attempt: 1 },
        Event::StepRetry { step: plan[0].clone(), attempt: 1, error: "slow".into(), wait_ms: 5 },
    ];
    let now_ms = rxpulse::exec::now_ms();
    writer.record(run, &Batch { now_ms, events, plan, ..Batch::default() }).unwrap();
    let next = loop {
        match watch.next() {
            News::Run(detail) if detail.detail.seq > 0 => break detail,
            _ => {}
        }
    };
    assert_eq!(shown(&next.detail), recorded(&writer, run));
    assert_eq!(shown(&next.detail).into_values().collect::<Vec<_>>(), [StepState::Ready, StepState::Waiting]);
}
