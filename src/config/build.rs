//! From what was read to a [`Config`]: names that refer to something, the graph, the bodies
//! and the code versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::asset::{AssetDraft, DepDraft, known_names, no_such_asset};
use super::code::CodeParts;
use super::hooks::{Hooks, WordFacts};
use super::model::*;
use super::model_asset::*;
use super::model_source::*;
use super::parse::{Choices, Draft, Texts};
use super::reader::{Sink, error, hint, list, warning};
use super::spot::Located;
use crate::diagnostic::{SourceText, TextProblem, did_you_mean};
use crate::graph::{
    Asset, AssetGraph, AssetKey, AssetKind, CodeVersion, Day, DayRange, Dep, GraphError, Layer,
    PartitionMapping, Partitioning,
};

const TAXONOMY: &str = "issue_taxonomy.toml";

/// Every name that refers to something declared elsewhere.
pub(super) fn names(draft: &Draft, sink: &Sink) {
    let sources: Vec<&str> = draft.sources.iter().map(|s| s.name.as_str()).collect();
    let mut captured: BTreeMap<&str, &AssetKey> = BTreeMap::new();
    let mut default_provider_used = false;
    for asset in &draft.assets.drafts {
        for name in &asset.sources {
            source_name(draft, name, &sources, sink);
            if let Some(other) = captured.insert(&name.value, &asset.key) {
                sink.at(
                    &name.spot,
                    error(format!("the source `{}` is captured into `{other}` already", name.value))
                        .help("a source belongs to one asset; read that asset in SQL"),
                );
            }
        }
        if let Some(pool) = &asset.pool
            && !draft.run.pools.contains_key(&pool.value)
        {
            sink.at(
                &pool.spot,
                error(format!("there is no pool `{}`", pool.value)).help(format!(
                    "{}declare it: [run] pools = {{ {} = 1 }}",
                    hint(&pool.value, draft.run.pools.keys().map(String::as_str)),
                    pool.value
                )),
            );
        }
        for dep in &asset.deps {
            if !is_asset(draft, &dep.name) {
                sink.at(&dep.spot, no_such_asset(&dep.name, &draft.assets.names));
            }
        }
        for check in &asset.checks {
            if let CheckKind::Relationship { to_asset, .. } = &check.kind
                && !is_asset(draft, to_asset.as_str())
            {
                sink.at(&check.spot, no_such_asset(to_asset.as_str(), &draft.assets.names));
            }
        }
        match &asset.provider {
            Some(p) => provider(draft, p.value, Some(asset), &p.spot, sink),
            None if asset.kind == Some(AssetKind::Enrich) => {
                default_provider_used = true;
                if let Some(spot) = &draft.ai_spot {
                    provider(draft, draft.ai.provider, Some(asset), spot, sink);
                }
            }
            None => {}
        }
    }
    if let (true, Some(spot)) = (default_provider_used, &draft.ai_spot) {
        provider(draft, draft.ai.provider, None, spot, sink);
    }
}

fn source_name(draft: &Draft, name: &Located<String>, known: &[&str], sink: &Sink) {
    match draft.sources.iter().find(|s| s.name == name.value) {
        // A source whose `type` is wrong was refused at its own place.
        None if draft.source_names.contains(&name.value) => {}
        None => sink.at(
            &name.spot,
            error(format!("there is no source `{}`", name.value)).help(format!(
                "{}declare it: [sources.{}]",
                hint(&name.value, known.iter().copied()),
                name.value
            )),
        ),
        Some(_) => {}
    }
}

