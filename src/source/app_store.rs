//! The `app_store` source: Apple's customer reviews of one app, one stream a country.
//!
//! Apple shows at most ten pages of fifty reviews, the last changed first, needs no key, and
//! shows a review hours or days after it was written. Blocks on the network.

use std::collections::HashSet;

use super::adapter_app_store::{self, StoreFacts, page, review};
use super::capture::SourceError;
use super::fetch::{Early, Fetcher, Progress, Stopped};
use super::net::{Cursor, Intake, Net, Reach, Reached, Stream};
use super::splice;
use crate::http::Request;

/// Apple shows no page behind this one.
const LAST_PAGE: u32 = 10;
/// A review is checked before it is shown: one as old as this may be new to everyone.
const LATE_MS: i64 = 3 * 86_400_000;
/// Ids of the newest reviews that are remembered.
const REMEMBERED: usize = 10;
/// The longest page that is read, in bytes after decompression.
const LONGEST_PAGE: u64 = 8 << 20;

/// One `app_store` source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppStoreDef {
    /// Its name in the configuration.
    pub name: String,
    /// The app's number, as in its page's address: `id` and then this.
    pub app_id: String,
    /// Two-letter codes of the stores to read: `us`, `de`. Each is a stream.
    pub countries: Vec<String>,
    /// Where Apple answers: `https://itunes.apple.com`.
    pub base_url: String,
}

impl AppStoreDef {
    /// The reviews of an app in some countries, from Apple.
    pub fn new(name: &str, app_id: &str, countries: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: name.to_string(),
            app_id: app_id.to_string(),
            countries: countries.into_iter().map(Into::into).collect(),
            base_url: "https://itunes.apple.com".to_string(),
        }
    }

    /// The word in the envelopes.
    pub fn adapter_version(&self) -> &'static str {
        adapter_app_store::VERSION
    }

    /// What is wrong with it, each in a sentence.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.app_id.is_empty()
            || self.app_id.len() > 20
            || !self.app_id.bytes().all(|b| b.is_ascii_digit())
        {
            problems.push("`app_id` is the app's number, as behind `id` in its page's address".to_string());
        }
        if self.countries.is_empty() {
            problems.push("it names no country: countries = [\"us\"]".to_string());
        }
        for country in &self.countries {
            if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_lowercase()) {
                problems.push(format!("`{country}` is no country: two small letters, for example \"us\""));
            }
        }
        if let Err(error) = url::Url::parse(&self.base_url) {
            problems.push(format!("`base_url` is broken: {error}"));
        }
        problems
    }

    /// The streams: one a country.
    pub fn streams(&self) -> Vec<String> {
        self.countries.clone()
    }
}

/// Reads the reviews of one country once.
///
/// # Errors
/// When it is stopped on request, or the spool cannot be written. What the network does is
/// part of what was reached.
pub fn read_app_store(
    def: &AppStoreDef,
    stream: &str,
    before: &Stream,
    net: &Net<'_>,
    intake: &mut Intake<'_>,
) -> Result<Reached, SourceError> {
    let source = intake.source().to_string();
    let redactor = intake.redactor().clone();
    let facts = StoreFacts {
        source: &source,
        app_id: &def.app_id,
        country: stream,
        now_ms: intake.now_ms(),
        redactor: &redactor,
    };
    let mut reading = Reading {
        fetcher: Fetcher::new(net),
        before,
        facts: &facts,
        seen: HashSet::new(),
        newest: Vec::new(),
        progress: Progress::new(),
    };
    for number in 1..=LAST_PAGE {
        let base = def.base_url.trim_end_matches('/');
        let url = format!(
            "{base}/{stream}/rss/customerreviews/page={number}/id={}/sortBy=mostRecent/json",
            def.app_id
        );
        match reading.page(number, &url, intake)? {
            After::Next => {}
            After::End(covered, early) => return reading.end(covered, early),
            After::Stopped(stopped) => {
                return reading.progress.stopped(reading.fetcher.requests(), &before.cursor, stopped);
            }
        }
    }
    let early = Early::new(Reach::Partial, "Apple shows the newest 500 reviews only");
    reading.end(reading.progress.oldest_ms.map(|ms| ms.saturating_add(1)), Some(early))
}

