//! `rxpulse init`: a new project in a folder. Never overwrites.

use crate::output::terminal::{self, bold, dim, green};

use super::args::{Global, Init};
use super::common::{CliError, Exit};

/// Runs the command.
pub fn run(_: &Global, args: &Init) -> Exit {
    let files = crate::config::init_files();
    let there: Vec<&str> = files.iter().map(|f| f.0).filter(|p| args.dir.join(p).exists()).collect();
    if !there.is_empty() {
        return Err(CliError::Usage(format!(
            "{} already holds {}; nothing was written. Choose another folder",
            args.dir.display(),
            there.join(", ")
        )));
    }
    let mut out = String::new();
    for (path, text) in files {
        let full = args.dir.join(path);
        if let Some(folder) = full.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // create_new: two commands at once cannot overwrite each other's files.
        let mut file = std::fs::File::options().write(true).create_new(true).open(&full)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        out.push_str(&format!("{} {}\n", green("wrote"), dim(&full.display().to_string())));
    }
    out.push_str(&format!(
        "\nNext: {}\n",
        bold(&format!("rxpulse -C {} materialize --all", args.dir.display()))
    ));
    terminal::out(&out);
    Ok(0)
}
