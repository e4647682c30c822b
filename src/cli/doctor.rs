//! `rxpulse doctor`: is this installation and project in order? Each line passes, warns or
//! fails, and says what to do.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::{Config, SourceConfig, SourceKind};
use crate::output::terminal::{self, bold, green, red, yellow};
use crate::output::{sanitize, text};
use crate::project::Project;

use super::args::{Doctor, Global};
use super::common::{self, CliError, Exit};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Pass,
    Warn,
    Fail,
}

struct Finding {
    what: &'static str,
    level: Level,
    found: String,
    fix: Option<String>,
}

fn finding(what: &'static str, level: Level, found: impl Into<String>, fix: Option<&str>) -> Finding {
    Finding { what, level, found: found.into(), fix: fix.map(str::to_string) }
}

/// Runs the command.
pub fn run(global: &Global, args: &Doctor) -> Exit {
    let json = common::is_json(global.format)?;
    let mut found =
        vec![finding("version", Level::Pass, format!("rxpulse {}", env!("CARGO_PKG_VERSION")), None)];
    found.push(clock());
    match common::open_quietly(global) {
        Err(CliError::Problems(problems)) => {
            let errors = problems.len();
            found.push(finding(
                "project",
                Level::Fail,
                format!("{errors} problems in its files"),
                Some("rxpulse validate shows them"),
            ));
        }
        Err(CliError::Usage(message) | CliError::Failed(message)) => {
            found.push(finding("project", Level::Fail, message, None));
        }
        Ok(project) => {
            inspect(&project, &mut found);
            sources(&project, args.online, &mut found);
            models(&project, args.online, &mut found);
        }
    }
    let worst = found.iter().map(|f| f.level).max().unwrap_or(Level::Pass);
    if json {
        let list: Vec<_> = found
            .iter()
            .map(|f| {
                let level = match f.level {
                    Level::Pass => "pass",
                    Level::Warn => "warn",
                    Level::Fail => "fail",
                };
                serde_json::json!({ "check": f.what, "level": level, "found": f.found, "fix": f.fix })
            })
            .collect();
        common::print_json(global.format, &serde_json::Value::Array(list))?;
    } else {
        let mut out = String::new();
        for f in &found {
            let word = match f.level {
                Level::Pass => green("pass"),
                Level::Warn => yellow("warn"),
                Level::Fail => red("FAIL"),
            };
            out.push_str(&format!("{word}  {:12} {}\n", f.what, sanitize::line(&f.found)));
            if let Some(fix) = &f.fix {
                out.push_str(&format!("      {:12} → {}\n", "", bold(&sanitize::line(fix))));
            }
        }
        terminal::out(&out);
    }
    Ok(u8::from(worst == Level::Fail))
}

fn clock() -> Finding {
    let year = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year();
    match year {
        2025..=2100 => {
            finding("clock", Level::Pass, format!("{} UTC", text::moment(crate::exec::now_ms())), None)
        }
        _ => {
            finding("clock", Level::Fail, format!("the clock says {year}"), Some("set this machine's clock"))
        }
    }
}

fn inspect(project: &Project, found: &mut Vec<Finding>) {
    let config = &project.config;
    let graph = &config.graph;
    found.push(finding(
        "project",
        Level::Pass,
        format!(
            "{}: {}, {} ({})",
            config.project.name,
            text::plural(graph.len() as u64, "asset"),
            graph.days(),
            config.project.timezone_name
        ),
        None,
    ));
    let sql = project
        .engine()
        .map_err(CliError::from)
        .and_then(|engine| project.shapes(&engine).map_err(CliError::Problems));
    match sql {
        Ok(_) => found.push(finding("sql", Level::Pass, "every query fits its inputs", None)),
        Err(CliError::Problems(p)) => found.push(finding(
            "sql",
            Level::Fail,
            format!("{} problems", p.len()),
            Some("rxpulse validate shows them"),
        )),
        Err(CliError::Usage(m) | CliError::Failed(m)) => found.push(finding("sql", Level::Fail, m, None)),
    }
    found.push(disk(&project.root));
    match project.state_if_any() {
        Ok(None) => found.push(finding("state", Level::Pass, "no database yet", None)),
        Ok(Some(state)) => match state.check() {
            Ok(report) if report.is_sound() => {
                found.push(finding("state", Level::Pass, "the database is sound", None))
            }
            Ok(report) => found.push(finding(
                "state",
                Level::Fail,
                report.problems.join("; "),
                Some("rxpulse state rebuild"),
            )),
            Err(error) => {
                found.push(finding("state", Level::Fail, error.to_string(), Some("rxpulse state rebuild")))
            }
        },
        Err(error) => {
            found.push(finding("state", Level::Fail, error.to_string(), Some("rxpulse state rebuild")))
        }
    }
    let lake = match project.lake_if_any() {
        Ok(None) => {
            found.push(finding("lake", Level::Warn, "no lake yet", Some("rxpulse materialize --all")));
            None
        }
        Ok(Some(lake)) => Some(lake),
        Err(error) => {
            found.push(finding("lake", Level::Fail, error.to_string(), None));
            None
        }
    };
    if let Some(lake) = lake {
        let state = project.state_if_any().ok().flatten();
        match project.world(Some(&lake), state.as_ref(), false, false) {
            Ok(world) => {
                let rows: u64 =
                    graph.indices().flat_map(|a| world.ledger.of(a)).flatten().map(|e| e.rows).sum();
                found.push(finding(
                    "lake",
                    Level::Pass,
                    format!("{} rows published at {}", text::count(rows), lake.root().display()),
                    None,
                ));
                if world.vanished > 0 {
                    found.push(finding(
                        "manifests",
                        Level::Warn,
                        format!("{} are gone", world.vanished),
                        Some("rxpulse materialize --all makes them again"),
                    ));
                }
                for note in &world.notes {
                    found.push(finding("source", Level::Warn, note.clone(), None));
                }
            }
            Err(error) => found.push(finding("lake", Level::Fail, error.to_string(), None)),
        }
    }
    if let crate::config::AuthorPolicy::Hash { key_env } = &config.privacy.author {
        let set = std::env::var(key_env).is_ok_and(|v| !v.is_empty());
        let level = if set { Level::Pass } else { Level::Fail };
        let word = if set { "is set" } else { "is not set" };
        found.push(finding(
            "credentials",
            level,
            format!("${key_env} {word}"),
            (!set).then_some("export it, or set privacy.author = \"drop\""),
        ));
    }
}

