//! The recorded tour: makes a project, materializes it, breaks something in it, drives the real
//! screens over what came of that, and writes pictures of them.
//!
//!     cargo run -p rxpulse-benches --bin tour               # into docs/tour/
//!     cargo run -p rxpulse-benches --bin tour -- DIR
//!
//! Everything shown was made by the program's own commands: this binary is the program when it
//! calls itself, or `RXPULSE_TEST_BIN` names one. Only times are set: they would differ with every
//! machine, and so would every picture. They are no measurement.

mod svg;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rxpulse::project::Project;
use rxpulse::state::RunId;
use rxpulse::tui;
use rxpulse::tui::app::{App, Effect};
use rxpulse::tui::feed::{self, Want};
use rxpulse::tui::ratatui::Terminal;
use rxpulse::tui::ratatui::backend::TestBackend;
use rxpulse::tui::ratatui::crossterm::event::{KeyCode, KeyEvent};
use rxpulse::tui::shot::{DetailShot, News, RunShot};
use rxpulse::tui::theme::{Palette, Theme};

/// Set when this binary is called as the program itself.
const AS_PROGRAM: &str = "RXPULSE_TOUR_AS_PROGRAM";
/// How large the screens are.
const SIZE: (u16, u16) = (120, 34);
/// When the first run began, as shown: 2026-11-02 09:00:00 UTC.
const FIRST: i64 = 1_793_610_000_000;
/// Between two runs, as shown.
const APART: i64 = 600_000;
/// How long each run took, as shown; the steps of each keep their places in it.
const TOOK: i64 = 24_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    if std::env::var_os(AS_PROGRAM).is_some() {
        return rxpulse::cli::main();
    }
    let out = std::env::args_os()
        .nth(1)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tour"), PathBuf::from);
    match tour(&out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tour: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A table that counts late deliveries. Its check allows no more than a team can read in a day.
const WATCH: &str = "\
-- Posts about late deliveries of each day, by brand.
SELECT dt, brand, sum(mentions) AS mentions
FROM fact_issue_daily
WHERE issue_type = 'DELIVERY_DELAY'
GROUP BY dt, brand
";

/// What the team reads in the morning.
const BRIEF: &str = "\
-- Late deliveries of the day, all brands together.
SELECT dt, sum(mentions) AS mentions
FROM delivery_watch
GROUP BY dt
";

const DECLARED: &str = r#"
[assets.delivery_watch]
layer       = "gold"
kind        = "sql"
deps        = ["fact_issue_daily"]
key         = ["brand"]
description = "Posts about late deliveries of each day, by brand."
checks      = [{ type = "custom", name = "a_team_can_read_them", violates = "mentions > 32" }]

[assets.morning_brief]
layer       = "gold"
kind        = "sql"
deps        = ["delivery_watch"]
key         = ["mentions"]
description = "Late deliveries of the day, all brands together."
"#;

fn tour(out: &Path) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let root = dir.path();
    let run = |args: &[&str], code: i32| program(root, args, code);
    run(&["init", "."], 0)?;
    // A run's steps in the same order every time.
    edit(root, "pipelines.toml", "# concurrency = 2 ", "concurrency = 1   ")?;
    edit(root, "pipelines.toml", "start    = \"2026-08-01\"", "start    = \"2025-08-01\"")?;
    edit(root, "pipelines.toml", "posts_per_day = 400", "posts_per_day = 100")?;
    let declared = std::fs::read_to_string(root.join("pipelines.toml"))? + DECLARED;
    std::fs::write(root.join("pipelines.toml"), declared)?;
    std::fs::write(root.join("assets/delivery_watch.sql"), WATCH)?;
    std::fs::write(root.join("assets/morning_brief.sql"), BRIEF)?;

    eprintln!("making 455 days …");
    run(&["materialize", "--all", "--progress", "none"], 3)?;
    run(&["backfill", "delivery_watch", "--failed", "--progress", "none"], 1)?;
    // The failing days are looked into: the limit was too low for one of them.
    edit(root, "pipelines.toml", "mentions > 32", "mentions > 36")?;
    run(&["backfill", "delivery_watch", "--failed", "--progress", "none"], 3)?;
    // A changed body makes its table, and nothing else, out of date.
    edit(root, "assets/top_issue_posts.sql", "place <= 10", "place <= 8")?;
    run(&["materialize", "top_issue_posts", "--to", "2026-05-20", "--progress", "none"], 0)?;

    std::fs::create_dir_all(out)?;
    let mut show = Show::open(root)?;
    let picture = |show: &mut Show, name: &str, title: &str, keys: &str| -> Result<()> {
        show.press(keys)?;
        let buffer = show.drawn()?;
        std::fs::write(out.join(format!("{name}.svg")), svg::picture(&buffer, title))?;
        eprintln!("{}", out.join(format!("{name}.svg")).display());
        Ok(())
    };
    let to = |show: &Show, asset: &str| -> Result<String> {
        let at = show.app.assets().iter().position(|a| a.key == asset).ok_or("no such asset")?;
        Ok("j".repeat(at))
    };
    let keys = to(&show, "delivery_watch")?;
    picture(&mut show, "assets", "All tables with their state, and the lineage of the chosen one", &keys)?;
    picture(&mut show, "asset", "One table: what it reads, who reads it, its state", "⏎")?;
    let keys = format!("1{}p", to(&show, "top_issue_posts")?);
    picture(&mut show, "days", "A heat map of the days of one table", &keys)?;
    picture(&mut show, "plan", "What a run would do and why, asked before it is started", "1m")?;
    picture(&mut show, "runs", "All runs with their progress", "⎋2")?;
    picture(&mut show, "run", "A failed run: its steps over time, and its log", "GLL⏎")?;
    picture(&mut show, "failures", "What failed last and was not made since", "4")?;
    Ok(())
}

