//! What a day of sample posts holds, as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::tz::TimeZone;

use crate::envelope::PostType;
use crate::graph::{Day, DayRange};

use super::record::Damage;
use super::*;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn def(posts_per_day: u32) -> SampleDef {
    SampleDef::new("sample", posts_per_day, 7, day("2026-08-01"), Some(day("2026-10-29")))
}

/// One record, kept.
#[derive(Clone, PartialEq, Debug)]
struct Kept {
    platform: &'static str,
    post_type: PostType,
    raw: String,
    fetched_at_ms: i64,
    brand: Brand,
    topic: Topic,
}

impl Kept {
    fn record(&self) -> SampleRecord<'_> {
        let Kept { platform, post_type, ref raw, fetched_at_ms, brand, topic } = *self;
        SampleRecord { platform, post_type, raw, fetched_at_ms, brand, topic }
    }
}

fn records_in(def: &SampleDef, day: Day, tz: &TimeZone) -> Vec<Kept> {
    let mut out = Vec::new();
    generate_day(def, day, tz, &mut |r| {
        out.push(Kept {
            platform: r.platform,
            post_type: r.post_type,
            raw: r.raw.to_string(),
            fetched_at_ms: r.fetched_at_ms,
            brand: r.brand,
            topic: r.topic,
        });
    });
    out
}

fn records(def: &SampleDef, day: Day) -> Vec<Kept> {
    records_in(def, day, &TimeZone::UTC)
}

fn hash(records: &[Kept]) -> String {
    let mut hasher = blake3::Hasher::new();
    for r in records {
        hasher.update(r.platform.as_bytes()).update(r.post_type.as_str().as_bytes());
        hasher.update(&r.fetched_at_ms.to_le_bytes()).update(r.raw.as_bytes()).update(b"\n");
    }
    hasher.finalize().to_hex()[..32].to_string()
}

#[test]
fn the_same_day_is_the_same_bytes_everywhere() {
    // A change of this hash is a change of every sample lake: raise ADAPTER_VERSION unless only
    // the corpus, which has a hash of its own, has changed.
    insta::assert_snapshot!(hash(&records(&def(400), day("2026-08-20"))), @"4f2686a333ae2be1974fc23da18e1178");
    let later_first: Vec<_> = ["2026-09-03", "2026-08-20"].map(|d| hash(&records(&def(400), day(d)))).into();
    assert_eq!(later_first[1], hash(&records(&def(400), day("2026-08-20"))));
    assert_ne!(later_first[0], later_first[1]);
    let other_seed = SampleDef { seed: 8, ..def(400) };
    assert_ne!(hash(&records(&other_seed, day("2026-08-20"))), later_first[1]);
    let other_name = SampleDef { name: "other".into(), ..def(400) };
    assert_ne!(hash(&records(&other_name, day("2026-08-20"))), later_first[1]);
}

#[test]
fn days_of_equal_version_are_equal_and_days_outside_are_empty() {
    let longer = SampleDef { end: Some(day("2026-12-31")), ..def(50) };
    for text in ["2026-08-01", "2026-09-15", "2026-10-24", "2026-10-29"] {
        let same = day_version(&def(50), day(text)) == day_version(&longer, day(text));
        assert_eq!(same, text != "2026-10-24", "{text}");
        assert_eq!(same, records(&def(50), day(text)) == records(&longer, day(text)), "{text}");
    }
    assert!(records(&def(50), day("2026-07-31")).is_empty());
    assert!(records(&def(50), day("2026-10-30")).is_empty());
    assert!(records(&def(0), day("2026-08-20")).is_empty());
}

#[test]
fn well_formed_records_map_and_broken_ones_say_why() {
    let def = SampleDef { malformed_per_mille: 40, ..def(3000) };
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    let all = records(&def, day("2026-08-20"));
    for (i, kept) in all.iter().enumerate() {
        let record = kept.record();
        assert!(!kept.raw.contains('\n'), "one line");
        match map(&record, "sample", i as u64 + 1) {
            Ok(e) => {
                assert!(serde_json::from_str::<serde_json::Value>(&kept.raw).unwrap().is_object());
                assert_eq!((e.platform.as_str(), e.post_type), (kept.platform, kept.post_type));
                assert_eq!(e.raw.as_str(), kept.raw);
                let created = e.created_at.unwrap();
                assert_eq!(created.div_euclid(86_400_000), i64::from(day("2026-08-20").0));
                assert!(e.fetched_at > created && e.fetched_at < created + 3 * 86_400_000);
                assert!(e.edited_at.is_none_or(|at| at > created && at < e.fetched_at), "{kept:?}");
                assert_eq!(e.post_type == PostType::Comment, e.parent_id.is_some());
                assert_eq!(e.post_type == PostType::Comment, e.link_title.is_some());
                assert_eq!(e.post_type == PostType::Review, e.rating.is_some());
                assert!(e.channel.is_some() && e.author.is_some());
                assert!(e.title.is_some() || e.body.is_some());
                assert!(e.score.is_none_or(|n| n < 21_000), "skewed, not absurd");
                assert!(e.num_comments.is_none_or(|n| n >= 0));
            }
            Err(Malformed { reason, detail }) => {
                *reasons.entry(reason).or_default() += 1;
                assert!(!detail.is_empty());
            }
        }
    }
    let expected: BTreeSet<&str> = Damage::ALL.iter().map(|d| d.reason()).collect();
    assert_eq!(reasons.keys().copied().collect::<BTreeSet<_>>(), expected);
    let broken: u32 = reasons.values().sum();
    let share = f64::from(broken) * 1000.0 / all.len() as f64;
    assert!((30.0..50.0).contains(&share), "{share} per mille");
}