/// How long each source is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whether sources have what they need; with `online`, whether they give a page.
fn sources(project: &Project, online: bool, found: &mut Vec<Finding>) {
    let config = &project.config;
    for source in &config.sources {
        for (name, set) in super::source::variables(source) {
            let (level, word) =
                if set { (Level::Pass, "is set") } else { (worst(config, source), "is not set") };
            let fix = "export it: Reddit gives it out for an app that it has approved";
            found.push(finding(
                "credentials",
                level,
                format!("`{}`: ${name} {word}", source.name),
                (!set).then_some(fix),
            ));
        }
        let asks = match &source.kind {
            SourceKind::Archive(archive) => archive.base_url.is_some(),
            kind => kind.is_network(),
        };
        if !(online && asks) {
            continue;
        }
        match super::source::attempt(project, source, None, PATIENCE) {
            Ok(trial) if trial.is_good() => {
                let records = text::plural(trial.counts.records_in, "record");
                let stream = sanitize::short(&trial.window, 50);
                let ended = super::source::ending(&trial);
                found.push(finding(
                    "online",
                    Level::Pass,
                    format!("`{}`: {stream}: {records}, {ended}", source.name),
                    None,
                ));
            }
            Ok(trial) => {
                let words = format!("`{}`: {}", source.name, super::source::ending(&trial));
                let fix = super::source::advice(source, &trial);
                found.push(finding("online", worst(config, source), words, fix.as_deref()));
            }
            Err(CliError::Usage(why) | CliError::Failed(why)) => {
                found.push(finding("online", Level::Fail, format!("`{}`: {why}", source.name), None));
            }
            Err(CliError::Problems(_)) => {}
        }
    }
}

/// Whether those who label general feedback can be asked; with `online`, whether they accept the
/// key and have the model. Nothing is labelled, and nothing is paid.
fn models(project: &Project, online: bool, found: &mut Vec<Finding>) {
    for named in crate::exec::networked(&project.config) {
        let what = format!("[ai.{}]:", named.as_str());
        // Posts are labelled all the same, by whoever stands in.
        let provider = match crate::exec::ai_provider(&project.config, named, None) {
            Ok(provider) => provider,
            Err(why) => {
                let fix = "export it, or set provider = \"embedded\" under [ai]";
                found.push(finding("credentials", Level::Warn, format!("{what} {why}"), Some(fix)));
                continue;
            }
        };
        found.push(finding("credentials", Level::Pass, format!("{what} has all it needs"), None));
        if !online {
            continue;
        }
        let ask = async { tokio::time::timeout(PATIENCE, provider.probe()).await };
        let told = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime
                .block_on(ask)
                .unwrap_or_else(|_| Err(format!("no answer within {} seconds", PATIENCE.as_secs()))),
            Err(error) => Err(error.to_string()),
        };
        found.push(match told {
            Ok(told) => finding("online", Level::Pass, format!("{what} {told}"), None),
            Err(why) => {
                let fix = "look at its key, model and base_url in pipelines.toml";
                finding("online", Level::Warn, format!("{what} {why}"), Some(fix))
            }
        });
    }
}

/// How bad it is that a source gives nothing: less where nobody needs it or another one steps in.
fn worst(config: &Config, source: &SourceConfig) -> Level {
    let named = config.graph.indices().any(|asset| match &config.asset(asset).body {
        crate::config::Body::Source { sources } => sources.contains(&source.name),
        _ => false,
    });
    if source.required || (named && source.fallback.is_empty()) { Level::Fail } else { Level::Warn }
}

/// Room on the disk, and whether it takes a synced write in reasonable time.
fn disk(root: &Path) -> Finding {
    let folder = root.join("state");
    let probe = || -> std::io::Result<(u64, u128)> {
        std::fs::create_dir_all(&folder)?;
        let room = rustix::fs::statvfs(&folder).map(|v| v.f_bavail.saturating_mul(v.f_frsize))?;
        let mut file = tempfile::tempfile_in(&folder)?;
        let begun = Instant::now();
        file.write_all(b"rxpulse")?;
        file.sync_all()?;
        Ok((room, begun.elapsed().as_millis()))
    };
    match probe() {
        Err(error) => finding(
            "disk",
            Level::Fail,
            format!("{}: {error}", folder.display()),
            Some("make the folder writable"),
        ),
        Ok((room, _)) if room < 1_000_000_000 => finding(
            "disk",
            Level::Warn,
            format!("{} free", text::size(room)),
            Some("make room: rxpulse gc, rxpulse prune"),
        ),
        Ok((room, ms)) if ms > 500 => finding(
            "disk",
            Level::Warn,
            format!("{} free, a synced write took {ms} ms", text::size(room)),
            Some("use a local disk"),
        ),
        Ok((room, ms)) => finding(
            "disk",
            Level::Pass,
            format!("{} free, a synced write takes {ms} ms", text::size(room)),
            None,
        ),
    }
}
