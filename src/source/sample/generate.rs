//! One day of sample records, in the order in which they were seen.

use jiff::tz::TimeZone;

use crate::envelope::PostType;
use crate::graph::Day;

use super::corpus::{CORPUS, Corpus, ListId};
use super::def::{SampleDef, day_weight, outage_percent, spike_percent};
use super::prose::{self, Length, Voice};
use super::record::{self, Damage, Facts, Platform, Thread};
use super::rng::{Rng, mix};
use super::topic::{Brand, Forum, Topic, Topics};

/// One record as a source would hand it over.
#[derive(Clone, Copy, Debug)]
pub struct SampleRecord<'a> {
    /// The site: one of [`super::platforms`].
    pub platform: &'static str,
    /// What it is.
    pub post_type: PostType,
    /// The record's JSON text in the site's shape; malformed on purpose now and then.
    pub raw: &'a str,
    /// When the generator says it was fetched: never before it was written. Milliseconds
    /// since 1970 UTC.
    pub fetched_at_ms: i64,
    /// Whom it was written about. Not part of the record: for tests and statistics.
    pub brand: Brand,
    /// What it was written about. Not part of the record: for tests and statistics.
    pub topic: Topic,
}

/// How busy the hours of a day are.
const HOURS: [u32; 24] =
    [30, 22, 16, 12, 10, 12, 20, 34, 48, 58, 62, 64, 66, 64, 62, 60, 60, 62, 66, 70, 72, 66, 54, 42];

/// High-risk posts planted by the number of the day.
const PLANTED: [(u32, u32, Topic); 5] = [
    (7, 3, Topic::WrongMedication),
    (11, 5, Topic::AdverseReaction),
    (13, 6, Topic::PrivacyBreach),
    (17, 8, Topic::LegalThreat),
    (19, 9, Topic::WrongDose),
];

const AMAZON_CHANNELS: [&str; 20] = [
    "AmazonPharmacy",
    "AmazonPharmacy",
    "AmazonPharmacy",
    "AmazonPharmacy",
    "AmazonPharmacy",
    "AmazonPharmacy",
    "AmazonPharmacy",
    "pharmacy",
    "pharmacy",
    "pharmacy",
    "pharmacy",
    "amazonprime",
    "amazonprime",
    "HealthInsurance",
    "diabetes",
    "ADHD",
    "Frugal",
    "migraine",
    "Hypothyroidism",
    "ChronicIllness",
];
const CVS_CHANNELS: [&str; 10] = [
    "CVS",
    "CVS",
    "CVS",
    "CVS",
    "pharmacy",
    "pharmacy",
    "pharmacy",
    "HealthInsurance",
    "ADHD",
    "PharmacyTechnician",
];
const OTHER_CHANNELS: [&str; 8] = [
    "pharmacy",
    "pharmacy",
    "PharmacyTechnician",
    "amazonprime",
    "AskDocs",
    "diabetes",
    "CasualConversation",
    "ADHD",
];
const NEWS_CHANNELS: [&str; 6] = ["news", "stocks", "business", "technology", "pharmacy", "pharmacyjobs"];

/// Threads of the day that comments and crossposts refer to: the newest few.
struct Threads {
    newest: Vec<Known>,
    next: usize,
}

struct Known {
    thread: Thread,
    brand: Brand,
    topic: Topic,
    channel: &'static str,
    /// Whether the headline names the brand.
    named: bool,
}

impl Threads {
    const MOST: usize = 24;

    fn new() -> Self {
        Self { newest: Vec::with_capacity(Self::MOST), next: 0 }
    }