/// A provider that is used must be configured; language models read general feedback only.
fn provider(
    draft: &Draft,
    provider: Provider,
    asset: Option<&AssetDraft>,
    spot: &super::spot::Spot,
    sink: &Sink,
) {
    if provider == Provider::OpenaiCompatible && draft.ai.openai_compatible.is_none() {
        sink.at(
            spot,
            error("[ai.openai_compatible] is missing, and the provider is used".to_string())
                .label("used here")
                .help("add [ai.openai_compatible] with model and base_url, for example \"http://127.0.0.1:11434/v1\""),
        );
    }
    if asset.is_some()
        && draft.ai.is_unpriced(provider)
        && (draft.ai.max_usd_per_run.is_some() || draft.ai.max_usd_per_day.is_some())
        // Of those it was said where the limit stands.
        && draft.ai.provider != provider
        && !draft.ai.fallback.contains(&provider)
    {
        let name = provider.as_str();
        sink.at(
            spot,
            error(format!("the limits in dollars of [ai] cannot be kept: what {name} costs is not known"))
                .label("asked here")
                .help(format!(
                    "add to [ai.{name}]: price = {{ input = 0.30, output = 2.50, as_of = \"2026-10-07\" }}, in USD per million tokens"
                )),
        );
    }
    let general = |(column, value): &(Located<String>, Literal)| {
        column.value == "issue_type" && *value == Literal::Text("GENERAL_FEEDBACK".into())
    };
    if let Some(asset) = asset
        && provider != Provider::Embedded
        && !asset.filter.iter().any(general)
    {
        let posts = if asset.filter.is_empty() { "every post" } else { "more than the general feedback" };
        sink.at(
            spot,
            error(format!("{posts} of its input would go to \"{}\"", provider.as_str()))
                .label("used here")
                .help("language models read general feedback only: add where = { issue_type = \"GENERAL_FEEDBACK\" }, or write provider = \"embedded\""),
        );
    }
}

fn is_asset(draft: &Draft, name: &str) -> bool {
    draft.assets.names.iter().any(|n| n == name) || SystemTable::ALL.iter().any(|t| t.as_str() == name)
}

/// The graph's own problems, for a profile that was not chosen.
pub(super) fn shape(draft: &Draft, sink: &Sink) {
    let codes = BTreeMap::new();
    graph(draft, &codes, sink);
}

/// Builds the project; `None` when something is missing that the problems tell about.
pub(super) fn build(
    draft: Draft,
    texts: &Texts,
    choices: &Choices,
    hooks: &Hooks<'_>,
    pipelines: Arc<SourceText>,
    sink: &Sink,
) -> Option<Config> {
    let bodies: BTreeMap<&str, Arc<SourceText>> =
        texts.bodies.iter().map(|(name, text)| (name.as_str(), Arc::new(text.clone()))).collect();
    let taxonomy = bodies.get(TAXONOMY).cloned();
    let words = match &taxonomy {
        Some(text) => Some((hooks.words)(&draft.brands, text)),
        None => {
            sink.whole(error(format!("`assets/{TAXONOMY}` is missing")).help(format!(
                "{}it says which words make which issue type; `rxpulse init DIR` writes one to start from",
                hint(TAXONOMY, texts.bodies.keys().map(String::as_str))
            )));
            None
        }
    };
    if let Some(words) = &words {
        words.problems.iter().for_each(|p| sink.push(p.clone()));
        issue_types(&draft, words, sink);
    }
    orphans(&draft, &bodies, sink);
    let issue_ids = words.as_ref().map_or(&[][..], |w| &w.issue_ids);
    let tables = (hooks.tables)(&|name| bodies.get(name).cloned(), issue_ids);
    tables.problems.iter().for_each(|p| sink.push(p.clone()));

    let maker = Maker {
        draft: &draft,
        hooks,
        words: words.as_ref(),
        embedded: tables.embedded,
        bodies: &bodies,
        sink,
    };
    let mut configs: BTreeMap<AssetKey, AssetConfig> = BTreeMap::new();
    for (at, asset) in draft.assets.drafts.iter().enumerate() {
        if let Some(config) = maker.declared(asset, at) {
            configs.insert(asset.key.clone(), config);
        }
    }
    for (at, table) in system_tables(&draft).into_iter().enumerate() {
        if let Some(config) = maker.system(table, draft.assets.drafts.len() + at) {
            configs.insert(config.key.clone(), config);
        }
    }
    let codes = configs.iter().map(|(k, c)| (k.clone(), c.code.version())).collect();
    let mut graph = graph(&draft, &codes, sink)?;
    for (key, config) in &configs {
        if let (Some(asset), Some((day, code))) = (graph.find(key.as_str()), &config.code_since) {
            graph.set_code_since(asset, *day, code.version());
        }
    }
    let assets: Option<Vec<AssetConfig>> = graph.iter().map(|(_, a)| configs.remove(&a.key)).collect();
    Some(Config {
        project: draft.project.project?,
        days: draft.project.days?,
        lake: draft.lake,
        run: draft.run,
        privacy: draft.privacy,
        brands: draft.brands,
        taxonomy: taxonomy?,
        sources: draft.sources,
        ai: draft.ai,
        graph,
        assets: assets?,
        query: draft.query,
        glue: draft.glue,
        schedules: draft.schedules,
        alerts: draft.alerts,
        sinks: draft.sinks,
        profile: choices.profile.clone(),
        pipelines,
    })
}

