//! Requests written back as arguments: for a process that is started, for the run's record, and
//! for a person who wants to type the same again. Pure.
//!
//! Invariant: parsing what is written here gives the request back (`--dry-run` and `--tui`, which
//! are no part of what is made, apart).

use super::args::{Backfill, Days, Materialize};

/// The arguments of `materialize`, with the verb.
pub fn materialize(args: &Materialize) -> Vec<String> {
    let mut out = vec!["materialize".to_string()];
    flags(&mut out, &[(args.all, "--all")]);
    out.extend(args.selection.iter().cloned());
    days(&mut out, &args.days);
    flags(&mut out, &[(args.force, "--force"), (args.reverse, "--reverse")]);
    option(&mut out, "--max-usd", args.max_usd);
    out
}

/// The arguments of `backfill`, with the verb.
pub fn backfill(args: &Backfill) -> Vec<String> {
    let mut out = vec!["backfill".to_string()];
    out.extend(args.selection.iter().cloned());
    days(&mut out, &args.days);
    flags(
        &mut out,
        &[
            (args.missing, "--missing"),
            (args.failed, "--failed"),
            (args.stale, "--stale"),
            (args.force, "--force"),
            (args.reverse, "--reverse"),
        ],
    );
    option(&mut out, "--parallel", args.parallel);
    option(&mut out, "--max-usd", args.max_usd);
    out
}

fn days(out: &mut Vec<String>, days: &Days) {
    for day in &days.partitions {
        option(out, "--partition", Some(day));
    }
    option(out, "--from", days.from);
    option(out, "--to", days.to);
    option(out, "--latest", days.latest);
}

fn flags(out: &mut Vec<String>, flags: &[(bool, &str)]) {
    out.extend(flags.iter().filter(|f| f.0).map(|f| f.1.to_string()));
}

fn option(out: &mut Vec<String>, flag: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        out.extend([flag.to_string(), value.to_string()]);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::{Cli, Command};
    use super::*;
    use crate::output::text;

    /// Parses a line as typed (its words hold no space), and writes it back.
    fn written(line: &str) -> Vec<String> {
        let words = std::iter::once("rxpulse").chain(line.split(' '));
        match Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}")).command {
            Command::Materialize(args) => materialize(&args),
            Command::Backfill(args) => backfill(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_what_was_typed() {
        for line in [
            "materialize --all",
            "materialize +facts layer:gold --partition 2026-08-01 --partition 2026-08-03",
            "materialize facts --from 2026-08-01 --to 2026-08-09 --force --reverse",
            "materialize --all --latest 3",
            "backfill * --missing --failed --stale --reverse --parallel 4 --max-usd 0.5",
            "backfill facts+ --from 2026-08-01 --force",
        ] {
            assert_eq!(written(line).join(" "), line);
        }
        assert_eq!(written("materialize -n facts --reverse").join(" "), "materialize facts --reverse");
    }

    #[test]
    fn a_shell_reads_the_words_back() {
        let words = ["backfill", "*", "tag:it's", "a b", "", "$HOME", "facts+", "--from"].map(String::from);
        let line = text::command(&words);
        let shell = std::process::Command::new("sh").arg("-c").arg(format!("printf '%s|' {line}")).output();
        let read = String::from_utf8(shell.unwrap().stdout).unwrap();
        assert_eq!(read, format!("{}|", words.join("|")));
        assert_eq!(text::command(&words[..1]), "backfill", "what is plain stays plain");
        assert_eq!(text::command(&["facts+".into(), "status:stale".into()]), "facts+ status:stale");
    }
}