    fn remember(&mut self, num: u64, title: &str, brand: Brand, topic: Topic, place: (&'static str, bool)) {
        if self.newest.len() < Self::MOST {
            self.newest.push(Known {
                thread: Thread { num, title: title.to_string() },
                brand,
                topic,
                channel: place.0,
                named: place.1,
            });
            return;
        }
        let known = &mut self.newest[self.next];
        self.next = (self.next + 1) % Self::MOST;
        known.thread.num = num;
        known.thread.title.clear();
        known.thread.title.push_str(title);
        (known.brand, known.topic, known.channel, known.named) = (brand, topic, place.0, place.1);
    }

    fn any(&self, rng: &mut Rng) -> Option<&Known> {
        self.newest.get(rng.below(self.newest.len() as u32) as usize)
    }

    fn of(&self, brand: Brand, topic: Topic) -> Option<&Known> {
        self.newest.iter().rev().find(|k| k.brand == brand && k.topic == topic)
    }
}

/// What is told again later in the day.
enum Later {
    Duplicate { raw: String, record: (Platform, PostType, i64) },
    Capture { facts: Box<Facts>, thread: Option<Thread>, title: String, body: String },
}

struct Due {
    after: u64,
    what: Later,
    brand: Brand,
    topic: Topic,
}

/// What a record has to be about, where that is not left to chance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forced {
    No,
    Planted(Topic),
    Spike,
    Outage,
}

/// Calls `each` once a record, in the order in which the records were seen. Nothing is made
/// for a day outside the history, or for one that the time zone skips. Does not block; a
/// record costs a few microseconds.
pub fn generate_day(def: &SampleDef, day: Day, tz: &TimeZone, each: &mut dyn FnMut(SampleRecord<'_>)) {
    let Some(slot) = def.slot(day) else { return };
    if def.posts_per_day == 0 {
        return;
    }
    let bound = |day: Day| day.date().to_zoned(tz.clone()).map(|z| z.timestamp().as_second());
    let (Ok(from_s), Ok(to_s)) = (bound(day), bound(day.plus(1))) else { return };
    if from_s >= to_s {
        return;
    }
    let (corpus, topics) = &*CORPUS;
    let root = def.root();
    let plan = Plan::of(def, day, slot, topics);
    // Numbers of one day never reach those of the next: a day holds less than 4 × the setting.
    let bits = 64 - (u64::from(def.posts_per_day) * 4 + 64).leading_zeros();
    let first_num = (root >> 30) + (u64::from(slot) << bits);
    let mut maker = Maker {
        def,
        corpus,
        topics,
        reddit: Threads::new(),
        hacker_news: Threads::new(),
        title: String::with_capacity(256),
        body: String::with_capacity(2048),
        raw: String::with_capacity(4096),
        due: Vec::new(),
    };
    let family = mix(root ^ mix(0x0064_6179_0000_0000 + u64::from(slot)));
    for index in 0..plan.records {
        let rng = Rng::stream(family, index);
        let created_s = moment(&rng, index, plan.records, (from_s, to_s));
        maker.record(index, first_num + index, created_s, rng, plan.forced(index, family), each);
        maker.tell_due(Some(index), each);
    }
    maker.tell_due(None, each);
}

/// How many records, and which of them are not left to chance.
struct Plan {
    records: u64,
    spike: u64,
    outage: u64,
    planted: Vec<Topic>,
}

impl Plan {
    fn of(def: &SampleDef, day: Day, slot: u32, topics: &Topics) -> Self {
        let plain = (f64::from(def.posts_per_day) * day_weight(def, day)).round() as u64;
        // Talk stands for all forums here: the excess is a size, not a share of each.
        let excess = |brand: Brand, topic: Topic, percent: u32, of_brand: u64| -> u64 {
            let ppm = topics.parts_per_million(brand, Forum::Talk, topic);
            let on_brand = u64::from(1000 - def.off_brand_per_mille.min(1000));
            plain * on_brand * of_brand * ppm / 1_000_000_000 * u64::from(percent - 100) / 10_000
        };
        let spike =
            excess(Brand::Amazon, Topic::DeliveryDelay, spike_percent(def, slot), u64::from(AMAZON_PERCENT));
        let outage = excess(Brand::Cvs, Topic::App, outage_percent(slot), u64::from(100 - AMAZON_PERCENT));
        let planted: Vec<Topic> =
            PLANTED.iter().filter(|(every, at, _)| slot % every == *at).map(|p| p.2).collect();
        let records = plain + spike + outage + planted.len() as u64;
        Self { records, spike, outage, planted }
    }

    /// Whether a record is planted, or one of a spike's excess.
    fn forced(&self, index: u64, family: u64) -> Forced {
        let part = self.records / (self.planted.len() as u64 + 1);
        if let Some(at) =
            (1..=self.planted.len() as u64).find(|k| k * part == index || (part == 0 && k - 1 == index))
        {
            return Forced::Planted(self.planted[at as usize - 1]);
        }
        if self.spike + self.outage == 0 {
            return Forced::No;
        }
        let at = mix(family ^ mix(!index)) % self.records;
        if at < self.spike {
            Forced::Spike
        } else if at < self.spike + self.outage {
            Forced::Outage
        } else {
            Forced::No
        }
    }
}

const AMAZON_PERCENT: u32 = 74;

/// When record `index` of `count` was written: in order, busier at noon and in the evening.
fn moment(rng: &Rng, index: u64, count: u64, (from_s, to_s): (i64, i64)) -> i64 {
    let jitter = rng.clone().next() >> 48;
    // A share of the day's posts in 2^32 parts, then the hour in which that share is reached.
    let share = ((u128::from(index) << 16) + u128::from(jitter)) * (1 << 16) / u128::from(count.max(1));
    let total: u32 = HOURS.iter().sum();
    let mut left = share * u128::from(total);
    let mut hour = 0;
    while hour < 23 && left >= u128::from(HOURS[hour]) << 32 {
        left -= u128::from(HOURS[hour]) << 32;
        hour += 1;
    }
    let inside = left / u128::from(HOURS[hour]);
    let length = u128::from((to_s - from_s).unsigned_abs());
    let passed = ((hour as u128) << 32).saturating_add(inside) * length / (24u128 << 32);
    (from_s + passed as i64).min(to_s - 1)
}

struct Maker<'d> {
    def: &'d SampleDef,
    corpus: &'static Corpus,
    topics: &'static Topics,
    reddit: Threads,
    hacker_news: Threads,
    title: String,
    body: String,
    raw: String,
    due: Vec<Due>,
}

