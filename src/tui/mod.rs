//! The run monitor: screens over the state database, drawn in a terminal.
//!
//! A thread reads ([`feed`]), [`app`] holds what is shown and takes keys in, [`draw`] draws; this
//! file owns the terminal. [`App`](app::App), [`feed`] and [`draw`] also serve whoever shows the
//! screens elsewhere, on a buffer of [`ratatui`]. Nothing here runs steps: what is started is a
//! process of its own, which survives the viewer, and what is watched may be any process's run.

mod act;
pub mod app;
mod ask;
mod draw;
pub mod feed;
pub mod heat;
pub mod keys;
mod launch;
pub mod shot;
pub mod theme;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{
    self, DisableMouseCapture, EnableMouseCapture, Event, KeyCode, KeyEventKind, KeyModifiers, MouseEventKind,
};
use ratatui::crossterm::execute;

use crate::output::text;
use crate::project::Project;
use crate::state::RunId;

pub use draw::draw;
/// The screens are drawn with it; a buffer of another version would not do.
pub use ratatui;

use app::{App, Effect, Screen};
use feed::Want;
use launch::{Launched, Launcher};
use shot::News;
use theme::Theme;

/// How the viewer is opened.
pub struct Options {
    /// Colours.
    pub theme: Theme,
    /// Nothing can be started.
    pub readonly: bool,
    /// Take the mouse.
    pub mouse: bool,
    /// Open on this run.
    pub run: Option<RunId>,
    /// Start this first, and open on the run that it becomes.
    pub launch: Option<Vec<String>>,
    /// Arguments before the verb that every started command gets: project and profile.
    pub arguments: Vec<std::ffi::OsString>,
    /// What time it is, in milliseconds since 1970 UTC.
    pub clock: fn() -> i64,
}

/// Frames a second at most while a run is at work.
const FRAME: Duration = Duration::from_millis(100);
/// How long a turn of the loop waits for a key.
const TURN: Duration = Duration::from_millis(50);

/// Shows the viewer until the person leaves. The terminal is restored whatever happens.
///
/// # Errors
/// When the terminal cannot be used.
pub fn show(project: Arc<Project>, options: Options) -> io::Result<u8> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let (wants, wanted) = channel();
    let (tell, news) = channel();
    feed::start(project.clone(), options.clock, wanted, tell)?;
    let mut app = App::new(options.theme, options.readonly);
    app.now_ms = (options.clock)();
    // Also puts a hook before the panic hook that restores the terminal.
    let mut terminal = ratatui::try_init()?;
    let mouse = options.mouse;
    if mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    let restore = Restore { mouse };
    let mut viewer = Viewer {
        launcher: Launcher::new(&project.root, options.arguments),
        wants,
        news,
        follow_next: false,
        newest: 0,
        clock: options.clock,
    };
    if let Some(id) = options.run {
        let effect = app.open(Screen::Run(id));
        viewer.carry_out(&mut app, effect);
    }
    if let Some(argv) = options.launch {
        viewer.follow_next = true;
        viewer.newest = newest(&project);
        viewer.carry_out(&mut app, Effect::Launch(argv));
    }
    let result = viewer.turn(&mut app, &mut terminal, &stop, mouse);
    let _ = viewer.wants.send(Want::Stop);
    drop(restore);
    result?;
    Ok(if stop.load(Ordering::Relaxed) { 143 } else { 0 })
}

fn newest(project: &Project) -> i64 {
    let state = project.state_if_any().ok().flatten();
    state.and_then(|s| s.latest_run().ok().flatten()).map_or(0, |r| r.id.0)
}

/// Gives the terminal back when it goes.
struct Restore {
    mouse: bool,
}

impl Drop for Restore {
    fn drop(&mut self) {
        if self.mouse {
            let _ = execute!(io::stdout(), DisableMouseCapture);
        }
        ratatui::restore();
    }
}

struct Viewer {
    launcher: Launcher,
    wants: Sender<Want>,
    news: Receiver<News>,
    /// Open the next run that appears.
    follow_next: bool,
    newest: i64,
    clock: fn() -> i64,
}

