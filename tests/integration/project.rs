//! A throw-away project, the binary run on it, and what it left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

/// Every shipped table that has a partition a day.
pub const DAILY: [&str; 10] = [
    "executive_summary_daily",
    "fact_issue_daily",
    "general_feedback_ai",
    "issue_trend_daily",
    "labels",
    "post_signals",
    "raw_posts",
    "silver_posts",
    "source_coverage",
    "top_issue_posts",
];

/// When every input file was written, unless a test says otherwise: 2026-11-01.
const WRITTEN: u64 = 1_793_491_200;

/// Steps as (asset, partition); an unpartitioned asset has the partition `whole`.
pub type Steps = BTreeSet<(String, String)>;

/// The current files of every asset: path below the lake → bytes.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A project in a temporary folder.
pub struct Project {
    dir: tempfile::TempDir,
    config: toml::Table,
}

/// How a command ended.
pub struct Done {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether the process aborted itself, as at a crash point.
    pub fn aborted(&self) -> bool {
        self.status.signal() == Some(6)
    }

    /// Insists on an exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{}\n{}\n{}", self.status, self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e} in {}\n{}", self.stdout, self.stderr))
    }
}

/// The shipped files, from which every project here is made.
pub fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

impl Project {
    /// The shipped project as it is, for some days of its sample source.
    pub fn sample(start: &str, end: &str, posts_per_day: i64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config: toml::Table = shipped("pipelines.toml").parse().expect("pipelines.toml");
        let mut project = Self { dir, config };
        std::fs::create_dir(project.path("assets")).unwrap();
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        for entry in std::fs::read_dir(assets).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), project.path("assets").join(entry.file_name())).unwrap();
        }
        project.set("project.start", start);
        project.set("project.end", end);
        project.set("sources.sample.posts_per_day", posts_per_day);
        project.set("run.retries", 0);
        project.save();
        project
    }

    /// The shipped tables over Reddit files in `in/`, for one brand that matches everything.
    pub fn files(start: &str, end: &str) -> Self {
        let mut project = Self::sample(start, end, 1);
        for table in ["brands", "sources", "profile"] {
            project.config.remove(table);
        }
        project.set("brands.everything.name", "Everything");
        project.set("brands.everything.match_any", vec!["*"]);
        project.set("sources.inbox.type", "files");
        project.set("sources.inbox.glob", "in/*");
        project.set("sources.inbox.format", "reddit");
        project.set("assets.raw_posts.sources", vec!["inbox"]);
        project.save();
        project
    }

    /// Without some assets, and their bodies; without the summary, too, where it reads one of them.
    pub fn without(mut self, assets: &[&str]) -> Self {
        const SUMMARY: &str = "executive_summary_daily";
        let read = ["issue_trend_daily", "post_signals", "general_feedback_ai"];
        let there = self.config["assets"].get(SUMMARY).is_some();
        let summary = there && !assets.contains(&SUMMARY) && assets.iter().any(|a| read.contains(a));
        for asset in assets.iter().chain(summary.then_some(&SUMMARY)) {
            let tables = self.config["assets"].as_table_mut().unwrap();
            tables.remove(*asset).unwrap_or_else(|| panic!("{asset} is not shipped"));
            let _ = std::fs::remove_file(self.path(&format!("assets/{asset}.sql")));
        }
        self.save();
        self
    }

    /// Puts a value under a dotted name of pipelines.toml; [`Project::save`] writes it.
    pub fn set(&mut self, name: &str, value: impl Into<toml::Value>) {
        let mut parts: Vec<&str> = name.split('.').collect();
        let last = parts.pop().unwrap();
        let mut table = &mut self.config;
        for part in parts {
            table = table
                .entry(part)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                .as_table_mut()
                .unwrap();
        }
        table.insert(last.to_string(), value.into());
    }

    /// Takes away what stands under a dotted name of pipelines.toml.
    pub fn unset(&mut self, name: &str) {
        let (tables, last) = name.rsplit_once('.').unwrap();
        let mut table = &mut self.config;
        for part in tables.split('.') {
            table = table[part].as_table_mut().unwrap();
        }
        table.remove(last);
    }

    pub fn save(&self) {
        std::fs::write(self.path("pipelines.toml"), self.config.to_string()).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The project as the program sees it.
    pub fn opened(&self) -> rxpulse::project::Project {
        rxpulse::project::Project::open(self.dir.path().to_path_buf(), None).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn lake(&self) -> PathBuf {
        self.path("state/lake")
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a file, dated so that the same content always is the same capture.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.write_at(name, content, 0);
    }

    /// The same, some seconds later.
    pub fn write_at(&self, name: &str, content: impl AsRef<[u8]>, later: u64) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(WRITTEN + later);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
    }

    /// Writes a file, dated now.
    pub fn write_now(&self, name: &str, content: impl AsRef<[u8]>) {
        self.write(name, &content);
        let file = std::fs::File::options().write(true).open(self.path(name)).unwrap();
        file.set_modified(std::time::SystemTime::now()).unwrap();
    }

    /// Changes a file's text in one place.
    #[track_caller]
    pub fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert_eq!(text.matches(from).count(), 1, "`{from}` should stand once in {name}");
        std::fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    /// The command, ready to start.
    pub fn command(&self, args: &[&str]) -> Command {
        // Tests over much data run the release build.
        let built = std::env::var_os("RXPULSE_TEST_BIN").unwrap_or(env!("CARGO_BIN_EXE_rxpulse").into());
        let mut command = Command::new(built);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RXPULSE_") {
                command.env_remove(name);
            }
        }
        command.arg("-C").arg(self.dir.path()).args(args);
        command.env("NO_COLOR", "1").env("COLUMNS", "100");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().expect("the binary starts")
    }

    pub fn run(&self, args: &[&str]) -> Done {
        finish(self.start(args))
    }

    /// Runs a command that dies at its n-th durable operation, if it has so many.
    pub fn run_crashing(&self, args: &[&str], at: u64) -> Done {
        finish(self.command(args).env("RXPULSE_CRASH_AT", at.to_string()).spawn().unwrap())
    }

    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> Done {
        self.run(args).expect(0)
    }

    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        self.ok(&[args, &["--format", "json"]].concat()).json()
    }

    /// Makes everything; gives the summary.
    #[track_caller]
    pub fn all(&self) -> Value {
        self.json(&["materialize", "--all"])
    }

    /// Makes everything; gives exactly what was made.
    #[track_caller]
    pub fn made(&self) -> Steps {
        let summary = self.all();
        if summary["run"].is_null() { Steps::new() } else { self.steps("succeeded") }
    }

    /// The partition steps of the newest run in a state.
    #[track_caller]
    pub fn steps(&self, state: &str) -> Steps {
        let run = self.json(&["runs", "show"]);
        run["step_list"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| s["target"]["kind"] == "partition" && s["state"] == state)
            .map(|s| (text(&s["target"]["asset"]), text(&s["target"]["partition"])))
            .collect()
    }

    /// Every run with how it stands, oldest first.
    #[track_caller]
    pub fn runs(&self) -> Vec<(i64, String)> {
        let list = self.json(&["runs", "list"]);
        let mut runs: Vec<(i64, String)> =
            list.as_array().unwrap().iter().map(|r| (r["id"].as_i64().unwrap(), text(&r["life"]))).collect();
        runs.sort();
        runs
    }

    /// The windows that the newest run captured.
    #[track_caller]
    pub fn captures(&self) -> Vec<String> {
        let run = self.json(&["runs", "show"]);
        let mut list: Vec<String> = run["step_list"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| s["target"]["kind"] == "capture" && s["state"] == "succeeded")
            .map(|s| text(&s["target"]["window"]))
            .collect();
        list.sort();
        list
    }

    /// Lets the first run look like one of another machine that is at work, or as it ended.
    pub fn seem_at_work(&self, at_work: bool) {
        let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let database = rusqlite::Connection::open(self.path("state/rxpulse.db")).unwrap();
        let change = match at_work {
            true => "host = 'elsewhere', state = 'running', heartbeat_ms = ?1 + 600000, finished_ms = NULL",
            false => "state = 'succeeded', heartbeat_ms = ?1, finished_ms = ?1",
        };
        assert_eq!(database.execute(&format!("UPDATE runs SET {change} WHERE id = 1"), [now]).unwrap(), 1);
    }

    /// What a plan would do: partitions, and windows of captures.
    #[track_caller]
    pub fn plan(&self, args: &[&str]) -> (Steps, Vec<String>) {
        let plan = self.json(&[&["plan"], args].concat());
        let steps = plan["steps"].as_array().unwrap().iter();
        let captures = plan["captures"].as_array().unwrap().iter();
        (
            steps.map(|s| (text(&s["asset"]), text(&s["partition"]))).collect(),
            captures.map(|c| text(&c["window"])).collect(),
        )
    }

    /// Insists that nothing is left to do.
    #[track_caller]
    pub fn settled(&self) {
        assert_eq!(self.plan(&["--all"]), (Steps::new(), Vec::new()));
    }

    /// The rows of a query.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Value> {
        self.json(&["query", sql]).as_array().unwrap().clone()
    }

    /// One number.
    #[track_caller]
    pub fn number(&self, sql: &str) -> i64 {
        let rows = self.query(sql);
        let row = rows[0].as_object().unwrap();
        row.values().next().unwrap().as_i64().unwrap_or_else(|| panic!("{sql}: {rows:?}"))
    }

    /// The current files of every asset, found as any reader of the lake would: the highest
    /// manifest of each partition names them.
    #[track_caller]
    pub fn current(&self) -> Files {
        let mut files = Files::new();
        for path in self.manifests().into_values().flat_map(|m| m.into_values().next_back()) {
            let manifest: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            for file in manifest["files"].as_array().unwrap() {
                let name = text(&file["path"]);
                let bytes = std::fs::read(self.lake().join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(bytes.len() as u64, file["bytes"].as_u64().unwrap(), "{name}");
                files.insert(name, bytes);
            }
        }
        files
    }

    /// The manifests of every partition (`asset/day` or `asset/src=…/day`) by generation.
    pub fn manifests(&self) -> BTreeMap<String, BTreeMap<u32, PathBuf>> {
        let root = self.lake().join("_manifests");
        let mut out: BTreeMap<String, BTreeMap<u32, PathBuf>> = BTreeMap::new();
        for entry in walkdir::WalkDir::new(&root).into_iter().filter_map(Result::ok) {
            let name = entry.path().strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            let Some((partition, generation)) = name.strip_suffix(".json").and_then(|n| n.rsplit_once('.'))
            else {
                continue;
            };
            let generation = generation.parse().unwrap_or_else(|_| panic!("{name}"));
            out.entry(partition.to_string()).or_default().insert(generation, entry.into_path());
        }
        out
    }

    /// Rows of every asset by its current manifests.
    pub fn rows(&self) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        for (partition, generations) in self.manifests() {
            let path = generations.into_values().next_back().unwrap();
            let manifest: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let asset = partition.split('/').next().unwrap().to_string();
            *out.entry(asset).or_default() += manifest["rows"].as_u64().unwrap();
        }
        out
    }
}

