//! `rxpulse tui`, and `materialize --tui`.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::sync::Arc;

use crate::state::{RunId, RunLife};
use crate::tui::theme::{Palette, Theme};
use crate::tui::{self, Options};

use super::args::{Global, Materialize, ThemeName, Tui};
use super::argv;
use super::common::{self, CliError, Exit};

/// Runs the command.
pub fn run(global: &Global, args: &Tui) -> Exit {
    open(global, args, None)
}

/// Opens the viewer on a run that it starts.
pub fn materialize(global: &Global, args: &Materialize) -> Exit {
    open(global, &Tui::default(), Some(argv::materialize(args)))
}

fn open(global: &Global, args: &Tui, launch: Option<Vec<String>>) -> Exit {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(CliError::Usage(
            "a viewer needs a terminal; `rxpulse status` and `rxpulse runs logs -f` do without".into(),
        ));
    }
    let project = Arc::new(common::open_quietly(global)?);
    let run = match (args.run, &launch) {
        (Some(id), _) => Some(RunId(id)),
        (None, Some(_)) => None,
        // A run at work is what one wants to see.
        (None, None) => match project.state_if_any()? {
            Some(state) => state
                .latest_run()?
                .filter(|r| matches!(project.life(r), RunLife::Running | RunLife::Canceling))
                .map(|r| r.id),
            None => None,
        },
    };
    let mut arguments: Vec<OsString> = vec!["-C".into(), project.root.clone().into()];
    if let Some(profile) = &global.profile {
        arguments.extend(["--profile".into(), profile.into()]);
    }
    let options = Options {
        theme: theme(args),
        readonly: args.readonly,
        mouse: !args.no_mouse,
        run,
        launch,
        arguments,
        clock: crate::exec::now_ms,
    };
    Ok(tui::show(project, options)?)
}

fn theme(args: &Tui) -> Theme {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let dumb = std::env::var("TERM").is_ok_and(|t| t == "dumb" || t == "vt100");
    let palette = match args.theme {
        ThemeName::Dark => Palette::Dark,
        ThemeName::Light => Palette::Light,
        ThemeName::None => Palette::Plain,
        ThemeName::Auto if set("NO_COLOR") || dumb => Palette::Plain,
        ThemeName::Auto => Palette::Dark,
    };
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()));
    let utf8 = locale.is_none_or(|l| l.to_lowercase().replace('-', "").contains("utf8"));
    Theme::new(palette, args.ascii || !utf8 || dumb)
}
