//! Why a partition is to be made, in words: the one presenter of staleness, for commands and
//! screens. Pure.

use crate::graph::{AssetGraph, Cause, KeptStep, Outcome, PartitionStep, Staleness};

/// Why a step is planned. `vanished` says that its partition was published once and that its
/// manifest is gone, which is another story than never.
pub fn reason(graph: &AssetGraph, step: &PartitionStep, vanished: bool) -> String {
    let mut words = match &step.why {
        Staleness::Fresh => "fresh".to_string(),
        Staleness::Missing if vanished => "its manifest is gone".to_string(),
        Staleness::Missing => "never made".to_string(),
        Staleness::AwaitsCapture => "decided by the capture".to_string(),
        Staleness::Stale(causes) => causes.iter().map(|c| cause(graph, c)).collect::<Vec<_>>().join("; "),
    };
    if let Some(missing) = step.missing_input {
        words.push_str(&format!(
            "; blocked: {} does not exist, select +{}",
            graph.key(missing.asset),
            graph.key(step.asset)
        ));
    } else if let Some(stale) = step.stale_input {
        words.push_str(&format!("; runs on a stale {}", graph.key(stale)));
    }
    words
}

/// Why a partition is not made though it would have to be.
pub fn kept(graph: &AssetGraph, step: &KeptStep) -> String {
    match &step.why {
        Staleness::Stale(causes) => {
            let causes: Vec<String> = causes.iter().map(|c| cause(graph, c)).collect();
            format!("{}; texts of this day were removed (retain_text): it stays as it is", causes.join("; "))
        }
        _ => "it cannot be made any more: the texts that it would be made from were removed (retain_text)"
            .into(),
    }
}

/// One cause.
pub fn cause(graph: &AssetGraph, cause: &Cause) -> String {
    match cause {
        Cause::CodeChanged { old, new } => format!("code changed ({} → {})", old.short(), new.short()),
        Cause::InputsChanged => "an input changed".to_string(),
        Cause::UpstreamRuns { asset } => format!("after {}", graph.key(*asset)),
        Cause::Incomplete(outcome) => match outcome {
            Outcome::Budget => "posts were left for lack of budget".to_string(),
            Outcome::Pending => "a batch was not answered yet".to_string(),
            Outcome::Unreached => "a provider could not be asked".to_string(),
            Outcome::Complete | Outcome::TextRemoved => "published incomplete".to_string(),
        },
        Cause::Forced => "forced".to_string(),
    }
}
