//! Screens at the sizes people have, driven by keys, without a terminal.

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::app::{App, Effect, Popup, Screen};
use super::draw;
use super::shot::*;
use super::theme::{Palette, Theme};
use crate::event::{Event, RunState, StepState, StepStats, Target};
use crate::graph::{Day, PartitionKey};
use crate::state::{Failure, RunId, RunLife, RunRow, StepCounts};

const SIZES: [(u16, u16); 4] = [(200, 60), (80, 24), (60, 20), (40, 10)];
const BEGAN: i64 = 1_790_000_000_000;

fn asset(key: &str, depth: usize, cells: Vec<Cell>) -> AssetShot {
    let n = cells.len();
    AssetShot {
        key: key.into(),
        layer: "gold".into(),
        kind: "sql".into(),
        description: format!("What {key} holds"),
        upstream: if depth > 0 { vec!["raw_posts".into()] } else { vec![] },
        downstream: if depth == 0 { vec!["facts".into()] } else { vec![] },
        depth,
        rows: cells.iter().map(|c| (*c != Cell::Missing).then_some(7)).collect(),
        published: vec![BEGAN; n],
        generations: vec![1; n],
        why: cells
            .iter()
            .enumerate()
            .filter(|c| *c.1 == Cell::Stale)
            .map(|c| (c.0, "an input changed".into()))
            .collect(),
        failed: cells
            .iter()
            .enumerate()
            .filter(|c| *c.1 == Cell::Failed)
            .map(|c| (c.0, "no number".into()))
            .collect(),
        columns: vec![("n".into(), "how many".into())],
        sql: Some("SELECT dt, count(*) AS n\nFROM raw_posts GROUP BY dt".into()),
        checks: vec!["not_null n".into()],
        daily: true,
        cells,
    }
}

fn run(id: i64, life: RunLife) -> RunShot {
    let state = match life {
        RunLife::Succeeded => RunState::Succeeded,
        RunLife::Failed => RunState::Failed,
        RunLife::Canceled => RunState::Canceled,
        _ => RunState::Running,
    };
    let row = RunRow {
        id: RunId(id),
        lake: "lake".into(),
        command: "backfill facts \u{1b}[31m--force\u{7}".into(),
        request_json: "{}".into(),
        pid: 1,
        host: "here".into(),
        state,
        message: None,
        steps: 40,
        counts: StepCounts { succeeded: 19, failed: 1, ..StepCounts::default() },
        started_ms: BEGAN,
        heartbeat_ms: BEGAN + 60_000,
        finished_ms: state.is_final().then_some(BEGAN + 61_000),
        cancel_requested: false,
        pruned: false,
    };
    RunShot { row, life, backfill: true }
}

fn target(day: &str) -> Target {
    Target::Partition { asset: "facts".parse().unwrap(), partition: PartitionKey::Day(day.parse().unwrap()) }
}

