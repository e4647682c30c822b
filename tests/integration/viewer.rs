//! The run monitor on a terminal: it gives back what it took, and obeys no text it shows.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rxpulse::event::{Event, RunState, StepState, StepStats, Target};
use rxpulse::graph::PartitionKey;
use rxpulse::state::{Batch, NewRun, State};

use crate::project::Project;
use crate::pty::{self, Pty};

/// A small project that is made.
fn made() -> Project {
    let project = Project::sample("2026-08-01", "2026-08-05", 20).without(&[
        "issue_trend_daily",
        "top_issue_posts",
        "post_signals",
        "general_feedback_ai",
    ]);
    project.ok(&["materialize", "--all"]);
    project
}

fn open(project: &Project, columns: u16, rows: u16) -> Pty {
    Pty::start(&mut project.command(&["tui"]), columns, rows)
}

#[test]
fn every_way_out_gives_the_terminal_back() {
    if !pty::available() {
        return;
    }
    let project = made();
    let ways: [(&str, Option<Signal>, Option<i32>); 4] = [
        ("q", None, Some(0)),
        ("SIGINT", Some(Signal::INT), Some(130)),
        ("SIGTERM", Some(Signal::TERM), Some(143)),
        ("SIGHUP", Some(Signal::HUP), Some(129)),
    ];
    for (what, signal, code) in ways {
        let mut viewer = open(&project, 100, 30);
        viewer.waits_for("silver_posts");
        match signal {
            Some(signal) => kill_process(Pid::from_child(&viewer.child), signal).unwrap(),
            None => viewer.keys("q"),
        }
        assert_eq!(viewer.ends().code(), code, "{what}");
        viewer.is_restored(what);
    }
}

#[test]
fn a_panic_in_the_viewer_gives_the_terminal_back_and_is_told() {
    if !pty::available() {
        return;
    }
    let project = made();
    for (place, code) in [("viewer", 101), ("viewer feed", 1)] {
        let mut command = project.command(&["tui"]);
        command.env("RXPULSE_PANIC_AT", place);
        let mut viewer = Pty::start(&mut command, 100, 30);
        assert_eq!(viewer.ends().code(), Some(code), "{place}");
        viewer.is_restored(place);
        let written = String::from_utf8_lossy(&viewer.bytes()).into_owned();
        // On the screen that stays, not on the one that is gone.
        let told = written.rsplit("\u{1b}[?1049l").next().unwrap();
        assert!(told.contains(&format!("RXPULSE_PANIC_AT reached: {place}")), "{place}: {told:?}");
    }
}

#[test]
fn a_terminal_that_is_closed_ends_the_viewer() {
    if !pty::available() {
        return;
    }
    let project = made();
    let mut viewer = open(&project, 100, 30);
    viewer.waits_for("silver_posts");
    viewer.hang_up();
    assert_eq!(viewer.ends().code(), Some(129));
}

#[test]
fn stopped_and_continued_it_takes_the_terminal_again() {
    if !pty::available() {
        return;
    }
    let project = made();
    // A shell with job control, which alone can be left by Ctrl-Z.
    let command = project.command(&["tui"]);
    let mut shell = std::process::Command::new("bash");
    shell.args(["-mc", "\"$@\"; echo STOPPED; read line; fg >/dev/null; echo OVER $?", "bash"]);
    shell.arg(command.get_program()).args(command.get_args());
    let mut viewer = Pty::start(&mut shell, 100, 30);
    viewer.waits_for("silver_posts");
    viewer.keys("\u{1a}");
    viewer.waits_for("STOPPED");
    viewer.is_restored("stopped");
    let from = viewer.bytes().len();
    viewer.keys("on\n");
    let began = std::time::Instant::now();
    while !String::from_utf8_lossy(&viewer.bytes()[from..]).contains("silver_posts") {
        assert!(began.elapsed() < pty::PATIENCE, "it does not go on");
        std::thread::sleep(Duration::from_millis(5));
    }
    viewer.keys("q");
    viewer.waits_for("OVER 0");
    viewer.ends();
    viewer.is_restored("after it went on");
}