/// Conditions on `issue_type` name types of the taxonomy.
fn issue_types(draft: &Draft, words: &WordFacts, sink: &Sink) {
    if words.issue_ids.is_empty() {
        return;
    }
    let ids = || words.issue_ids.iter().map(String::as_str);
    for (column, value) in draft.assets.drafts.iter().flat_map(|a| &a.filter) {
        if let ("issue_type", Literal::Text(id)) = (column.value.as_str(), value)
            && !words.issue_ids.contains(id)
        {
            sink.at(
                &column.spot,
                error(format!("the taxonomy has no issue type `{id}`")).help(format!(
                    "{}the issue types are: {}",
                    hint(id, ids()),
                    list(ids())
                )),
            );
        }
    }
}

/// Bodies that nothing reads.
fn orphans(draft: &Draft, bodies: &BTreeMap<&str, Arc<SourceText>>, sink: &Sink) {
    for (file, text) in bodies {
        let (stem, kind) = match (file.strip_suffix(".sql"), file.strip_suffix(".prompt.md")) {
            (Some(stem), _) => (stem, AssetKind::Sql),
            (_, Some(stem)) => (stem, AssetKind::Enrich),
            _ => continue,
        };
        let problem = match draft.assets.drafts.iter().find(|a| a.key.as_str() == stem) {
            Some(asset) if asset.kind.is_none_or(|k| k == kind) => continue,
            Some(asset) => warning(format!(
                "nothing reads this file: `{stem}` is of kind \"{}\"",
                asset.kind.map_or("", AssetKind::as_str)
            ))
            .help(format!("write kind = \"{}\", or remove the file", kind.as_str())),
            // Its table was refused already; what it is called is not the point.
            None if draft.assets.names.iter().any(|n| n == stem) => continue,
            None => {
                let of_kind = draft.assets.drafts.iter().filter(|a| a.kind == Some(kind));
                warning(format!("nothing reads this file: there is no asset `{stem}`")).help(format!(
                    "{}declare it: [assets.{stem}] with kind = \"{}\", or remove the file",
                    hint(stem, of_kind.map(|a| a.key.as_str())),
                    kind.as_str()
                ))
            }
        };
        sink.push(TextProblem { span: Some(0..0), ..problem }.within(text));
    }
}

/// The system tables that declared assets name, directly or through one another.
fn system_tables(draft: &Draft) -> Vec<SystemTable> {
    let named = |table: &SystemTable| {
        draft.assets.drafts.iter().any(|asset| {
            asset.deps.iter().any(|d| d.name == table.as_str())
                || asset.checks.iter().any(|c| {
                    matches!(&c.kind, CheckKind::Relationship { to_asset, .. } if to_asset.as_str() == table.as_str())
                })
        })
    };
    SystemTable::ALL.into_iter().filter(named).collect()
}

/// Another number when the columns of a system table are others.
fn columns_version(table: SystemTable) -> u32 {
    match table {
        SystemTable::Labels => 2,
        SystemTable::IssueTypes | SystemTable::SourceCoverage => 1,
    }
}

/// How a system table is cut.
fn system_partitioning(table: SystemTable) -> Partitioning {
    match table {
        SystemTable::IssueTypes => Partitioning::None,
        SystemTable::Labels | SystemTable::SourceCoverage => Partitioning::Daily,
    }
}

/// The mapping that is meant: an unpartitioned asset is read whole, whatever was written.
fn meant(draft: &Draft, dep: &DepDraft) -> PartitionMapping {
    let whole = draft
        .assets
        .drafts
        .iter()
        .any(|a| a.key.as_str() == dep.name && a.partitioning == Partitioning::None)
        || SystemTable::ALL
            .iter()
            .any(|t| t.as_str() == dep.name && system_partitioning(*t) == Partitioning::None);
    match dep.mapping {
        PartitionMapping::Same | PartitionMapping::Latest if whole => PartitionMapping::All,
        mapping => mapping,
    }
}