#[test]
fn ids_are_unique_and_what_repeats_is_a_duplicate_or_a_late_capture() {
    let def = def(600);
    let (mut days_of, mut titles): (HashMap<String, Day>, HashSet<String>) = Default::default();
    let (mut total, mut duplicates, mut edited, mut rescored, mut removed, mut quarantined, mut named) =
        (0, 0, 0, 0, 0, 0, 0);
    for day in DayRange::new(day("2026-08-01"), day("2026-08-30")).unwrap().iter() {
        let all = records(&def, day);
        total += all.len();
        let mut first: HashMap<String, (String, Option<String>, i64)> = HashMap::new();
        for kept in &all {
            let record = kept.record();
            let Ok(e) = map(&record, "sample", 1) else {
                quarantined += 1;
                continue;
            };
            let id = format!("{}:{}", kept.platform, e.native_id.as_str());
            assert_eq!(*days_of.entry(id.clone()).or_insert(day), day, "an id belongs to one day");
            let body = e.body.as_ref().map(|b| b.as_str().to_string());
            if let Some(title) = &e.title
                && !first.contains_key(&id)
            {
                titles.insert(title.as_str().to_lowercase());
                named += 1;
            }
            match first.get(&id) {
                None => {
                    first.insert(id, (kept.raw.clone(), body, kept.fetched_at_ms));
                }
                Some((raw, _, at)) if *raw == kept.raw => {
                    assert_eq!(*at, kept.fetched_at_ms);
                    duplicates += 1;
                }
                Some((_, before, at)) => {
                    assert!(*at + 3_600_000 <= kept.fetched_at_ms, "seen later");
                    match (e.deleted, *before == body) {
                        (true, _) => removed += 1,
                        (false, true) => rescored += 1,
                        (false, false) => edited += 1,
                    }
                }
            }
        }
    }
    assert!((18_000..24_000).contains(&total), "{total}");
    let per_mille = |n: i32| n as f64 * 1000.0 / total as f64;
    assert!((5.0..11.0).contains(&per_mille(duplicates)), "{duplicates}");
    assert!((7.0..15.0).contains(&per_mille(edited + rescored + removed)), "{edited} {rescored} {removed}");
    assert!(edited > 0 && rescored > 0 && removed > 0);
    assert!((1.0..3.5).contains(&per_mille(quarantined)), "{quarantined}");
    assert!(titles.len() * 2 > named, "{} unique of {named} headlines", titles.len());
}

/// Mentions by day of one brand and topic, well-formed or not.
fn counts(def: &SampleDef, brand: Brand, topic: Topic) -> Vec<usize> {
    DayRange::new(def.start, def.end.unwrap())
        .unwrap()
        .iter()
        .map(|day| {
            let mut n = 0;
            generate_day(def, day, &TimeZone::UTC, &mut |r| {
                n += usize::from((r.brand, r.topic) == (brand, topic))
            });
            n
        })
        .collect()
}

#[test]
fn the_spike_stands_out_and_the_outage_too() {
    let def = def(500);
    let late = counts(&def, Brand::Amazon, Topic::DeliveryDelay);
    for (slot, n) in late.iter().enumerate() {
        let spike = [18, 19, 20, 63, 64, 65, 83, 84, 85].contains(&slot);
        assert_eq!(spike, is_spike(&def, def.start.plus(slot as i32)), "day {slot}");
        // Against the same weekday in the weeks without a spike.
        let plain: Vec<usize> = (slot % 7..90)
            .step_by(7)
            .filter(|s| ![18, 19, 20, 63, 64, 65, 83, 84, 85].contains(s))
            .map(|s| late[s])
            .collect();
        let ratio = *n as f64 * plain.len() as f64 / plain.iter().sum::<usize>() as f64;
        if spike {
            assert!((3.0..7.5).contains(&ratio), "day {slot}: {ratio:.1} times");
        } else {
            assert!((0.4..2.0).contains(&ratio), "day {slot}: {ratio:.1} times");
        }
    }
    let app = counts(&def, Brand::Cvs, Topic::App);
    assert!(app[30] + app[31] > 3 * (app[23] + app[24]), "{app:?}");
}