/// A seed for random choices, printed so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("RXPULSE_TEST_SEED").map_or_else(
        |_| std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1,
        |s| s.parse().unwrap(),
    );
    println!("RXPULSE_TEST_SEED={seed}");
    seed
}

pub fn finish(child: Child) -> Done {
    let output = child.wait_with_output().expect("the process ends");
    Done {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Says which files differ, without printing them.
#[track_caller]
pub fn same_files(left: &Files, right: &Files, what: &str) {
    let names = |f: &Files| f.keys().cloned().collect::<BTreeSet<_>>();
    let (a, b) = (names(left), names(right));
    assert_eq!(a.difference(&b).collect::<Vec<_>>(), b.difference(&a).collect::<Vec<_>>(), "{what}");
    let changed: Vec<&String> = left.keys().filter(|k| left[*k] != right[*k]).collect();
    assert!(changed.is_empty(), "{what}: other bytes in {changed:?}");
    assert!(!left.is_empty(), "{what}: there are no files");
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_string()
}

/// The steps of some assets on some days of August 2026.
pub fn steps(assets: &[&str], days: impl IntoIterator<Item = u32>) -> Steps {
    let days: Vec<u32> = days.into_iter().collect();
    assets.iter().flat_map(|a| days.iter().map(move |d| (a.to_string(), day(*d)))).collect()
}

/// A day of August 2026.
pub fn day(n: u32) -> String {
    format!("2026-08-{n:02}")
}

/// Seconds since 1970 at a minute of the day in August 2026, UTC.
pub fn at(day: u32, minute: u32) -> i64 {
    1_785_542_400 + i64::from(day - 1) * 86_400 + i64::from(minute) * 60
}

/// One post as Reddit's API writes it.
pub fn post(id: &str, day: u32, minute: u32, title: &str) -> String {
    json!({
        "id": id, "title": title, "selftext": format!("about {id}"), "created_utc": at(day, minute),
        "score": (id.len() as u32 + minute) % 40, "num_comments": minute % 7, "subreddit": "pharmacy",
        "author": "somebody", "permalink": format!("/r/pharmacy/comments/{id}/x/"),
    })
    .to_string()
}

/// The titles of [`posts`].
pub const TITLES: [&str; 6] = [
    "my order is two weeks late and still waiting",
    "great price for my refill this month",
    "thank you, everything went well",
    "they sent me the wrong medication",
    "insurance rejected again",
    "what a day",
];

/// Lines of posts: `each` of every day, with ids that begin with `prefix`.
pub fn posts(prefix: &str, days: impl IntoIterator<Item = u32>, each: u32) -> String {
    let mut out = String::new();
    for d in days {
        for i in 0..each {
            let title = TITLES[((d + i) % 6) as usize];
            out.push_str(&post(&format!("{prefix}{d:02}x{i:03}"), d, i * 3 + 1, title));
            out.push('\n');
        }
    }
    out
}