fn app(palette: Palette, ascii: bool) -> App {
    let mut app = App::new(Theme::new(palette, ascii), false);
    let mut cells = vec![Cell::Fresh; 2_027];
    cells[100] = Cell::Failed;
    cells[2_026] = Cell::Missing;
    cells[2_025] = Cell::Stale;
    app.world = Some(Arc::new(WorldShot {
        project: "voc".into(),
        first_day: "2020-01-01".parse::<Day>().unwrap().0,
        days: 2_027,
        assets: vec![asset("raw_posts", 0, vec![Cell::Fresh; 2_027]), asset("facts", 1, cells)],
        windows_due: 2,
        notes: vec!["a note".into()],
    }));
    app.runs = Arc::new(RunsShot {
        runs: vec![run(3, RunLife::Running), run(2, RunLife::Failed), run(1, RunLife::Dead)],
        failures: vec![Failure {
            target: target("2020-04-10"),
            state: StepState::Failed,
            message: "no number \u{202e}evil\u{1b}]0;title\u{7}".into(),
            run: RunId(2),
            fingerprint: None,
            at_ms: BEGAN,
        }],
        running: [("facts".to_string(), vec![PartitionKey::Day("2025-07-18".parse().unwrap())])].into(),
    });
    let mut detail = DetailShot { run: Some(run(3, RunLife::Running)), ..DetailShot::default() };
    for day in ["2020-04-10", "2020-04-11", "2020-04-12"] {
        detail.detail.expect(&target(day));
    }
    let events = [
        (0, Event::RunStarted { command: "backfill facts".into(), steps: 3 }),
        (1_000, Event::StepStarted { step: target("2020-04-10"), attempt: 1 }),
        (2_000, Event::StepStarted { step: target("2020-04-11"), attempt: 1 }),
        (
            9_000,
            Event::StepFinished {
                step: target("2020-04-10"),
                state: StepState::Failed,
                stats: StepStats::default(),
                message: Some("no number".into()),
                checks: vec![],
                elapsed_ms: 8_000,
            },
        ),
    ];
    for (i, (after, event)) in events.iter().enumerate() {
        let line = crate::output::event_line::plain(event);
        detail.detail.apply(i as i64 + 1, BEGAN + after, BEGAN, event, line);
    }
    app.detail = Some(Arc::new(detail));
    app.now_ms = BEGAN + 70_000;
    app
}

