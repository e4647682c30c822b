//! What `rxpulse forget` tells of what it found and did, for people and as JSON.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::AuthorPolicy;
use crate::exec::{Erased, PostKey, Sighting};
use crate::graph::Day;
use crate::lake::Purged;
use crate::output::terminal::{self, Format, dim, green, red, yellow};
use crate::output::{sanitize, text};
use crate::project::Project;

use super::args::{Forget, Global};
use super::common::{self, CliError};
use super::forget_asked::Asked;

/// What was found and done, to be printed.
pub(super) struct Told {
    /// Nothing is changed.
    pub dry_run: bool,
    /// Where each post was found.
    pub posts: BTreeMap<PostKey, Option<Sighting>>,
    /// The name as it was given.
    pub author: Option<String>,
    /// The author's site.
    pub platform: Option<String>,
    /// Files of the person's own that hold it.
    pub files: BTreeSet<String>,
    /// The days that hold it.
    pub days: BTreeSet<Day>,
    /// The run that made tables again.
    pub run: Option<i64>,
    /// Partitions written anew.
    pub made: u64,
    /// Records that lost it.
    pub erased: Erased,
    pub labels: u64,
    pub answers: u64,
    /// Lines of the history of runs that lost it.
    pub history: u64,
    /// Older versions.
    pub purged: Purged,
    /// Tables and days removed whole.
    pub dropped: BTreeSet<String>,
    /// What may still hold it.
    pub left: Vec<String>,
    /// What a person should know.
    pub notes: BTreeSet<String>,
    /// The exit code.
    pub code: u8,
}

impl Told {
    /// Before anything is done.
    pub fn new(args: &Forget, asked: &Asked, project: &Project) -> Self {
        let days =
            asked.posts.values().flatten().flat_map(|s| s.places.keys().map(|(_, day)| *day)).collect();
        let mut files = asked.locators();
        files.retain(|locator| project.root.join(locator).is_file());
        let mut notes = BTreeSet::new();
        if !asked.authors.is_empty() && asked.posts.is_empty() {
            let how = match project.config.privacy.author {
                AuthorPolicy::Hash { .. } => {
                    "; names are hashed as their site writes them, in its capitals and small letters"
                }
                _ => "",
            };
            notes.insert(format!("nobody of that name was captured{how}"));
        }
        Self {
            dry_run: args.dry_run,
            posts: asked.posts.clone(),
            author: args.author.clone(),
            platform: asked.authors.first().map(|(platform, _)| platform.clone()),
            files,
            days,
            run: None,
            made: 0,
            erased: Erased::default(),
            labels: 0,
            answers: 0,
            history: 0,
            purged: Purged::default(),
            dropped: BTreeSet::new(),
            left: Vec::new(),
            notes,
            code: 0,
        }
    }

    fn json(&self) -> serde_json::Value {
        let posts: Vec<_> = self
            .posts
            .iter()
            .map(|((platform, native_id), sighting)| {
                let places: Vec<_> = sighting
                    .iter()
                    .flat_map(|s| &s.places)
                    .map(|((source, day), captures)| {
                        serde_json::json!({ "source": source, "day": day, "captures": captures })
                    })
                    .collect();
                serde_json::json!({ "platform": platform, "native_id": native_id, "places": places })
            })
            .collect();
        serde_json::json!({
            "dry_run": self.dry_run,
            "author": self.author,
            "posts": posts,
            "days": self.days,
            "files": self.files,
            "run": self.run,
            "published": self.made,
            "quarantine": self.erased.quarantine,
            "cursors": self.erased.cursors,
            "requests": self.erased.requests,
            "labels": self.labels,
            "answers": self.answers,
            "history": self.history,
            "dropped": self.dropped,
            "purged": { "files": self.purged.files, "bytes": self.purged.bytes },
            "left": self.left,
            "notes": self.notes,
        })
    }

    /// Prints it.
    pub fn print(&self, global: &Global) -> Result<(), CliError> {
        if global.format != Format::Human {
            return common::print_json(global.format, &self.json());
        }
        let mut out = String::new();
        if let (Some(name), Some(platform)) = (&self.author, &self.platform) {
            let posts = text::plural(self.posts.len() as u64, "post");
            out.push_str(&format!("{} on {platform}: {posts}\n", sanitize::line(name)));
        }
        for ((platform, id), sighting) in &self.posts {
            let name = sanitize::line(&format!("{platform}:{id}")).into_owned();
            match sighting {
                None => out.push_str(&format!("{name}: not in bronze; it is kept from coming\n")),
                Some(sighting) => {
                    for ((source, day), captures) in &sighting.places {
                        let captures = text::plural(*captures, "capture");
                        out.push_str(&format!("{name}: {captures} by {source} on {day}\n"));
                    }
                }
            }
        }
        if self.dry_run {
            out.push_str(&dim(
                "Nothing was changed. Without --dry-run this goes, and what read these days is made again.\n",
            ));
        } else {
            let erased = &self.erased;
            let parts = [
                (self.made, "partition", "made again"),
                (self.purged.files, "older file", "deleted"),
                (erased.quarantine, "set-aside record", "emptied"),
                (erased.cursors, "remembered id", "removed"),
                (erased.requests, "logged request", "removed"),
                (self.labels, "label", "removed"),
                (self.answers, "AI call", "cleaned"),
                (self.history, "log line", "cleaned"),
            ];
            let done: Vec<String> = parts
                .iter()
                .filter(|(n, ..)| *n > 0)
                .map(|(n, what, verb)| format!("{} {verb}", text::plural(*n, what)))
                .collect();
            if !done.is_empty() {
                out.push_str(&format!("{}\n", done.join(", ")));
            }
            for table in &self.dropped {
                out.push_str(&format!("{table} is not declared any more and was deleted\n"));
            }
            for left in self.left.iter().take(10) {
                out.push_str(&format!(
                    "{} {left} could not be made again and may still hold it\n",
                    red("left:")
                ));
            }
            if !self.left.is_empty() {
                out.push_str(&format!(
                    "{} in all; see `rxpulse runs show --state failed`, mend what is wrong, and say `forget` again\n",
                    text::plural(self.left.len() as u64, "partition")
                ));
            } else if self.code == 0 {
                out.push_str(&format!("{}\n", green("Forgotten.")));
            }
        }
        for file in &self.files {
            let file = sanitize::line(file).into_owned();
            let what = if self.dry_run { "would not be read again" } else { "is not read again" };
            out.push_str(&format!(
                "{} the record still stands in {file}, which is yours; it {what}\n",
                yellow("note:")
            ));
        }
        for note in &self.notes {
            out.push_str(&format!("{} {}\n", yellow("note:"), sanitize::line(note)));
        }
        if !global.quiet || self.code != 0 {
            terminal::out(&out);
        }
        Ok(())
    }
}