#[test]
fn a_storm_of_sizes_leaves_the_screen_right() {
    if !pty::available() {
        return;
    }
    let project = made();
    let mut viewer = open(&project, 100, 30);
    viewer.waits_for("silver_posts");
    let seed = crate::project::seed();
    let mut dice = fastrand::Rng::with_seed(seed);
    for n in 0..200 {
        match n % 20 {
            0 => viewer.resize(1, 1),
            10 => viewer.resize(400, 100),
            _ => viewer.resize(dice.u16(1..=400), dice.u16(1..=100)),
        }
        if n % 7 == 0 {
            viewer.keys(["2", "1", "p", "\u{1b}", "?", "\u{1b}"][n / 7 % 6]);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut calm = open(&project, 90, 25);
    calm.waits_for("silver_posts");
    calm.settles();
    // Back on the first screen, at a size that the other viewer has had from the start. (Escape
    // is waited for: with the next key at its heels it is another key.)
    viewer.resize(90, 25);
    for key in ["\u{1b}", "\u{1b}", "1"] {
        viewer.settles();
        viewer.keys(key);
    }
    let began = std::time::Instant::now();
    while viewer.screen() != calm.screen() && began.elapsed() < pty::PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(viewer.screen(), calm.screen(), "seed {seed}");
    viewer.keys("q");
    assert_eq!(viewer.ends().code(), Some(0));
    viewer.is_restored("after a storm");
}

/// Everything that a terminal might obey, each with a word behind it that shows it arrived.
const HOSTILE: &str = "\u{1b}]52;c;ZXZpbA==\u{7}MARK \u{1b}[2JMARK \u{9b}31mMARK\rMARK \u{202e}MARK\u{2066} \
                       \u{1b}P+q\u{1b}\\MARK \u{8}\u{8}MARK\u{200b}";

fn is_harmless(written: &[u8], what: &str) {
    let text = String::from_utf8_lossy(written);
    let bad = [
        "\u{1b}]",
        "\u{1b}P",
        "\u{1b}[2JM",
        "\u{1b}\\",
        "\u{9b}",
        "\u{202e}",
        "\u{2066}",
        "\u{200b}",
        "\r",
        "\u{7}",
        "\u{8}",
    ];
    for sequence in bad {
        let at = text.find(sequence);
        assert!(at.is_none(), "{what}: {sequence:?} reached the terminal: {:?}", at.map(|at| &text[at..]));
    }
}

#[test]
fn no_text_of_a_post_is_obeyed_on_any_screen() {
    if !pty::available() {
        return;
    }
    let project = made();
    let opened = project.opened();
    let lake = opened.lake_if_any().unwrap().unwrap().id().to_string();
    let state = State::open(&project.path("state/rxpulse.db")).unwrap();
    let day = |n: u32| Target::Partition {
        asset: "silver_posts".parse().unwrap(),
        partition: PartitionKey::Day(crate::project::day(n).parse().unwrap()),
    };
    let capture = Target::Capture {
        asset: "raw_posts".parse().unwrap(),
        source: "sample".into(),
        window: format!("{HOSTILE}.ndjson"),
    };
    let ended = |step: Target, state| Event::StepFinished {
        step,
        state,
        stats: StepStats::default(),
        message: Some(format!("cannot read: {HOSTILE}")),
        checks: vec![],
        elapsed_ms: 5,
    };
    let run = state
        .begin_run(&NewRun {
            lake,
            command: format!("materialize {HOSTILE}"),
            request_json: "{}".into(),
            pid: 1,
            host: HOSTILE.into(),
            steps: 3,
            now_ms: rxpulse::exec::now_ms(),
        })
        .unwrap();
    let events = vec![
        Event::RunStarted { command: format!("materialize {HOSTILE}"), steps: 3 },
        Event::StepStarted { step: capture.clone(), attempt: 1 },
        Event::Log { level: "warn".into(), step: None, message: HOSTILE.into() },
        Event::Log { level: "error".into(), step: Some(day(1)), message: HOSTILE.into() },
        Event::StepRetry { step: day(1), attempt: 1, error: HOSTILE.into(), wait_ms: 1 },
        ended(capture.clone(), StepState::Failed),
        ended(day(1), StepState::Failed),
        ended(day(2), StepState::UpstreamFailed),
        Event::RunFinished { state: RunState::Failed, elapsed_ms: 9 },
    ];
    let plan = vec![capture, day(1), day(2)];
    state.record(run, &Batch { now_ms: rxpulse::exec::now_ms(), events, plan, ..Batch::default() }).unwrap();
    drop(state);

    for (columns, rows) in [(200, 60), (80, 24), (40, 10)] {
        let mut viewer = open(&project, columns, rows);
        viewer.waits_for("silver_posts");
        // The heat map and what it says of a day; runs; the run with its steps and its log;
        // failures. Where there is room, the words behind the sequences are there.
        let wide = columns >= 200;
        let screens = [
            ("jjp", "silver_posts[", false),
            ("\r", "", columns >= 80),
            ("\u{1b}\u{1b}2", "failed", columns >= 200),
            ("\r", "", wide),
            ("\t", "", false),
            ("\t", "", false),
            ("\u{1b}4", "", wide),
            ("/MARK\r", "", wide),
            ("\u{1b}1", "", false),
        ];
        for (keys, wanted, marked) in screens {
            for key in split(keys) {
                viewer.keys(&key);
                std::thread::sleep(Duration::from_millis(60));
            }
            viewer.settles();
            let screen = viewer.screen();
            assert!(screen.contains(wanted), "{keys:?} at {columns}: {screen}");
            assert!(!marked || screen.contains("MARK"), "{keys:?} at {columns}: {screen}");
        }
        is_harmless(&viewer.bytes(), &format!("{columns}x{rows}"));
        viewer.keys("q");
        assert_eq!(viewer.ends().code(), Some(0));
        viewer.is_restored("after hostile text");
    }
    // What is printed without a viewer is as harmless. (Lines end with a line feed alone.)
    for args in [&["runs", "logs"][..], &["runs", "show"], &["runs", "list"], &["status"]] {
        let done = project.run(args);
        let printed = [done.stdout.as_bytes(), done.stderr.as_bytes()].concat();
        assert!(!printed.is_empty(), "{args:?}");
        is_harmless(&printed, &args.join(" "));
    }
}

/// Escape alone is a key of its own.
fn split(keys: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for c in keys.chars() {
        match (c, out.last_mut()) {
            ('\u{1b}', _) | (_, None) => out.push(c.to_string()),
            (_, Some(last)) if last == "\u{1b}" => out.push(c.to_string()),
            (_, Some(last)) => last.push(c),
        }
    }
    out
}
