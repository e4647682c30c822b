//! The binary on a terminal: a pty of its own, and what is written there.
//!
//! Linux only (the calls that open a pty differ elsewhere); tests that need it say so and end
//! where it cannot be had.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::ioctl::{Getter, Setter, ioctl};

const TIOCGPTN: u32 = 0x8004_5430;
const TIOCSPTLCK: u32 = 0x4004_5431;
const TIOCSWINSZ: u32 = 0x5414;

/// How long anything may take that must happen at all.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A program on a terminal.
pub struct Pty {
    pub child: Child,
    master: Option<File>,
    /// The terminal's name, which outlives the program as long as we have it open.
    slave: File,
    name: String,
    /// How the terminal was set before the program began, as `stty -g` says it.
    before: String,
    written: Arc<Mutex<Vec<u8>>>,
    closed: Arc<AtomicBool>,
    reader: Option<std::thread::JoinHandle<()>>,
}

/// Whether there are ptys here; says so on a line when there are not.
pub fn available() -> bool {
    let here = cfg!(target_os = "linux") && std::path::Path::new("/dev/ptmx").exists();
    if !here {
        println!("skipped: no /dev/ptmx here");
    }
    here
}

impl Pty {
    /// Starts a program on a terminal of some size.
    pub fn start(command: &mut Command, columns: u16, rows: u16) -> Self {
        let open = |path: &str, flags: OFlags| {
            let mut options = File::options();
            options.read(true).write(true).custom_flags((flags | OFlags::NOCTTY).bits() as i32);
            options.open(path).unwrap_or_else(|e| panic!("{path}: {e}"))
        };
        let master = open("/dev/ptmx", OFlags::NONBLOCK);
        let unlock: i32 = 0;
        // SAFETY: these requests exist on Linux and take or give an int.
        let number: u32 = unsafe {
            ioctl(&master, Setter::<TIOCSPTLCK, i32>::new(unlock)).unwrap();
            ioctl(&master, Getter::<TIOCGPTN, u32>::new()).unwrap()
        };
        let name = format!("/dev/pts/{number}");
        let slave = open(&name, OFlags::empty());
        size(&master, columns, rows);
        let before = stty(&name);
        let stream = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(stream()).stdout(stream()).stderr(stream());
        command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env_remove("LC_ALL");
        command.env_remove("NO_COLOR");
        // SAFETY: only system calls that may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(std::io::stdin().as_fd())?;
                Ok(())
            });
        }
        let child = command.spawn().expect("the program starts");
        let written = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(AtomicBool::new(false));
        let (mut from, into, stop) = (master.try_clone().unwrap(), written.clone(), closed.clone());
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while !stop.load(Ordering::SeqCst) {
                match from.read(&mut buffer) {
                    Ok(n) => into.lock().unwrap().extend_from_slice(&buffer[..n]),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Self { child, master: Some(master), slave, name, before, written, closed, reader: Some(reader) }
    }

    /// Everything written so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.written.lock().unwrap().clone()
    }

    /// What stands on the screen now.
    pub fn screen(&self) -> String {
        screen(&String::from_utf8_lossy(&self.bytes()))
    }

    /// Presses keys.
    pub fn keys(&mut self, keys: &str) {
        let master = self.master.as_mut().expect("the terminal is open");
        master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until a word stands on the screen.
    #[track_caller]
    pub fn waits_for(&mut self, wanted: &str) -> String {
        let began = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            let screen = self.screen();
            if screen.contains(wanted) {
                return screen;
            }
            assert!(ended.is_none(), "it ended with {ended:?} before `{wanted}`:\n{screen}");
            assert!(began.elapsed() < PATIENCE, "`{wanted}` is not shown:\n{screen}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing has been written for a while.
    pub fn settles(&self) {
        let (mut last, mut since) = (self.bytes().len(), Instant::now());
        while since.elapsed() < Duration::from_millis(400) {
            std::thread::sleep(Duration::from_millis(10));
            let now = self.bytes().len();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
    }

    /// Another size, as a terminal's window tells its program.
    pub fn resize(&self, columns: u16, rows: u16) {
        size(self.master.as_ref().expect("the terminal is open"), columns, rows);
    }

    /// Takes the terminal away, as closing its window does.
    pub fn hang_up(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        // The last of its two files: the system tells the program.
        self.master = None;
    }

    /// How the program ends.
    #[track_caller]
    pub fn ends(&mut self) -> std::process::ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // Its last words are on their way.
                self.settles();
                return status;
            }
            if began.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("it does not end:\n{}", self.screen());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Insists that the terminal is as it was: its settings, the screen, mouse and cursor.
    #[track_caller]
    pub fn is_restored(&self, what: &str) {
        assert_eq!(stty(&self.name), self.before, "{what}: the terminal's settings");
        let written = String::from_utf8_lossy(&self.bytes()).into_owned();
        let modes = modes(&written);
        assert_eq!(modes.get("1049"), Some(&false), "{what}: the alternate screen was taken and left");
        assert_ne!(modes.get("25"), Some(&false), "{what}: the cursor is shown");
        for (mode, on) in &modes {
            assert!(!on || mode == "25" || mode == "7", "{what}: mode {mode} is still on");
        }
        let _ = &self.slave;
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.hang_up();
    }
}

fn size(master: &File, columns: u16, rows: u16) {
    let window: [u16; 4] = [rows, columns, 0, 0];
    // SAFETY: this request takes four shorts: rows, columns and two that nobody reads.
    unsafe { ioctl(master, Setter::<TIOCSWINSZ, [u16; 4]>::new(window)) }.unwrap();
}

/// The terminal's settings in one line.
fn stty(name: &str) -> String {
    let output = Command::new("stty").args(["-F", name, "-g"]).output().expect("stty is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The private modes of a terminal that were switched, and what they were switched to last.
fn modes(written: &str) -> std::collections::BTreeMap<String, bool> {
    let mut out = std::collections::BTreeMap::new();
    for piece in written.split("\u{1b}[?").skip(1) {
        let end = piece.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(piece.len());
        let on = match piece[end..].chars().next() {
            Some('h') => true,
            Some('l') => false,
            _ => continue,
        };
        for mode in piece[..end].split(';') {
            out.insert(mode.to_string(), on);
        }
    }
    out
}

/// The screen that a terminal would show, as far as the viewer's sequences go: movements of the
/// cursor, clearing, text. Colours and modes change no text.
fn screen(written: &str) -> String {
    let mut cells: std::collections::BTreeMap<usize, std::collections::BTreeMap<usize, char>> =
        std::collections::BTreeMap::new();
    let (mut row, mut column) = (0, 0);
    let mut chars = written.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                let mut arguments = String::new();
                let mut last = ' ';
                for c in chars.by_ref() {
                    if ('@'..='~').contains(&c) {
                        last = c;
                        break;
                    }
                    arguments.push(c);
                }
                let mut numbers = arguments.split(';').map(|n| n.parse::<usize>().unwrap_or(1).max(1) - 1);
                match last {
                    'H' => (row, column) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)),
                    'J' => cells.clear(),
                    _ => {}
                }
            }
            '\u{1b}' => _ = chars.next(),
            '\n' => (row, column) = (row + 1, 0),
            '\r' => column = 0,
            c => {
                cells.entry(row).or_default().insert(column, c);
                column += 1;
            }
        }
    }
    let mut out = String::new();
    for row in 0..cells.keys().next_back().map_or(0, |last| last + 1) {
        let line = cells.get(&row);
        let end = line.and_then(|l| l.keys().next_back()).map_or(0, |last| last + 1);
        let text: String = (0..end).map(|x| line.and_then(|l| l.get(&x)).copied().unwrap_or(' ')).collect();
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}