/// Another number when the columns of enrich assets are others, or labels of people count
/// otherwise.
const ENRICH_COLUMNS: &str = "3";

/// Makes what belongs to each asset.
struct Maker<'a> {
    draft: &'a Draft,
    hooks: &'a Hooks<'a>,
    words: Option<&'a WordFacts>,
    embedded: [u8; 16],
    bodies: &'a BTreeMap<&'a str, Arc<SourceText>>,
    sink: &'a Sink,
}

impl Maker<'_> {
    fn declared(&self, asset: &AssetDraft, at: usize) -> Option<AssetConfig> {
        let mut code = CodeParts::default();
        let mut code_since = None;
        code.add("kind", asset.kind?.as_str());
        code.add("partitions", if asset.partitioning == Partitioning::Daily { "daily" } else { "none" });
        let body = match asset.kind? {
            AssetKind::Source => self.source(asset, &mut code),
            AssetKind::Enrich => self.enrich(asset, &mut code, &mut code_since),
            _ => self.sql(asset, &mut code),
        }?;
        Some(AssetConfig {
            key: asset.key.clone(),
            spot: Some(asset.spot.clone()),
            declared: at,
            body,
            row_key: asset.row_key.clone(),
            checks: asset.checks.clone(),
            columns: asset.columns.clone(),
            text_columns: asset.text_columns.clone(),
            pool: asset.pool.as_ref().map(|p| p.value.clone()),
            retries: asset.retries.unwrap_or(self.draft.run.retries),
            timeout_ms: asset.timeout_ms.or(self.draft.run.timeout_ms),
            code,
            code_since,
        })
    }

    fn reads(&self, asset: &AssetDraft, code: &mut CodeParts) {
        // The order in which dependencies are written shapes nothing; that of the key does.
        let mut deps: Vec<_> =
            asset.deps.iter().map(|d| format!("{} {}", d.name, meant(self.draft, d))).collect();
        deps.sort();
        code.add("deps", deps.join(", "));
        let key: Vec<&str> = asset.row_key.iter().map(|c| c.value.as_str()).collect();
        code.add("key", key.join(", "));
    }

    fn source(&self, asset: &AssetDraft, code: &mut CodeParts) -> Option<Body> {
        let mut adapters: Vec<(String, String)> = asset
            .sources
            .iter()
            .filter_map(|name| self.draft.sources.iter().find(|s| s.name == name.value))
            .map(|s| {
                let version = (self.hooks.adapter)(s, &self.draft.privacy);
                (format!("source {}", s.name), format!("{version}{}", map_text(s)))
            })
            .collect();
        adapters.sort();
        adapters.into_iter().for_each(|(name, value)| code.add(name, value));
        let author = match &self.draft.privacy.author {
            AuthorPolicy::Drop => "drop".to_string(),
            AuthorPolicy::Hash { key_env } => format!("hash {key_env}"),
            AuthorPolicy::Keep => "keep".to_string(),
        };
        code.add("privacy.author", author);
        Some(Body::Source { sources: asset.sources.iter().map(|s| s.value.clone()).collect() })
    }

    fn sql(&self, asset: &AssetDraft, code: &mut CodeParts) -> Option<Body> {
        let name = format!("{}.sql", asset.key);
        let Some(file) = self.bodies.get(name.as_str()) else {
            let deps = list(asset.deps.iter().map(|d| d.name.as_str()));
            self.sink.at(
                &asset.spot,
                error(format!("`assets/{name}` is missing"))
                    .label("its body is a file of this name")
                    .help(format!("create it: one SELECT over {deps}")),
            );
            return None;
        };
        // A misspelt dependency was told about where it stands; the query that spells it
        // right is not wrong as well.
        let known = known_names(&self.draft.assets.names);
        let meant = |name| did_you_mean(name, known.iter().copied()).unwrap_or(name);
        let deps: Vec<&str> = asset
            .deps
            .iter()
            .map(|d| if is_asset(self.draft, &d.name) { d.name.as_str() } else { meant(d.name.as_str()) })
            .collect();
        let facts = (self.hooks.sql)(file, &deps);
        facts.problems.into_iter().for_each(|p| self.sink.push(p.within(file)));
        code.add_hash("sql", facts.tokens.as_bytes());
        self.reads(asset, code);
        let mut rx = facts.rx_names;
        rx.sort();
        rx.dedup();
        for name in rx {
            if let Some(version) = self.words.and_then(|w| w.rx.get(&name)) {
                code.add_version(name, *version);
            }
        }
        Some(Body::Sql { file: file.clone() })
    }

    /// `since`: from which day on the question asked of a model is part of the code.
    fn enrich(
        &self,
        asset: &AssetDraft,
        code: &mut CodeParts,
        since: &mut Option<(Day, CodeParts)>,
    ) -> Option<Body> {
        let provider = asset.provider.as_ref().map_or(self.draft.ai.provider, |p| p.value);
        let prompt = self.bodies.get(format!("{}.prompt.md", asset.key).as_str()).cloned();
        code.add("provider", provider.as_str());
        code.add("columns", ENRICH_COLUMNS);
        let mut filter: Vec<_> = asset.filter.iter().map(|(c, v)| format!("{} = {v}", c.value)).collect();
        filter.sort();
        code.add("where", filter.join(" and "));
        self.reads(asset, code);
        // Nothing it says is cached, and it keeps every model's risks from being too low.
        code.add_version("embedded", self.embedded);
        if provider != Provider::Embedded && !self.draft.ai.fallback.contains(&Provider::Embedded) {
            // Rows have no labels where nobody could be asked: with somebody to stand in they have.
            code.add("stands_in", "nobody");
        }
        if provider != Provider::Embedded {
            let facts = (self.hooks.prompt)(prompt.as_deref());
            if let Some(file) = &prompt {
                facts.problems.into_iter().for_each(|p| self.sink.push(p.within(file)));
            }
            let mut asked = code.clone();
            asked.add_version("prompt", facts.version);
            asked.add("model", self.model(provider).map_or("", |m| m.model.as_str()));
            match asset.relabel {
                Relabel::New => {}
                Relabel::All => *code = asked,
                Relabel::Since(day) => *since = Some((day, asked)),
            }
        }
        let filter = asset.filter.clone();
        Some(Body::Enrich(EnrichConfig { provider, filter, prompt, relabel: asset.relabel }))
    }

    fn model(&self, provider: Provider) -> Option<&ModelConfig> {
        match provider {
            Provider::Embedded => None,
            Provider::Gemini => self.draft.ai.gemini.as_ref(),
            Provider::OpenaiCompatible => self.draft.ai.openai_compatible.as_ref(),
        }
    }

    fn system(&self, table: SystemTable, at: usize) -> Option<AssetConfig> {
        let mut code = CodeParts::default();
        code.add("kind", "system");
        code.add("table", format!("{} {}", table.as_str(), columns_version(table)));
        let mut row_key = Vec::new();
        match table {
            SystemTable::Labels => row_key.push("post_id"),
            SystemTable::IssueTypes => {
                row_key.push("issue_type");
                code.add_version("issue_types", self.words.map_or([0; 16], |w| w.issue_types));
            }
            SystemTable::SourceCoverage => {
                row_key.extend(["source", "platform"]);
                // Whether a day is covered depends on which sources are required.
                let mut sources: Vec<_> = self
                    .draft
                    .sources
                    .iter()
                    .map(|s| {
                        let platform = s.platform.as_deref().unwrap_or("*");
                        format!("{} {platform}{}", s.name, if s.required { " required" } else { "" })
                    })
                    .collect();
                sources.sort();
                code.add("sources", sources.join(", "));
            }
        }
        let spot = super::spot::Spot { file: self.sink.main().clone(), span: 0..0 };
        Some(AssetConfig {
            key: table.as_str().parse().ok()?,
            spot: None,
            declared: at,
            body: Body::System(table),
            row_key: row_key.into_iter().map(|c| Located::new(c.to_string(), spot.clone())).collect(),
            checks: Vec::new(),
            columns: Vec::new(),
            text_columns: None,
            pool: None,
            retries: self.draft.run.retries,
            timeout_ms: None,
            code,
            code_since: None,
        })
    }
}