/// What follows a page.
enum After {
    Next,
    /// Everything since the moment was seen, if there is one; and why it is not all.
    End(Option<i64>, Option<Early>),
    Stopped(Stopped),
}

struct Reading<'a> {
    fetcher: Fetcher<'a>,
    before: &'a Stream,
    facts: &'a StoreFacts<'a>,
    /// Ids of this reading.
    seen: HashSet<String>,
    newest: Vec<String>,
    progress: Progress,
}

impl Reading<'_> {
    fn page(&mut self, number: u32, url: &str, intake: &mut Intake<'_>) -> Result<After, SourceError> {
        let request = Request::get(url).accept("application/json").body_cap(LONGEST_PAGE);
        let response = match self.fetcher.send(request) {
            Ok(response) => response,
            Err(stopped) => return Ok(After::Stopped(stopped)),
        };
        let host = response.url().host_str().unwrap_or_default().to_string();
        let page = match page(response.body()) {
            Ok(page) => page,
            Err(why) => {
                return Ok(After::Stopped(Early::new(Reach::Failed, format!("{host}: {why}")).into()));
            }
        };
        let watermark = self.before.seen_until().map(|seen| seen.saturating_sub(LATE_MS));
        let (mut reviews, mut repeated) = (0u32, 0u32);
        let mut times = Vec::new();
        for (at, raw) in page.entries.iter().enumerate() {
            let review = match review(raw, at == 0) {
                Ok(Some(review)) => review,
                Ok(None) => continue,
                Err(reject) => {
                    reviews += 1;
                    intake.reject(&reject, &splice::redact(raw, self.facts.redactor, None))?;
                    continue;
                }
            };
            reviews += 1;
            if !review.id.is_empty() && !self.seen.insert(review.id.clone()) {
                repeated += 1;
            }
            if let Some(updated) = review.updated_ms {
                self.progress.saw(updated);
                times.push(updated);
                if self.newest.len() < REMEMBERED {
                    self.newest.push(review.id.clone());
                }
            }
            match review.map(raw, self.facts) {
                Ok(envelope) => drop(intake.take(envelope, raw)?),
                Err(reject) => drop(intake.reject(&reject, raw)?),
            }
        }
        self.progress.pages += u32::from(reviews > 0);
        let is_last = page.last.is_none_or(|last| number >= last);
        if reviews == 0 {
            return Ok(match self.before.newest_ms {
                Some(_) if number == 1 => {
                    let early = Early::new(Reach::Partial, "Apple shows no reviews, but did before");
                    After::End(None, Some(early))
                }
                _ if !is_last => {
                    let early = Early::new(Reach::Partial, "a page before the last one was empty");
                    After::End(None, Some(early))
                }
                _ => After::End(Some(0), None),
            });
        }
        if repeated == reviews && page.last != Some(number) {
            return Ok(After::End(None, Some(Early::new(Reach::Partial, "the pages repeat"))));
        }
        // The last changed come first: what follows an older one is older still.
        let oldest = match times.windows(2).all(|w| w[0] >= w[1]) {
            true => times.last(),
            false => times.iter().max(),
        };
        if watermark.zip(oldest).is_some_and(|(mark, oldest)| *oldest < mark) {
            return Ok(After::End(self.before.seen_until(), None));
        }
        // Older ones are of no day that the project has.
        if let Some(oldest) = oldest.filter(|oldest| **oldest < intake.starts_ms()) {
            return Ok(After::End(Some(oldest.saturating_add(1)), None));
        }
        // A short page is no end: Apple filters pages after cutting them.
        Ok(if page.last == Some(number) && number < LAST_PAGE {
            After::End(Some(0), None)
        } else {
            After::Next
        })
    }

    fn end(&self, from: Option<i64>, early: Option<Early>) -> Result<Reached, SourceError> {
        let partial = early.is_some() && from.is_none();
        let cursor = if self.newest.is_empty() || partial {
            self.before.cursor.clone()
        } else {
            Cursor { newest: self.newest.clone(), newest_ms: self.progress.newest_ms, ..Cursor::default() }
        };
        let covered = from.map(|from| (from, self.facts.now_ms));
        Ok(self.progress.reached(self.fetcher.requests(), covered, cursor, early))
    }
}

#[cfg(test)]
#[path = "app_store_tests.rs"]
mod tests;