impl Viewer {
    fn turn(
        &mut self,
        app: &mut App,
        terminal: &mut ratatui::DefaultTerminal,
        stop: &AtomicBool,
        mouse: bool,
    ) -> io::Result<()> {
        // At once, before anything is read.
        terminal.draw(|frame| draw(app, frame))?;
        let mut dirty = false;
        let mut drawn = Instant::now();
        let mut second = 0;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let mut urgent = false;
            while let Ok(news) = self.news.try_recv() {
                self.take(app, news);
                dirty = true;
            }
            for told in self.launcher.poll() {
                self.launched(app, told);
                urgent = true;
            }
            app.now_ms = (self.clock)();
            // Times on the screen go on while a run is at work.
            let running = app.runs.runs.iter().any(|r| !r.row.state.is_final());
            if running && app.now_ms / 1000 != second {
                second = app.now_ms / 1000;
                dirty = true;
            }
            if urgent || dirty && drawn.elapsed() >= FRAME {
                app.settle();
                terminal.draw(|frame| draw(app, frame))?;
                (dirty, drawn) = (false, Instant::now());
            }
            let wait = if dirty { FRAME.saturating_sub(drawn.elapsed()).min(TURN) } else { TURN };
            if !event::poll(wait)? {
                continue;
            }
            // Everything that has arrived, then one frame.
            while event::poll(Duration::ZERO)? {
                match event::read()? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => {
                        let control = key.modifiers.contains(KeyModifiers::CONTROL);
                        if control && key.code == KeyCode::Char('z') {
                            suspend(terminal, mouse)?;
                            continue;
                        }
                        let effect = app.key(&key);
                        if !self.carry_out(app, effect) {
                            return Ok(());
                        }
                    }
                    Event::Mouse(mouse) => self.clicked(app, &mouse),
                    Event::Resize(..) => terminal.autoresize()?,
                    _ => {}
                }
            }
            app.settle();
            terminal.draw(|frame| draw(app, frame))?;
            (dirty, drawn) = (false, Instant::now());
        }
    }

    fn clicked(&mut self, app: &mut App, mouse: &event::MouseEvent) {
        let code = match mouse.kind {
            MouseEventKind::ScrollUp => KeyCode::Up,
            MouseEventKind::ScrollDown => KeyCode::Down,
            _ => return,
        };
        app.key(&code.into());
    }

    fn take(&mut self, app: &mut App, news: News) {
        app.learn(news);
        let newest = app.runs.runs.first().map(|r| r.row.id);
        if let Some(id) = newest.filter(|id| self.follow_next && id.0 > self.newest) {
            self.follow_next = false;
            let effect = app.open(Screen::Run(id));
            self.carry_out(app, effect);
        }
    }

    fn launched(&mut self, app: &mut App, told: Launched) {
        match told {
            Launched::Previewed { argv, text } => app.previewed(&argv, text),
            Launched::Ended { argv, code, said } => {
                let _ = self.wants.send(Want::Refresh);
                // A run tells its own story; what never became one has to be told here.
                if code != 0 && app.runs.runs.first().is_none_or(|r| r.row.id.0 <= self.newest) {
                    self.follow_next = false;
                    app.say(format!("rxpulse {} ended with exit code {code}\n{said}", text::command(&argv)));
                } else if self.follow_next {
                    self.follow_next = false;
                    app.say(said);
                }
            }
        }
    }

    /// False when the viewer ends.
    fn carry_out(&mut self, app: &mut App, effect: Effect) -> bool {
        match effect {
            Effect::None => {}
            Effect::Quit => return false,
            Effect::Follow(run) => {
                let _ = self.wants.send(Want::Run(run));
            }
            Effect::Refresh => {
                let _ = self.wants.send(Want::Refresh);
            }
            Effect::Preview(argv) => self.launcher.preview(argv),
            Effect::Launch(argv) => {
                let starts = argv.get(1).is_none_or(|verb| verb != "cancel");
                if starts {
                    self.follow_next = true;
                    self.newest = app.runs.runs.first().map_or(self.newest, |r| r.row.id.0);
                }
                if let Err(error) = self.launcher.launch(argv) {
                    app.say(format!("it could not be started: {error}"));
                }
            }
        }
        true
    }
}

/// Ctrl-Z: gives the terminal back, stops, and takes it again when continued.
fn suspend(terminal: &mut ratatui::DefaultTerminal, mouse: bool) -> io::Result<()> {
    drop(Restore { mouse });
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
    *terminal = ratatui::try_init()?;
    if mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    terminal.clear()
}