/// The column map of a source as one text; empty for formats without one.
fn map_text(source: &SourceConfig) -> String {
    let SourceKind::Files(FilesConfig { format: FileFormat::Generic { platform, post_type, map }, .. }) =
        &source.kind
    else {
        return String::new();
    };
    let mut map: Vec<_> = map.iter().map(|(field, expr)| format!("{field} = {:?}", expr.value)).collect();
    map.sort();
    format!(" {platform} {} {}", post_type.as_str(), map.join(", "))
}

/// Builds the graph; its errors are put where the dependency is written.
fn graph(draft: &Draft, codes: &BTreeMap<AssetKey, CodeVersion>, sink: &Sink) -> Option<AssetGraph> {
    let code = |key: &AssetKey| codes.get(key).copied().unwrap_or(CodeVersion([0; 16]));
    let mut assets: Vec<Asset> = draft
        .assets
        .drafts
        .iter()
        .map(|a| Asset {
            key: a.key.clone(),
            layer: a.layer,
            kind: a.kind.unwrap_or(AssetKind::Sql),
            partitioning: a.partitioning,
            deps: a
                .deps
                .iter()
                .filter_map(|d| Some(Dep { asset: d.name.parse().ok()?, mapping: meant(draft, d) }))
                // A name that is no asset, or one that was refused, is told about elsewhere.
                .filter(|d| is_usable(draft, &d.asset))
                .collect(),
            tags: a.tags.clone(),
            owners: a.owners.clone(),
            description: a.description.clone(),
            pool: a.pool.as_ref().map(|p| p.value.clone()),
            code: code(&a.key),
        })
        .collect();
    let source_assets: Vec<Dep> = draft
        .assets
        .drafts
        .iter()
        .filter(|a| a.kind == Some(AssetKind::Source) && a.partitioning == Partitioning::Daily)
        .map(|a| Dep { asset: a.key.clone(), mapping: PartitionMapping::Same })
        .collect();
    for table in system_tables(draft) {
        let key: AssetKey = table.as_str().parse().ok()?;
        let (deps, description) = match table {
            SystemTable::Labels => (Vec::new(), "What people corrected, by the post's day."),
            SystemTable::IssueTypes => (Vec::new(), "The issue taxonomy."),
            SystemTable::SourceCoverage => (source_assets.clone(), "Which sources were reached, by day."),
        };
        assets.push(Asset {
            code: code(&key),
            key,
            layer: Layer::System,
            kind: AssetKind::System,
            partitioning: system_partitioning(table),
            deps,
            tags: Vec::new(),
            owners: Vec::new(),
            description: description.to_string(),
            pool: None,
        });
    }
    // Without usable days the graph is still checked, over a day that stands for them.
    let days = draft.project.days.unwrap_or(DayRange { start: Day(0), end: Day(0) });
    match AssetGraph::build(assets, days) {
        Ok(graph) => Some(graph),
        Err(errors) => {
            errors.iter().for_each(|e| graph_error(draft, e, sink));
            None
        }
    }
}

