//! `rxpulse ai eval`: how well posts are labelled, measured on the golden file.

use std::sync::Arc;

use crate::config::{Agreement, Field, GateConfig, Provider};
use crate::diagnostic::SourceText;
use crate::enrich::{self, Detection, Embedded, GoldenPost, Report, Shortfall};
use crate::exec::{self, GoldenText};
use crate::output::terminal::{self, bold, dim, green, red};
use crate::output::{sanitize, text};
use crate::project::Project;
use crate::state::RunLife;

use super::args::{Ai, Eval, Global};
use super::common::{self, CliError, Exit};

/// Runs the command.
pub fn run(global: &Global, args: &Ai) -> Exit {
    match args {
        Ai::Eval(args) => eval(global, args),
    }
}

/// What was evaluated, for whoever reads the answer.
struct Evaluated<'a> {
    provider: &'static str,
    model: &'a str,
    golden: &'a str,
    split: &'static str,
    report: &'a Report,
    gate: Option<&'a GateConfig>,
    short: &'a [Shortfall],
}

fn eval(global: &Global, args: &Eval) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let provider = provider(&project, args.provider.as_deref())?;
    let gate = project.config.ai.gate.as_ref();
    let golden = match &args.golden {
        // A path on the command line is relative to where one stands.
        Some(path) => GoldenText {
            name: path.display().to_string(),
            text: std::fs::read_to_string(path).map_err(|e| {
                CliError::Usage(format!("cannot read the golden file {}: {e}", path.display()))
            })?,
        },
        None => {
            let named = gate.and_then(|g| g.golden.as_ref()).map(|g| g.value.as_str());
            exec::golden_text(&project.root, named).map_err(CliError::Usage)?
        }
    };
    let mut posts = posts(&project, &golden)?;
    posts.retain(|p| args.split.is_none_or(|s| s == p.split));
    if posts.is_empty() {
        return Err(CliError::Usage(format!("{} has no post of this half", golden.name)));
    }
    let mut model = Embedded::VERSION.to_string();
    let report = match provider {
        Provider::Embedded => exec::embedded_report(&project.embedded, &project.taxonomy, &posts),
        other => {
            if args.max_usd.is_some() && project.config.ai.is_unpriced(other) {
                return Err(super::materialize::unkept(other));
            }
            no_other_asks(&project)?;
            let lake = project.lake()?;
            let runtime = tokio::runtime::Runtime::new()?;
            let _entered = runtime.enter();
            let work = exec::NetworkEval {
                config: &project.config,
                lake: &lake,
                embedded: &project.embedded,
                taxonomy: &project.taxonomy,
                max_usd: args.max_usd.map(enrich::Usd::from_dollars),
            };
            let (report, key) =
                exec::network_report(&work, other, &posts, exec::now_ms()).map_err(CliError::Usage)?;
            model = key.model;
            report
        }
    };
    // Half of the file is for looking; the gate is about all of it.
    let gate = gate.filter(|_| args.split.is_none());
    let short = gate.map(|gate| enrich::judge(gate, &report)).unwrap_or_default();
    let evaluated = Evaluated {
        provider: provider.as_str(),
        model: &model,
        golden: &golden.name,
        split: args.split.map_or("all", |s| s.as_str()),
        report: &report,
        gate,
        short: &short,
    };
    if json {
        common::print_json(global.format, &as_json(&evaluated, args.field))?;
    } else {
        terminal::out(&as_text(&evaluated, args.field));
    }
    Ok(u8::from(!short.is_empty()))
}

/// What a run spends and what this spends would not know of one another.
fn no_other_asks(project: &Project) -> Result<(), CliError> {
    if !project.database().exists() {
        return Ok(());
    }
    let asks = project.config.graph.indices().any(|a| exec::asks_network(&project.config, a).is_some());
    let lives = |life| matches!(life, RunLife::Running | RunLife::Canceling);
    match project.state()?.latest_run()? {
        Some(run) if asks && lives(run.effective(exec::now_ms(), project.config.run.lease_ms)) => {
            Err(CliError::Failed(format!(
                "run {} is at work and may be asking models: wait for it, or cancel it with `rxpulse cancel {}`",
                run.id, run.id
            )))
        }
        _ => Ok(()),
    }
}

fn provider(project: &Project, named: Option<&str>) -> Result<Provider, CliError> {
    let Some(named) = named else { return Ok(project.config.ai.provider) };
    let all = [Provider::Embedded, Provider::Gemini, Provider::OpenaiCompatible];
    all.into_iter().find(|p| p.as_str() == named).ok_or_else(|| {
        let names = all.map(Provider::as_str).join(", ");
        CliError::Usage(format!("there is no provider `{named}`; there are {names}"))
    })
}

/// The posts of a golden file whose labels this project's tables have.
fn posts(project: &Project, golden: &GoldenText) -> Result<Vec<GoldenPost>, CliError> {
    let known = exec::known_ids(&project.embedded, &project.taxonomy);
    enrich::read_golden(&golden.text, &known).map_err(|problems| {
        let file = Arc::new(SourceText { name: golden.name.clone(), text: golden.text.clone() });
        CliError::Problems(problems.into_iter().map(|p| p.within(&file)).collect())
    })
}

/// Three decimals, cut and not rounded up: nothing is shown better than it is.
fn three(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_string(), |v| format!("{:.3}", (v * 1000.0 + 1e-9).floor() / 1000.0))
}