#[test]
fn high_risk_posts_are_planted_on_their_days() {
    let def = def(5);
    for (topic, every, at) in [
        (Topic::WrongMedication, 7, 3),
        (Topic::AdverseReaction, 11, 5),
        (Topic::PrivacyBreach, 13, 6),
        (Topic::LegalThreat, 17, 8),
        (Topic::WrongDose, 19, 9),
    ] {
        for slot in 0..90 {
            // Threads live on in comments and crossposts, and a record may be told twice.
            let first: HashSet<String> = records(&def, def.start.plus(slot))
                .into_iter()
                .filter(|k| (k.topic, k.brand, k.post_type) == (topic, Brand::Amazon, PostType::Post))
                .filter(|k| !k.raw.contains("crosspost"))
                .map(|k| k.raw)
                .collect();
            assert_eq!(first.len(), usize::from(slot % every == at), "{topic:?} on day {slot}");
        }
    }
}

#[test]
fn thirty_days_hold_every_topic_brand_and_platform() {
    let def = SampleDef { end: Some(day("2026-08-30")), ..def(400) };
    let (mut topics, mut issues, mut brands): (HashMap<Topic, u32>, BTreeSet<&str>, HashMap<Brand, u32>) =
        Default::default();
    let mut platforms: BTreeMap<&str, (u32, usize)> = BTreeMap::new();
    let mut types: HashSet<PostType> = HashSet::new();
    let mut all = 0;
    for day in DayRange::new(def.start, day("2026-08-30")).unwrap().iter() {
        generate_day(&def, day, &TimeZone::UTC, &mut |r| {
            *topics.entry(r.topic).or_default() += 1;
            *brands.entry(r.brand).or_default() += 1;
            issues.extend(r.topic.issue_type());
            let place = platforms.entry(r.platform).or_default();
            *place = (place.0 + 1, place.1 + r.raw.len());
            types.insert(r.post_type);
            all += 1;
        });
    }
    for topic in Topic::ALL {
        assert!(topics.contains_key(topic), "{topic:?}");
    }
    for issue in [
        "DELIVERY_DELAY",
        "PRICING",
        "TRUST_ISSUE",
        "INSURANCE",
        "REFILL",
        "PRESCRIPTION_TRANSFER",
        "SUPPORT",
        "STOCK",
        "APP_ACCOUNT",
        "SAFETY",
        "GENERAL_FEEDBACK",
        "NOT_CUSTOMER_VOICE",
    ] {
        assert!(issues.contains(issue), "{issue}");
    }
    assert_eq!(
        platforms.keys().copied().collect::<BTreeSet<_>>(),
        super::platforms().iter().copied().collect()
    );
    assert_eq!(types.len(), 3, "posts, comments and reviews");
    let off = f64::from(brands[&Brand::Other]) / f64::from(all);
    assert!((0.10..0.20).contains(&off), "{off}");
    let size = platforms.values().map(|p| p.1).sum::<usize>() / all as usize;
    assert!((350..650).contains(&size), "{size} bytes a record");
}

/// The default brands' phrases, in a few lines: what the real matcher decides, for this test.
fn brand_of(title: &str, body: &str, link_title: &str, platform: &str, channel: &str) -> Brand {
    let text = format!("{title} {body} {link_title}").to_lowercase().replace(['\u{a0}', '\n'], " ");
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '\'').collect();
    let any = |list: &[&str]| words.iter().any(|w| list.contains(w));
    let about = any(&["pharmacy", "rx", "scripts"])
        || words.iter().any(|w| w.starts_with("prescription") || w.starts_with("refill"));
    if any(&["pillpack"])
        || (any(&["amazon"]) && about)
        || channel == "AmazonPharmacy"
        || platform == "app_store"
    {
        Brand::Amazon
    } else if any(&["cvs"]) {
        Brand::Cvs
    } else {
        Brand::Other
    }
}

