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

use std::io::{self, IsTerminal, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use ratatui::crossterm::cursor::Show;
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
/// How long a viewer that was told to end may take, on a terminal that is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a turn of the loop waits for a key.
const TURN: Duration = Duration::from_millis(50);

/// Shows the viewer until the person leaves. The terminal is restored whatever happens.
///
/// # Errors
/// When the terminal cannot be used.
pub fn show(project: Arc<Project>, options: Options) -> io::Result<u8> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    // The exit code of the signal that came; 0 while none has.
    let stop = Arc::new(AtomicUsize::new(0));
    let (watched, signaled) = UnixStream::pair()?;
    for (signal, code) in [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)] {
        signal_hook::flag::register_usize(signal, stop.clone(), code)?;
        signal_hook::low_level::pipe::register(signal, signaled.try_clone()?)?;
    }
    insist(watched, stop.clone())?;
    // The hook that ratatui puts before this one gives the terminal back, whichever thread panics.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        BROKEN.store(true, Ordering::SeqCst);
        before(panic);
    }));
    let (wants, wanted) = channel();
    let (tell, news) = channel();
    let mut app = App::new(options.theme, options.readonly);
    app.now_ms = (options.clock)();
    // Also puts a hook before the panic hook that restores the terminal.
    let mut terminal = ratatui::try_init()?;
    let mouse = options.mouse;
    let restore = Restore { mouse };
    if mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    // After the hook is there: a panic in it is the viewer's end, too.
    feed::start(project.clone(), options.clock, wanted, tell)?;
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
    Ok(u8::try_from(stop.load(Ordering::Relaxed)).unwrap_or(1))
}

/// Ends the process when a signal does not end the viewer in order: crossterm reads a terminal
/// that is gone again and again, and one whose output is stopped takes no frame.
fn insist(mut signaled: UnixStream, stop: Arc<AtomicUsize>) -> io::Result<()> {
    std::thread::Builder::new().name("rxpulse-insist".into()).spawn(move || {
        if signaled.read_exact(&mut [0]).is_ok() {
            let began = Instant::now();
            while io::stdin().is_terminal() && began.elapsed() < PATIENCE {
                std::thread::sleep(TURN);
            }
            // Nothing is written: whatever holds the viewer up would hold this up, too.
            let _ = ratatui::crossterm::terminal::disable_raw_mode();
            std::process::exit(i32::try_from(stop.load(Ordering::Relaxed)).unwrap_or(1));
        }
    })?;
    Ok(())
}

/// Whether a thread has panicked, after which the terminal is not ours any more.
static BROKEN: AtomicBool = AtomicBool::new(false);

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
        let _ = execute!(io::stdout(), Show);
        // A second time would put the cursor back over what the panic said.
        if !BROKEN.load(Ordering::SeqCst) {
            ratatui::restore();
        }
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
        stop: &AtomicUsize,
        mouse: bool,
    ) -> io::Result<()> {
        // At once, before anything is read.
        terminal.draw(|frame| draw(app, frame))?;
        let mut dirty = false;
        let mut drawn = Instant::now();
        let mut second = 0;
        loop {
            if stop.load(Ordering::Relaxed) != 0 {
                return Ok(());
            }
            if BROKEN.load(Ordering::SeqCst) {
                return Err(io::Error::other("the viewer has a defect; please report what stands above"));
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
                crate::crash::trap("viewer");
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
    // The screen just taken is empty, and so is what this terminal knows of it: the next frame is
    // drawn in full. Clearing would ask the terminal where its cursor is, and wait.
    Ok(())
}
