//! Readings in tests: a client on fake time, an intake, and the rows that came of them.

use std::sync::atomic::AtomicBool;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::{
    AuthorRule, CaptureContext, CaptureOutput, Intake, KnownIndex, Net, Privacy, Reached, SourceError,
};
use crate::envelope::parse_millis;
use crate::graph::Day;
use crate::http::fake::Fake;
use crate::http::hooks::FakeTime;
use crate::http::{AddressRule, BlockingClient, Client, ClientOptions, Robots};

/// The moment of a reading, unless a test says otherwise: 2026-11-10 12:00:00 UTC.
pub(super) const NOW_MS: i64 = 1_794_312_000_000;

pub(super) fn ms(text: &str) -> i64 {
    parse_millis(text).unwrap_or_else(|| panic!("{text}"))
}

pub(super) struct Bench {
    runtime: tokio::runtime::Runtime,
    client: Client,
    robots: Robots,
    pub time: FakeTime,
    pub stop: AtomicBool,
    pub context: CaptureContext,
}

/// What a reading left.
pub(super) struct Read {
    pub reached: Reached,
    pub output: CaptureOutput,
}

impl Bench {
    pub(super) fn new(servers: &[&Fake]) -> Self {
        let time = FakeTime::default();
        let options = ClientOptions {
            allow: AddressRule::PublicAnd(servers.iter().map(|server| server.authority()).collect()),
            hooks: time.hooks(0.5),
            ..ClientOptions::default()
        };
        let client = Client::new(options).unwrap();
        Self {
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            robots: Robots::new(client.clone()),
            client,
            time,
            stop: AtomicBool::new(false),
            context: CaptureContext {
                start: "2000-01-01".parse::<Day>().unwrap(),
                end: None,
                timezone: TimeZone::UTC,
                privacy: Privacy { author: AuthorRule::Hash { key: b"test".to_vec() } },
                now_ms: NOW_MS,
                settle_ms: 36 * 3_600_000,
                temp_dir: None,
                forgotten: std::sync::Arc::default(),
                textless: std::sync::Arc::default(),
                spool_memory: 1 << 20,
            },
        }
    }

    /// One reading, whose account must add up.
    pub(super) fn read(
        &self,
        reading: impl FnOnce(&Net<'_>, &mut Intake<'_>) -> Result<Reached, SourceError>,
    ) -> Result<Read, SourceError> {
        let client = BlockingClient::new(self.client.clone(), self.runtime.handle().clone());
        let net = Net {
            client: &client,
            robots: &self.robots,
            stop: &self.stop,
            matches: &|_| false,
            held: &|_| Ok(Vec::new()),
        };
        let mut learn = |_: Day, _: &mut KnownIndex| Ok(());
        let mut intake = Intake::new("here", &self.context, &mut learn)?;
        let reached = reading(&net, &mut intake)?;
        let output = intake.finish()?;
        assert!(output.counts.adds_up(), "{:?}", output.counts);
        Ok(Read { reached, output })
    }
}

impl Read {
    /// The envelopes in the order of the reading.
    pub(super) fn rows(&self) -> Vec<Value> {
        let mut rows: Vec<Value> = Vec::new();
        for object in self.output.objects.values() {
            let text = zstd::decode_all(object.reader()).unwrap();
            rows.extend(
                text.split(|b| *b == b'\n')
                    .filter(|l| !l.is_empty())
                    .map(|l| serde_json::from_slice::<Value>(l).unwrap()),
            );
        }
        rows.sort_by_key(|row| row["seq"].as_u64());
        rows
    }

    /// The native ids in the order of the reading.
    pub(super) fn ids(&self) -> Vec<String> {
        self.rows().iter().map(|row| row["native_id"].as_str().unwrap().to_string()).collect()
    }

    /// Reasons of what was set aside, with how often.
    pub(super) fn aside(&self) -> Vec<(&str, u64)> {
        self.output.counts.quarantined.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
    }

    /// How it ended: the word, and why.
    pub(super) fn end(&self) -> (&'static str, Option<&str>) {
        (self.reached.reach.as_str(), self.reached.reason.as_deref())
    }
}