fn is_usable(draft: &Draft, key: &AssetKey) -> bool {
    draft.assets.drafts.iter().any(|a| a.key == *key)
        || SystemTable::ALL.iter().any(|t| t.as_str() == key.as_str())
}

fn graph_error(draft: &Draft, problem: &GraphError, sink: &Sink) {
    let dep_of = |asset: &AssetKey, dep: &AssetKey| {
        let asset = draft.assets.drafts.iter().find(|a| a.key == *asset)?;
        asset.deps.iter().find(|d| d.name == dep.as_str())
    };
    let spot = match problem {
        GraphError::Duplicate(_) => None,
        GraphError::UnknownDep { asset, dep }
        | GraphError::DuplicateDep { asset, dep }
        | GraphError::Mapping { asset, dep, .. } => dep_of(asset, dep).map(|d| d.spot.clone()),
        // The circle is shown at the first dependency of it that the file writes.
        GraphError::Cycle(path) => path
            .windows(2)
            .filter_map(|pair| dep_of(&pair[1], &pair[0]))
            .map(|d| d.spot.clone())
            .min_by_key(|s| (s.file.name.clone(), s.span.start)),
    };
    let text = match problem {
        GraphError::Mapping { asset, dep, mapping, why } => {
            error(format!("`{asset}` cannot depend on `{dep}` by `{mapping}`")).help(*why)
        }
        GraphError::Cycle(_) => error(problem.to_string())
            .help("tables are made one after another; take one of these dependencies out"),
        other => error(other.to_string()),
    };
    match spot {
        Some(spot) => sink.at(&spot, text),
        None => sink.whole(text),
    }
}