fn shown(app: &mut App, size: (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    app.settle();
    terminal.draw(|frame| draw(app, frame)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let mut out = String::new();
    for y in 0..size.1 {
        let line: String = (0..size.0).map(|x| buffer[(x, y)].symbol()).collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn press(app: &mut App, keys: &str) -> Effect {
    let mut last = Effect::None;
    for c in keys.chars() {
        let code = match c {
            '⏎' => KeyCode::Enter,
            '⎋' => KeyCode::Esc,
            '⇥' => KeyCode::Tab,
            c => KeyCode::Char(c),
        };
        last = app.key(&KeyEvent::from(code));
    }
    last
}

fn screens() -> Vec<(&'static str, &'static str)> {
    vec![
        ("assets", ""),
        ("asset", "j⏎"),
        ("history", "j⏎⇥"),
        ("sql", "j⏎⇥⇥⇥"),
        ("days", "jp"),
        ("runs", "2"),
        ("run", "2⏎"),
        ("steps", "2⏎⇥"),
        ("failures", "4"),
        ("help", "?"),
    ]
}

#[test]
fn every_screen_fits_every_size() {
    for size in SIZES {
        for (name, keys) in screens() {
            let mut app = app(Palette::Dark, false);
            let detail = app.detail.clone();
            press(&mut app, keys);
            app.detail = detail;
            let text = shown(&mut app, size);
            assert!(!text.trim().is_empty(), "{name} at {size:?}");
            assert!(
                !text.chars().any(|c| c != '\n' && crate::output::sanitize::is_hostile(c)),
                "{name}: {text}"
            );
        }
    }
    // Any size at all, down to nothing.
    for width in [1, 2, 5, 20, 29, 31, 45, 61] {
        for height in [1, 2, 5, 6, 7, 11] {
            for (_, keys) in screens() {
                let mut app = app(Palette::Plain, true);
                let detail = app.detail.clone();
                press(&mut app, keys);
                app.detail = detail;
                shown(&mut app, (width, height));
            }
        }
    }
}

#[test]
fn screens_look_like_this() {
    for (name, keys) in screens() {
        let mut app = app(Palette::Dark, false);
        let detail = app.detail.clone();
        press(&mut app, keys);
        app.detail = detail;
        insta::assert_snapshot!(format!("tui_{name}"), shown(&mut app, (100, 24)));
    }
}

/// The run whose process died: not noticed by the database, or an hour later.
fn died(buried: bool) -> App {
    let mut app = app(Palette::Dark, false);
    let mut shot = DetailShot::clone(app.detail.as_ref().unwrap());
    let mut dead = run(3, RunLife::Dead);
    if buried {
        dead = run(3, RunLife::Failed);
        dead.row.message = Some(crate::state::DIED.into());
        dead.row.finished_ms = Some(BEGAN + 3_600_000);
        let gone = Event::StepFinished {
            step: target("2020-04-11"),
            state: StepState::Failed,
            stats: StepStats::default(),
            message: Some(crate::state::DIED.into()),
            checks: vec![],
            elapsed_ms: 0,
        };
        let over = Event::RunFinished { state: RunState::Failed, elapsed_ms: 60_000 };
        for (seq, event) in (5..).zip([gone, over]) {
            let line = crate::output::event_line::plain(&event);
            shot.detail.apply(seq, BEGAN + 3_600_000, BEGAN, &event, line);
        }
    }
    let mut runs = RunsShot::clone(&app.runs);
    runs.runs[0] = dead.clone();
    app.runs = Arc::new(runs);
    shot.run = Some(dead);
    press(&mut app, "2⏎⇥");
    app.detail = Some(Arc::new(shot));
    app
}

#[test]
fn a_run_whose_process_died_has_nothing_at_work_and_ends_at_its_last_heartbeat() {
    for buried in [false, true] {
        let mut app = died(buried);
        let text = shown(&mut app, (100, 24));
        let step = text.lines().find(|l| l.contains("2020-04-11") && l.contains("died"));
        // From its start, 2 s after the run's, to the heartbeat 60 s after it.
        assert!(step.is_some_and(|l| l.contains("58.0 s") && l.contains('✖')), "{text}");
        assert!(!text.contains('▶'), "{text}");
        assert!(text.contains("20/40 steps  1 min 00 s"), "{text}");
        let gantt = |app: &mut App, now_ms: i64| {
            app.now_ms = now_ms;
            let text = shown(app, (100, 24));
            text.lines().find(|l| l.contains("━━━━") && l.contains("/3")).map(str::to_string)
        };
        let first = gantt(&mut app, BEGAN + 70_000);
        assert!(
            first.as_ref().is_some_and(|l| l.contains("━ │") || l.ends_with("━│")),
            "to the end: {first:?}"
        );
        assert_eq!(gantt(&mut app, BEGAN + 86_400_000), first, "time does not go on for the dead");
        assert!(shown(&mut app, (40, 10)).contains("died"));
        app.now_ms = BEGAN + 70_000;
        press(&mut app, "⎋");
        let list = shown(&mut app, (100, 24));
        let line = list.lines().find(|l| l.contains(" 3 ") && l.contains("2026-09-21")).unwrap_or_default();
        assert!(line.contains("1 min 00 s"), "{list}");
    }
}

#[test]
fn ascii_means_ascii() {
    for (name, keys) in screens() {
        let mut app = app(Palette::Plain, true);
        let detail = app.detail.clone();
        press(&mut app, keys);
        app.detail = detail;
        let text = shown(&mut app, (100, 30));
        let other: String = text.chars().filter(|c| !c.is_ascii()).collect();
        // Marks of words that come from elsewhere (dots between facts) are no drawing.
        assert!(other.chars().all(|c| "·…–—←".contains(c)), "{name}: {other}");
    }
}

#[test]
fn before_anything_is_read_there_is_a_screen() {
    let mut app = App::new(Theme::new(Palette::Dark, false), false);
    assert!(shown(&mut app, (80, 24)).contains("reading"));
    for keys in ["2", "3", "4", "1⏎", "p", "m⎋", "b⎋", "r⎋", "c⎋", "/x⏎", "nN"] {
        press(&mut app, keys);
        shown(&mut app, (80, 24));
    }
}

#[test]
fn nothing_is_started_without_a_look_at_the_plan() {
    let mut app = app(Palette::Dark, false);
    let asked = press(&mut app, "jm");
    assert_eq!(asked, Effect::Preview(vec!["materialize".into(), "+facts".into()]));
    // Not before the plan is there.
    assert_eq!(press(&mut app, "⏎"), Effect::None);
    let Some(Popup::Plan { text, .. }) = &mut app.popup else { panic!("no popup") };
    *text = Some("make 3 partitions".into());
    assert!(shown(&mut app, (80, 24)).contains("make 3 partitions"));
    assert_eq!(press(&mut app, "⏎"), Effect::Launch(vec!["materialize".into(), "+facts".into()]));
    assert!(app.popup.is_none());
    press(&mut app, "m");
    assert_eq!(press(&mut app, "⎋"), Effect::None);
    assert!(app.popup.is_none());
}

#[test]
fn a_marked_range_is_backfilled() {
    let mut app = app(Palette::Dark, false);
    shown(&mut app, (120, 100));
    press(&mut app, "jp");
    assert_eq!(*app.screen(), Screen::Partitions("facts".into()));
    assert_eq!(app.day, 100, "it opens on what failed");
    app.zoom = Some(super::heat::Zoom::Months);
    let asked = press(&mut app, "vlllb");
    let wanted = ["backfill", "facts", "--from", "2020-04-10", "--to", "2020-04-13"];
    assert_eq!(asked, Effect::Preview(wanted.map(String::from).to_vec()));
    press(&mut app, "⎋");
    assert!(shown(&mut app, (120, 30)).contains("marked 2020-04-10 … 2020-04-13: 4 days"));
    // What is fresh is made again only when it is marked on purpose.
    press(&mut app, "⎋");
    app.day = 500;
    let Effect::Preview(argv) = press(&mut app, "vlb") else { panic!() };
    assert_eq!(argv.last().unwrap(), "--force");
}

#[test]
fn a_viewer_that_only_watches_starts_nothing() {
    let mut app = app(Palette::Dark, false);
    app.readonly = true;
    for keys in ["m", "b", "r", "R", "c", ":backfill facts⏎"] {
        assert_eq!(press(&mut app, keys), Effect::None, "{keys}");
        assert!(matches!(app.popup, Some(Popup::Message { .. })), "{keys}");
        press(&mut app, "⎋");
    }
    assert!(!shown(&mut app, (100, 24)).contains("backfill  "), "no key of it is offered");
}

#[test]
fn runs_are_retried_resumed_and_canceled_after_a_question() {
    let mut app = app(Palette::Dark, false);
    let argv = |app: &App| match &app.popup {
        Some(Popup::Confirm { argv, .. }) => argv.join(" "),
        other => panic!("{other:?}"),
    };
    press(&mut app, "2c");
    assert_eq!(argv(&app), "runs cancel 3");
    assert_eq!(press(&mut app, "⎋"), Effect::None);
    press(&mut app, "jr");
    assert_eq!(argv(&app), "runs retry 2");
    press(&mut app, "⎋jr");
    assert_eq!(argv(&app), "runs retry 1 --from-failure", "a dead run goes on");
    assert_eq!(
        press(&mut app, "y"),
        Effect::Launch(vec!["runs".into(), "retry".into(), "1".into(), "--from-failure".into()])
    );
}

#[test]
fn lists_are_filtered_and_logs_searched() {
    let mut app = app(Palette::Dark, false);
    press(&mut app, "/fac⏎");
    assert_eq!(app.assets().len(), 1);
    press(&mut app, "⎋");
    assert_eq!(app.assets().len(), 2);
    let detail = app.detail.clone();
    assert_eq!(press(&mut app, "2⏎"), Effect::Follow(Some(RunId(3))));
    app.detail = detail;
    press(&mut app, "/no number⏎");
    assert!(!app.follow);
    assert_eq!(app.scroll, 3);
    press(&mut app, "⎋/not there⏎");
    assert!(matches!(&app.popup, Some(Popup::Message { text }) if text.contains("not in the log")));
}

#[test]
fn leaving_is_one_key_and_back_another() {
    let mut app = app(Palette::Dark, false);
    press(&mut app, "j⏎⏎");
    assert_eq!(app.stack.len(), 3);
    press(&mut app, "⎋⎋");
    assert_eq!((app.stack.len(), app.chosen), (1, 1), "where one was");
    assert_eq!(press(&mut app, "q"), Effect::Quit);
    assert_eq!(press(&mut app, ":q⏎"), Effect::Quit);
}