fn detection(name: &str, d: Detection) -> Vec<String> {
    vec![
        name.to_string(),
        three(d.recall()),
        format!("{} of {}", d.right, d.gold),
        three(d.precision()),
        format!("{} of {}", d.right, d.found),
    ]
}

fn as_text(e: &Evaluated<'_>, only: Option<Field>) -> String {
    let report = e.report;
    let mut out = format!(
        "{} ({}) on {}: {}{}\n\n",
        bold(e.provider),
        e.model,
        sanitize::line(e.golden),
        text::plural(report.posts as u64, "post"),
        if e.split == "all" { String::new() } else { format!(" of the half {}", e.split) },
    );
    // Only where some posts lack a label is it worth saying how many have it.
    let some = report.fields.iter().any(|f| f.posts() < report.posts);
    let rows = report.fields.iter().map(|f| {
        let of = |agreement| three(f.agreement(agreement));
        let mut row = vec![
            f.field.as_str().to_string(),
            of(Agreement::Accuracy),
            of(Agreement::MacroF1),
            of(Agreement::Kappa),
            (f.posts() - f.right).to_string(),
        ];
        row.extend(some.then(|| f.posts().to_string()));
        row
    });
    let head = ["field", "accuracy", "macro-F1", "kappa", "other", "posts"];
    let head = &head[..5 + usize::from(some)];
    out.push_str(&text::table(head, rows.collect(), &[1, 2, 3, 4, 5][..head.len() - 1], None));
    let rows =
        vec![detection("high risk", report.high_risk), detection("patient_safety", report.patient_safety)];
    out.push('\n');
    out.push_str(&text::table(&["", "recall", "found", "precision", "right"], rows, &[1, 2, 3, 4], None));
    out.push_str(&format!(
        "\nanswered {} of {}; {}, {} tokens read, {} written, ${:.4}\n",
        report.answered,
        report.posts,
        text::plural(report.cost.calls, "call"),
        text::count(report.cost.input_tokens),
        text::count(report.cost.output_tokens),
        report.cost.usd,
    ));
    let rows: Vec<Vec<String>> = report
        .disagreements
        .iter()
        .filter(|d| only.is_none_or(|f| f == d.field))
        .map(|d| {
            vec![
                d.id.clone(),
                d.field.as_str().to_string(),
                sanitize::short(&d.gold, 32),
                sanitize::short(&d.found, 32),
                sanitize::short(&d.text, 120),
            ]
        })
        .collect();
    out.push('\n');
    if rows.is_empty() {
        out.push_str("No disagreement.\n");
    } else {
        let head = ["post", "field", "golden", "answer", "text"];
        out.push_str(&text::table(&head, rows, &[], Some(terminal::width())));
    }
    match (e.gate, e.short.is_empty()) {
        (None, _) => {}
        (Some(gate), true) => {
            let n = text::plural(gate.min.len() as u64, "bar");
            out.push_str(&format!("\n{} {n} of [ai.gate] reached\n", green("Passed:")));
        }
        (Some(_), false) => {
            out.push_str(&format!("\n{}\n", red("Refused by [ai.gate]:")));
            for shortfall in e.short {
                out.push_str(&format!("  {shortfall}\n"));
            }
            out.push_str(&dim("Steps that would label with it fail; what is published stays.\n"));
        }
    }
    out
}

fn as_json(e: &Evaluated<'_>, only: Option<Field>) -> serde_json::Value {
    use serde_json::json;
    let found = |d: Detection| {
        json!({
            "gold": d.gold, "found": d.found, "right": d.right,
            "recall": d.recall(), "precision": d.precision(),
        })
    };
    let fields: Vec<_> = e
        .report
        .fields
        .iter()
        .map(|f| {
            let labels: Vec<_> = f
                .labels
                .iter()
                .map(|(label, d)| {
                    json!({
                        "label": label, "gold": d.gold, "found": d.found, "right": d.right,
                        "recall": d.recall(), "precision": d.precision(), "f1": d.f1(),
                    })
                })
                .collect();
            let confusion: Vec<_> = f
                .confusion
                .iter()
                .map(|((gold, found), n)| json!({ "gold": gold, "found": found, "posts": n }))
                .collect();
            json!({
                "field": f.field.as_str(),
                "posts": f.posts(),
                "right": f.right,
                "accuracy": f.agreement(Agreement::Accuracy),
                "macro_f1": f.agreement(Agreement::MacroF1),
                "kappa": f.agreement(Agreement::Kappa),
                "labels": labels,
                "confusion": confusion,
            })
        })
        .collect();
    let disagreements: Vec<_> = e
        .report
        .disagreements
        .iter()
        .filter(|d| only.is_none_or(|f| f == d.field))
        .map(|d| {
            json!({
                "id": d.id, "field": d.field.as_str(), "gold": d.gold, "found": d.found, "text": d.text,
            })
        })
        .collect();
    let cost = &e.report.cost;
    json!({
        "provider": e.provider,
        "model": e.model,
        "golden": e.golden,
        "split": e.split,
        "posts": e.report.posts,
        "answered": e.report.answered,
        "high_risk": found(e.report.high_risk),
        "patient_safety": found(e.report.patient_safety),
        "fields": fields,
        "cost": {
            "calls": cost.calls, "input_tokens": cost.input_tokens,
            "output_tokens": cost.output_tokens, "usd": cost.usd,
        },
        "disagreements": disagreements,
        "gate": e.gate.map(|_| json!({
            "passed": e.short.is_empty(),
            "shortfalls": e.short.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })),
    })
}