impl Maker<'_> {
    fn record(
        &mut self,
        index: u64,
        num: u64,
        created_s: i64,
        mut rng: Rng,
        forced: Forced,
        each: &mut dyn FnMut(SampleRecord<'_>),
    ) {
        // The first number was spent on the moment.
        rng.next();
        let rng = &mut rng;
        let mut brand = match forced {
            Forced::Planted(_) | Forced::Spike => Brand::Amazon,
            Forced::Outage => Brand::Cvs,
            Forced::No if rng.per_mille(self.def.off_brand_per_mille) => Brand::Other,
            Forced::No if rng.below(100) < AMAZON_PERCENT => Brand::Amazon,
            Forced::No => Brand::Cvs,
        };
        let platform = match (forced, brand, rng.below(100)) {
            (Forced::Planted(_), ..) => Platform::Reddit,
            (_, Brand::Amazon, 0..=61) | (_, Brand::Cvs, 0..=69) | (_, Brand::Other, 0..=74) => {
                Platform::Reddit
            }
            (_, Brand::Amazon, 62..=73) => Platform::AppStore,
            (_, Brand::Amazon, 74..=89) | (_, Brand::Cvs, 70..=91) | (_, Brand::Other, 75..=84) => {
                Platform::Trustpilot
            }
            _ => Platform::HackerNews,
        };
        let forum = match platform {
            Platform::Reddit => Forum::Talk,
            Platform::Trustpilot => Forum::Reviews,
            Platform::AppStore => Forum::App,
            Platform::HackerNews => Forum::News,
        };
        let mut topic = match forced {
            Forced::Planted(topic) => topic,
            Forced::Spike => Topic::DeliveryDelay,
            Forced::Outage => Topic::App,
            Forced::No if brand == Brand::Other && forum != Forum::Reviews && rng.below(100) < 55 => {
                Topic::OffTopic
            }
            Forced::No => self.topics.draw(brand, forum, rng),
        };
        let threads = match platform {
            Platform::HackerNews => &self.hacker_news,
            _ => &self.reddit,
        };
        let wants_thread = match (platform, forced) {
            (Platform::AppStore | Platform::Trustpilot, _) | (_, Forced::Planted(_)) => false,
            (Platform::Reddit, _) => rng.below(100) < 60,
            (Platform::HackerNews, _) => rng.below(100) < 75,
        };
        let mut known = match (wants_thread, forced) {
            (false, _) => None,
            (true, Forced::No) => threads.any(rng),
            (true, _) => threads.of(brand, topic),
        };
        let comment = known.is_some();
        if let Some(known) = known {
            brand = known.brand;
            // Most stay with the thread's topic; news is talked about, not repeated.
            topic = match known.topic {
                _ if forced != Forced::No => topic,
                Topic::News => self.topics.draw(brand, Forum::Talk, rng),
                Topic::OffTopic => Topic::OffTopic,
                talk if rng.below(100) < 70 => talk,
                _ => self.topics.draw(brand, forum, rng),
            };
        }
        let crosspost = platform == Platform::Reddit && !comment && forced == Forced::No && rng.per_mille(20);
        if crosspost {
            known = threads.any(rng);
            if let Some(known) = known {
                (brand, topic) = (known.brand, known.topic);
            }
        }
        let crosspost = crosspost && known.is_some();

        let lists = self.topics.lists(topic);
        let content = rng.below(100) < topic.content_percent();
        let mut voice = Voice::draw(brand, content, rng);
        let (title, body) = (&mut self.title, &mut self.body);
        title.clear();
        body.clear();
        match known {
            Some(known) if crosspost => {
                title.push_str(&known.thread.title);
                voice.named = known.named;
            }
            Some(known) => voice.named = known.named,
            None => prose::title(self.corpus, lists, &mut voice, rng, title),
        }
        let title_named = voice.named;
        let open: ListId = match forced {
            Forced::Spike if rng.below(100) < 60 => self.corpus.common.spike_open,
            _ => lists.open,
        };
        let length = match (forced, platform) {
            (Forced::Planted(_), _) => Length::Full,
            _ if comment => Length::Comment,
            (_, Platform::Trustpilot | Platform::AppStore) => Length::Review,
            _ => Length::Post,
        };
        if !crosspost {
            prose::body(self.corpus, (topic, lists, open), length, &mut voice, rng, body);
        }
        let channel = match (platform, brand) {
            (Platform::AppStore, _) => "amazon-pharmacy-ios",
            (Platform::Trustpilot, Brand::Amazon) => "pharmacy.amazon.com",
            (Platform::Trustpilot, Brand::Cvs) => "cvs.com",
            (Platform::Trustpilot, Brand::Other) => "walgreens.com",
            (Platform::HackerNews, _) => "hacker_news",
            (Platform::Reddit, _) if comment => known.map_or("pharmacy", |k| k.channel),
            (Platform::Reddit, _) if topic == Topic::News => rng.pick(&NEWS_CHANNELS),
            (Platform::Reddit, Brand::Amazon) => rng.pick(&AMAZON_CHANNELS),
            (Platform::Reddit, Brand::Cvs) => rng.pick(&CVS_CHANNELS),
            (Platform::Reddit, Brand::Other) => rng.pick(&OTHER_CHANNELS),
        };
        // A place of the brand speaks for itself, and so does the headline of a thread.
        let at_home = matches!(channel, "AmazonPharmacy" | "amazon-pharmacy-ios");
        if !voice.named && !at_home && topic != Topic::OffTopic {
            prose::mention(self.corpus, &mut voice, rng, body);
        }

        let planted = matches!(forced, Forced::Planted(_));
        let damaged = !planted && rng.per_mille(self.def.malformed_per_mille);
        let mut score = i64::from(rng.skewed(2, 20_000)) - 1;
        if rng.below(100) < 6 {
            score = -i64::from(rng.below(9));
        }
        let facts = Facts {
            platform,
            post_type: match (platform, comment) {
                (Platform::AppStore | Platform::Trustpilot, _) => PostType::Review,
                (_, true) => PostType::Comment,
                (_, false) => PostType::Post,
            },
            num,
            channel,
            created_s,
            // From half a minute to a day and two hours later.
            fetched_s: created_s + 30 + i64::from(rng.skewed(240, 93_600)),
            author: rng.below(60_000),
            score,
            num_comments: if comment { 0 } else { i64::from(rng.skewed(2, 4_000)) - 2 },
            rating: if content { 4 + rng.below(2) as u8 } else { 1 + rng.below(3) as u8 },
            edited_s: None,
            removed: None,
            crosspost: known.filter(|_| crosspost).map(|k| k.thread.num),
            damage: damaged.then(|| rng.pick(&Damage::ALL)),
        };
        let thread = known.filter(|_| comment).map(|k| &k.thread);
        self.raw.clear();
        record::write(&facts, thread, title, body, &mut self.raw);
        each(SampleRecord {
            platform: platform.name(),
            post_type: facts.post_type,
            raw: &self.raw,
            fetched_at_ms: facts.fetched_s * 1000,
            brand,
            topic,
        });
        if damaged {
            return;
        }
        if rng.per_mille(self.def.duplicate_per_mille) {
            let record = (platform, facts.post_type, facts.fetched_s * 1000);
            let what = Later::Duplicate { raw: self.raw.clone(), record };
            self.due.push(Due { after: index + u64::from(rng.below(60)), what, brand, topic });
        }
        if !planted && rng.per_mille(self.def.late_per_mille) {
            let mut later = Box::new(facts.clone());
            let mut later_body = self.body.clone();
            later.fetched_s += 3_600 + i64::from(rng.below(68_400));
            later.score += i64::from(rng.skewed(3, 500));
            if !comment {
                later.num_comments += i64::from(rng.skewed(2, 100));
            }
            let changed_s = created_s + 60 + i64::from(rng.below(3_000));
            match (rng.below(10), platform) {
                (0..=1, Platform::Reddit) => {
                    later.removed = Some(rng.pick(&["moderator", "deleted", "reddit"]))
                }
                (2..=4, Platform::Reddit) => {}
                _ => {
                    later.edited_s = Some(changed_s);
                    // The note is fetched after it was written.
                    later.fetched_s = later.fetched_s.max(changed_s + 60);
                    prose::entry(self.corpus, self.corpus.common.edit_note, &mut voice, rng, &mut later_body);
                }
            }
            let what = Later::Capture {
                facts: later,
                thread: thread.cloned(),
                title: self.title.clone(),
                body: later_body,
            };
            self.due.push(Due { after: index + 1 + u64::from(rng.below(200)), what, brand, topic });
        }
        if !comment {
            let threads = match platform {
                Platform::Reddit => &mut self.reddit,
                Platform::HackerNews => &mut self.hacker_news,
                Platform::AppStore | Platform::Trustpilot => return,
            };
            threads.remember(num, &self.title, brand, topic, (channel, title_named));
        }
    }

    /// Tells what is due after record `index` (everything at the end of the day).
    fn tell_due(&mut self, index: Option<u64>, each: &mut dyn FnMut(SampleRecord<'_>)) {
        let mut at = 0;
        while at < self.due.len() {
            if index.is_some_and(|index| self.due[at].after > index) {
                at += 1;
                continue;
            }
            let Due { what, brand, topic, .. } = self.due.remove(at);
            match what {
                Later::Duplicate { raw, record: (platform, post_type, fetched_at_ms) } => {
                    each(SampleRecord {
                        platform: platform.name(),
                        post_type,
                        raw: &raw,
                        fetched_at_ms,
                        brand,
                        topic,
                    });
                }
                Later::Capture { facts, thread, title, body } => {
                    self.raw.clear();
                    record::write(&facts, thread.as_ref(), &title, &body, &mut self.raw);
                    each(SampleRecord {
                        platform: facts.platform.name(),
                        post_type: facts.post_type,
                        raw: &self.raw,
                        fetched_at_ms: facts.fetched_s * 1000,
                        brand,
                        topic,
                    });
                }
            }
        }
    }
}
