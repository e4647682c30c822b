//! Commands that the viewer starts: processes of their own, in a process group of their own, so
//! that neither leaving the viewer nor closing its terminal ends them.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What became of a command.
pub(super) enum Launched {
    /// What it would do.
    Previewed {
        /// The command.
        argv: Vec<String>,
        /// As `plan` prints it.
        text: String,
    },
    /// It ended.
    Ended {
        /// The command.
        argv: Vec<String>,
        /// Its exit code; -1 when a signal ended it.
        code: i32,
        /// The last of what it said.
        said: String,
    },
}

pub(super) struct Launcher {
    root: PathBuf,
    arguments: Vec<OsString>,
    children: Vec<(Vec<String>, Child, Option<File>)>,
    previews: (Sender<Launched>, Receiver<Launched>),
}

/// How much of what a command said is shown.
const SAID: u64 = 4_000;

impl Launcher {
    pub(super) fn new(root: &Path, arguments: Vec<OsString>) -> Self {
        Self { root: root.to_path_buf(), arguments, children: Vec::new(), previews: channel() }
    }

    fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&self.arguments).current_dir(&self.root);
        command.stdin(Stdio::null()).env("NO_COLOR", "1");
        Ok(command)
    }

    /// Asks, on a thread, what a command would do.
    pub(super) fn preview(&self, argv: Vec<String>) {
        let sender = self.previews.0.clone();
        let command = self.command().map(|mut command| {
            command.args(&argv).arg("--dry-run");
            command
        });
        std::thread::spawn(move || {
            let text = match command.and_then(|mut command| command.output()) {
                Ok(output) => {
                    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
                    text.push_str(&String::from_utf8_lossy(&output.stderr));
                    text
                }
                Err(error) => format!("it could not be asked: {error}"),
            };
            let _ = sender.send(Launched::Previewed { argv, text });
        });
    }

    /// Starts a command that survives the viewer.
    pub(super) fn launch(&mut self, argv: Vec<String>) -> io::Result<()> {
        let folder = self.root.join("state/tmp");
        std::fs::create_dir_all(&folder)?;
        // Unnamed: it goes with the last process that has it open.
        let said = tempfile::tempfile_in(&folder)?;
        let mut command = self.command()?;
        command.args(&argv).args(["--progress", "none"]);
        command.stdout(said.try_clone()?).stderr(said.try_clone()?).process_group(0);
        let child = command.spawn()?;
        self.children.push((argv, child, Some(said)));
        Ok(())
    }

    /// What has become of commands since it was asked last.
    pub(super) fn poll(&mut self) -> Vec<Launched> {
        let mut out: Vec<Launched> = self.previews.1.try_iter().collect();
        self.children.retain_mut(|(argv, child, said)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                let said = said.take().and_then(|file| tail(file).ok()).unwrap_or_default();
                out.push(Launched::Ended {
                    argv: std::mem::take(argv),
                    code: status.code().unwrap_or(-1),
                    said,
                });
                false
            }
            Err(_) => false,
        });
        out
    }
}

fn tail(mut file: File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SAID)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_string())
}