/// Changes a file in one place.
fn edit(root: &Path, file: &str, from: &str, to: &str) -> Result<()> {
    let path = root.join(file);
    let text = std::fs::read_to_string(&path)?;
    if text.matches(from).count() != 1 {
        return Err(format!("`{from}` does not stand once in {file}").into());
    }
    Ok(std::fs::write(path, text.replace(from, to))?)
}

/// Runs a command of the program; gives what it printed.
fn program(root: &Path, args: &[&str], code: i32) -> Result<String> {
    let other = std::env::var_os("RXPULSE_TEST_BIN").map(PathBuf::from);
    let mut command = Command::new(other.map_or_else(std::env::current_exe, Ok)?);
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("RXPULSE_")) {
        command.env_remove(name);
    }
    let done = command.args(args).current_dir(root).env(AS_PROGRAM, "1").env("NO_COLOR", "1").output()?;
    if done.status.code() != Some(code) {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(
            format!("rxpulse {} ended with {} and not {code}:\n{said}", args.join(" "), done.status).into()
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The screens, without a terminal.
struct Show {
    root: PathBuf,
    app: App,
    terminal: Terminal<TestBackend>,
    wants: Sender<Want>,
    news: Receiver<News>,
    /// When each run began and how long it took, really.
    really: BTreeMap<RunId, (i64, i64)>,
}

impl Show {
    fn open(root: &Path) -> Result<Self> {
        let project = Arc::new(Project::open(root.to_path_buf(), None).map_err(|e| e.to_string())?);
        let (wants, wanted) = channel();
        let (tell, news) = channel();
        feed::start(project, clock, wanted, tell)?;
        let mut app = App::new(Theme::new(Palette::Dark, false), false);
        app.now_ms = clock();
        let terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1))?;
        let mut show = Self { root: root.to_path_buf(), app, terminal, wants, news, really: BTreeMap::new() };
        show.until(|app| app.world.is_some() && !app.runs.runs.is_empty())?;
        Ok(show)
    }

    /// Takes news in until something holds.
    fn until(&mut self, holds: impl Fn(&App) -> bool) -> Result<()> {
        let began = Instant::now();
        while !holds(&self.app) {
            let left = Duration::from_secs(120).saturating_sub(began.elapsed());
            let news = self.news.recv_timeout(left).map_err(|_| "the feed tells nothing")?;
            let news = self.steady(news);
            self.app.learn(news);
        }
        match &self.app.trouble {
            Some(trouble) => Err(trouble.clone().into()),
            None => Ok(()),
        }
    }

    /// Presses keys as a person would, and does what the viewer does for them.
    fn press(&mut self, keys: &str) -> Result<()> {
        self.drawn()?;
        for c in keys.chars() {
            let code = match c {
                '⏎' => KeyCode::Enter,
                '⎋' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            match self.app.key(&KeyEvent::from(code)) {
                Effect::Preview(argv) => {
                    let args: Vec<&str> = argv.iter().map(String::as_str).chain(["--dry-run"]).collect();
                    let text = program(&self.root, &args, 0)?;
                    self.app.previewed(&argv, text);
                }
                Effect::Follow(Some(run)) => {
                    self.wants.send(Want::Run(Some(run)))?;
                    self.until(|app| app.detail.is_some())?;
                }
                Effect::Follow(None) => self.wants.send(Want::Run(None))?,
                Effect::None | Effect::Refresh => {}
                effect @ (Effect::Quit | Effect::Launch(_)) => {
                    return Err(format!("{effect:?} on a tour").into());
                }
            }
            self.drawn()?;
        }
        Ok(())
    }

    fn drawn(&mut self) -> Result<tui::ratatui::buffer::Buffer> {
        self.app.settle();
        let app = &mut self.app;
        self.terminal.draw(|frame| tui::draw(app, frame))?;
        Ok(self.terminal.backend().buffer().clone())
    }

    /// News with the times of the tour.
    fn steady(&mut self, news: News) -> News {
        match news {
            News::Runs(runs) => {
                let mut runs = (*runs).clone();
                for run in &mut runs.runs {
                    self.steady_run(run);
                }
                News::Runs(Arc::new(runs))
            }
            News::Run(detail) => {
                let mut detail = DetailShot::clone(&detail);
                if let Some(run) = &mut detail.run {
                    self.steady_run(run);
                    self.steady_detail(&mut detail);
                }
                News::Run(Arc::new(detail))
            }
            News::World(world) => {
                let mut world = (*world).clone();
                for at in world.assets.iter_mut().flat_map(|a| a.published.iter_mut()).filter(|at| **at > 0) {
                    // At the end of the run that published it.
                    let run = self.really.iter().rev().find(|(_, (began, _))| began <= at);
                    *at = run.map_or(FIRST, |(id, _)| began(*id)) + TOOK;
                }
                News::World(Arc::new(world))
            }
            News::Trouble(text) => News::Trouble(text),
        }
    }

    fn steady_run(&mut self, run: &mut RunShot) {
        let row = &mut run.row;
        let end = row.finished_ms.unwrap_or(row.heartbeat_ms);
        self.really.entry(row.id).or_insert((row.started_ms, (end - row.started_ms).max(1)));
        row.started_ms = began(row.id);
        row.heartbeat_ms = row.started_ms + TOOK;
        row.finished_ms = row.finished_ms.map(|_| row.started_ms + TOOK);
    }

    fn steady_detail(&self, shot: &mut DetailShot) {
        let Some(id) = shot.run.as_ref().map(|r| r.row.id) else { return };
        let Some((started, took)) = self.really.get(&id).copied() else { return };
        let scaled = |ms: i64| (ms * TOOK / took).clamp(0, TOOK);
        for lane in shot.detail.lanes.values_mut() {
            lane.from_ms = lane.from_ms.map(scaled);
            lane.to_ms = lane.to_ms.map(scaled);
            for step in lane.steps.values_mut() {
                step.from_ms = step.from_ms.map(scaled);
                step.to_ms = step.to_ms.map(scaled);
            }
        }
        for line in &mut shot.detail.log {
            line.at_ms = began(id) + scaled(line.at_ms - started);
            line.text = untimed(&line.text);
        }
    }
}

/// When a run began, as shown.
fn began(run: RunId) -> i64 {
    FIRST + (run.0 - 1) * APART
}

/// Now, as shown: an hour after the first run began.
fn clock() -> i64 {
    FIRST + 3_600_000
}

/// A line without how long something took (` in 12.3 s`, ` in 850 ms`).
fn untimed(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let mut out: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let number = words.get(at + 1).is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit()));
        let unit = words.get(at + 2).map(|w| w.trim_end_matches([',', ':']));
        if words[at] == "in" && number && matches!(unit, Some("ms" | "s" | "min" | "h")) {
            // The comma or colon behind it stays.
            let rest = words[at + 2].trim_start_matches(|c: char| c.is_ascii_alphabetic());
            at += 3;
            if matches!(unit, Some("min" | "h")) {
                at += 2;
            }
            if !rest.is_empty()
                && let Some(last) = out.pop()
            {
                return format!("{} {last}{rest} {}", out.join(" "), words[at..].join(" "));
            }
            continue;
        }
        out.push(words[at]);
        at += 1;
    }
    out.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{tour, untimed};

    /// Also makes the pictures where no other build than that of the tests is wanted:
    /// `RXPULSE_TOUR=docs/tour` says where they go.
    #[test]
    fn every_screen_of_the_tour_is_reached() {
        if std::env::var_os("RXPULSE_TEST_BIN").is_none() {
            eprintln!("SKIPPED every_screen_of_the_tour_is_reached: RXPULSE_TEST_BIN names no binary");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let out = std::env::var_os("RXPULSE_TOUR").map_or(dir.path().to_path_buf(), Into::into);
        tour(&out).unwrap();
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 7);
    }

    #[test]
    fn lines_lose_what_differs_from_time_to_time() {
        assert_eq!(
            untimed("succeeded facts[2026-08-01] in 12 ms, 7 rows"),
            "succeeded facts[2026-08-01], 7 rows"
        );
        assert_eq!(
            untimed("failed facts[2026-08-01] in 1.2 s: no number"),
            "failed facts[2026-08-01]: no number"
        );
        assert_eq!(untimed("run failed in 24.0 s"), "run failed");
        assert_eq!(untimed("7 rows in facts"), "7 rows in facts");
    }
}