#[test]
fn posts_name_their_brand_and_off_brand_posts_do_not() {
    let def = SampleDef { malformed_per_mille: 0, late_per_mille: 0, ..def(4000) };
    let (mut wrong, mut all) = (0, 0);
    for kept in records(&def, day("2026-08-11")) {
        let record = kept.record();
        let e = map(&record, "sample", 1).unwrap();
        let text = |t: &Option<crate::envelope::Text<'_>>| {
            t.as_ref().map_or(String::new(), |t| t.as_str().to_string())
        };
        let found =
            brand_of(&text(&e.title), &text(&e.body), &text(&e.link_title), kept.platform, &text(&e.channel));
        all += 1;
        match (kept.brand, found) {
            (Brand::Other, Brand::Other) => {}
            // A post about the competitor may compare it with the brand.
            (Brand::Cvs, Brand::Cvs | Brand::Amazon) => {}
            (Brand::Amazon, Brand::Amazon) => {}
            _ => {
                wrong += 1;
                assert!(kept.brand != Brand::Other, "off-brand talk names a brand: {}", kept.raw);
                assert!(wrong * 200 < all + 1000, "does not name its brand: {}", kept.raw);
            }
        }
    }
}

#[test]
fn days_follow_the_time_zone() {
    // Apia skipped 2011-12-30; Lord Howe changes its clock by half an hour; a day in Kathmandu
    // begins at a quarter past.
    let def = SampleDef::new("s", 200, 1, day("2011-12-25"), None);
    let apia = TimeZone::get("Pacific/Apia").unwrap();
    assert!(records_in(&def, day("2011-12-30"), &apia).is_empty());
    assert!(!records_in(&def, day("2011-12-31"), &apia).is_empty());
    for (zone, text) in [
        ("Australia/Lord_Howe", "2012-04-01"),
        ("Asia/Kathmandu", "2012-02-29"),
        ("America/New_York", "2012-03-11"),
        ("America/New_York", "2012-11-04"),
    ] {
        let tz = TimeZone::get(zone).unwrap();
        let mut hours = BTreeSet::new();
        let mut last = i64::MIN;
        for kept in records_in(
            &SampleDef { late_per_mille: 0, duplicate_per_mille: 0, ..def.clone() },
            day(text),
            &tz,
        ) {
            let record = kept.record();
            let Ok(e) = map(&record, "s", 1) else { continue };
            let at = jiff::Timestamp::from_millisecond(e.created_at.unwrap()).unwrap().to_zoned(tz.clone());
            assert_eq!(Day::from_date(at.date()), day(text), "{zone}: {at}");
            assert!(e.created_at.unwrap() >= last, "in order");
            last = e.created_at.unwrap();
            hours.insert(at.hour());
        }
        assert!(hours.len() > 20, "{zone} {hours:?}");
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn any_definition_keeps_its_promises(
            posts in 0u32..300,
            seed in any::<u64>(),
            slot in 0i32..40_000,
            shares in prop::array::uniform4(0u32..=1000),
        ) {
            let start = day("1995-01-01");
            let def = SampleDef {
                malformed_per_mille: shares[0],
                duplicate_per_mille: shares[1],
                late_per_mille: shares[2],
                off_brand_per_mille: shares[3],
                ..SampleDef::new("s", posts, seed, start, None)
            };
            let day = start.plus(slot);
            let all = records(&def, day);
            prop_assert_eq!(hash(&all), hash(&records(&def, day)));
            for (i, kept) in all.iter().enumerate() {
                let record = kept.record();
                if let Ok(e) = map(&record, "s", i as u64) {
                    let created = e.created_at.unwrap();
                    prop_assert_eq!(created.div_euclid(86_400_000), i64::from(day.0));
                    prop_assert!(e.fetched_at >= created);
                }
            }
        }

        #[test]
        fn mapping_garbage_never_panics(raw in ".{0,200}", platform in 0usize..5) {
            let platform = super::platforms().get(platform).copied().unwrap_or("nowhere");
            let record = SampleRecord {
                platform,
                post_type: PostType::Post,
                raw: &raw,
                fetched_at_ms: 0,
                brand: Brand::Other,
                topic: Topic::OffTopic,
            };
            let _ = map(&record, "s", 1);
        }
    }
}

/// Run with `cargo test --release --lib sample_speed -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn sample_speed() {
    let def = def(200_000);
    let (mut n, mut bytes, mut mapped) = (0u64, 0u64, 0u64);
    let started = std::time::Instant::now();
    for text in ["2026-08-04", "2026-08-05"] {
        generate_day(&def, day(text), &TimeZone::UTC, &mut |r| {
            n += 1;
            bytes += r.raw.len() as u64;
        });
    }
    let made = started.elapsed();
    let started = std::time::Instant::now();
    generate_day(&def, day("2026-08-04"), &TimeZone::UTC, &mut |r| {
        mapped += u64::from(map(&r, "sample", 1).is_ok());
    });
    let both = started.elapsed();
    eprintln!(
        "{:.0} records/s, {:.0} MB/s, {} bytes a record; with mapping {:.0} records/s",
        n as f64 / made.as_secs_f64(),
        bytes as f64 / made.as_secs_f64() / 1e6,
        bytes / n,
        mapped as f64 / both.as_secs_f64(),
    );
}
