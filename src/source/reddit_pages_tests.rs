//! Paging against a simulated subreddit: what is called covered was seen.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::net::{Cursor, Reach, Reached, Stream};
use super::reddit_pages::*;

const NOW: i64 = 1_793_491_200_000;

fn plan(joined_ms: Option<i64>) -> Plan {
    Plan {
        joined_ms,
        needed_ms: NOW - 86_400_000,
        begins_ms: 0,
        starts_ms: 0,
        now_ms: NOW,
        sure: LISTING_SURE,
    }
}

/// Items created so many seconds before now.
fn items(ages: impl IntoIterator<Item = i64>) -> Vec<Item> {
    let item = |age| Item { id: format!("t3_{age}"), created_ms: Some(NOW - age * 1000), pinned: false };
    ages.into_iter().map(item).collect()
}

fn pinned(age: i64) -> Item {
    Item { pinned: true, ..items([age]).remove(0) }
}

const TO: i64 = NOW - LAG_MS;

#[test]
fn a_short_listing_is_everything_there_ever_was() {
    let mut paging = Paging::new(plan(None));
    assert_eq!(paging.page(&items(1..30), None), Step::Over(End::Ended));
    let end = paging.conclude(End::Ended);
    assert_eq!((end.reach, end.covered, end.joined_ms), (Reach::Complete, Some((0, TO)), Some(TO)));
    assert_eq!((paging.oldest_ms, paging.newest_ms), (Some(NOW - 29_000), Some(NOW - 1_000)));
    assert_eq!(paging.newest[..2], ["t3_1", "t3_2"]);
    // Nothing at all is an answer, too.
    let mut paging = Paging::new(plan(None));
    assert_eq!(paging.page(&[], None), Step::Over(End::Ended));
    assert_eq!((paging.pages, paging.conclude(End::Ended).covered), (0, Some((0, TO))));
}

#[test]
fn it_goes_on_until_a_whole_page_is_older_than_what_was_seen() {
    let joined = NOW - 3_600_000;
    let mut paging = Paging::new(plan(Some(joined)));
    // The first known item, pinned ones and a mixed page end nothing.
    let mut first = items(3_500..3_600);
    first.push(pinned(9_000_000));
    assert_eq!(paging.page(&first, Some("a")), Step::More("a".into()));
    assert_eq!(paging.page(&items(3_600..3_700), Some("b")), Step::More("b".into()));
    assert_eq!(paging.page(&[pinned(9_000_001)], Some("c")), Step::More("c".into()));
    assert_eq!(paging.page(&items(4_190..4_290), Some("d")), Step::More("d".into()));
    assert_eq!(paging.page(&items(4_290..4_390), Some("e")), Step::Over(End::Passed));
    let end = paging.conclude(End::Passed);
    assert_eq!((end.reach, end.covered, end.joined_ms), (Reach::Complete, Some((joined, TO)), Some(TO)));
}

#[test]
fn a_first_reading_ends_where_the_project_begins() {
    let starts_ms = NOW - 3_600_000;
    let first = |joined_ms| Paging::new(Plan { starts_ms, ..plan(joined_ms) });
    let mut paging = first(None);
    assert_eq!(paging.page(&items(3_550..3_650), Some("a")), Step::More("a".into()));
    assert_eq!(paging.page(&items(4_190..4_290), Some("b")), Step::More("b".into()));
    assert_eq!(paging.page(&items(4_290..4_390), Some("c")), Step::Over(End::Passed));
    let end = paging.conclude(End::Passed);
    // Items are in order but for the last few, of which the youngest counts.
    let seen = NOW - 4_387_000 + 1;
    assert_eq!((end.reach, end.covered, end.joined_ms), (Reach::Complete, Some((seen, TO)), Some(TO)));
    // What was seen before the project's beginning does not join what was seen since.
    let mut paging = first(Some(NOW - 90_000_000));
    assert_eq!(paging.page(&items(4_290..4_390), Some("a")), Step::Over(End::Passed));
    assert_eq!(paging.conclude(End::Passed).covered, Some((seen, TO)));
}

#[test]
fn a_last_page_of_what_was_shown_before_is_the_end() {
    let mut paging = Paging::new(plan(None));
    assert_eq!(paging.page(&items(1..101), Some("a")), Step::More("a".into()));
    assert_eq!(paging.page(&items(90..101), None), Step::Over(End::Ended));
    let end = paging.conclude(End::Ended);
    assert_eq!((end.reach, end.reason, end.covered), (Reach::Complete, None, Some((0, TO))));
    // A page that goes on is none.
    let mut paging = Paging::new(plan(None));
    assert_eq!(paging.page(&items(1..101), Some("a")), Step::More("a".into()));
    assert_eq!(paging.page(&items(1..101), Some("b")), Step::Over(End::Loop));
    // And where such listings end, it ends whatever there is.
    let mut paging = Paging::new(plan(None));
    for n in 0..9 {
        let page = items(n * 100 + 1..n * 100 + 101);
        assert_eq!(paging.page(&page, Some(&format!("{n}"))), Step::More(format!("{n}")));
    }
    assert_eq!(paging.page(&items(890..901), None), Step::Over(End::Capped));
}

#[test]
fn the_limit_of_listings_is_no_end() {
    let pages = |age: i64| {
        let mut paging = Paging::new(plan(None));
        for n in 0..10 {
            let page = items((0..100).map(|i| (n * 100 + i + 1) * age));
            assert_eq!(paging.page(&page, Some(&format!("{n}"))), Step::More(format!("{n}")));
        }
        // A full last page keeps its cursor.
        assert_eq!(paging.page(&[], None), Step::Over(End::Capped));
        paging.conclude(End::Capped)
    };
    // It came past the start of the day.
    let end = pages(100);
    let from = NOW - 998 * 100_000 + 1;
    assert_eq!((end.reach, end.covered), (Reach::Complete, Some((from, TO))));
    let end = pages(10);
    let from = NOW - 998 * 10_000 + 1;
    assert_eq!((end.reach, end.covered, end.joined_ms), (Reach::Partial, Some((from, TO)), Some(TO)));
    assert_eq!(end.reason, Some("the listing ended at its limit before the start of the day"));
    // Reddit leaves removed items out: pages are short, the limit is the same.
    let mut paging = Paging::new(plan(None));
    for n in 0..9 {
        let _ = paging.page(&items((n * 40..n * 40 + 40).map(|i| i + 1)), Some(&format!("{n}")));
    }
    assert_eq!(paging.page(&items(400..440), None), Step::Over(End::Capped));
}

#[test]
fn empty_pages_are_passed_and_end_some_time() {
    let mut paging = Paging::new(plan(None));
    assert_eq!(paging.page(&items(1..50), Some("a")), Step::More("a".into()));
    assert_eq!(paging.page(&[], Some("b")), Step::More("b".into()));
    assert_eq!(paging.page(&items(50..90), Some("c")), Step::More("c".into()));
    for n in 0..9 {
        assert_eq!(paging.page(&[], Some(&n.to_string())), Step::More(n.to_string()));
    }
    assert_eq!(paging.page(&[], Some("x")), Step::Over(End::Empty));
    let end = paging.conclude(End::Empty);
    assert_eq!((end.reach, end.covered, end.joined_ms), (Reach::Partial, Some((NOW - 86_999, TO)), None));
}

#[test]
fn repeating_pages_are_found_within_two() {
    // A forgotten cursor begins at the top, where something is new.
    let mut paging = Paging::new(plan(None));
    let _ = paging.page(&items(100..200), Some("t3_199"));
    let _ = paging.page(&items(200..300), Some("t3_299"));
    assert_eq!(paging.page(&items(98..198), Some("t3_197")), Step::More("t3_197".into()));
    assert_eq!(paging.page(&items(198..298), Some("t3_297")), Step::Over(End::Loop));
    let end = paging.conclude(End::Loop);
    assert_eq!((end.reach, end.covered), (Reach::Partial, Some((NOW - 297_000 + 1, TO))));
    assert_eq!(end.joined_ms, None);
    // A cursor that comes again.
    let mut paging = Paging::new(plan(None));
    let _ = paging.page(&[], Some("a"));
    assert_eq!(paging.page(&[], Some("a")), Step::Over(End::Loop));
    // The same page again.
    let mut paging = Paging::new(plan(Some(NOW - 3_600_000)));
    let _ = paging.page(&items(1..100), Some("a"));
    assert_eq!(paging.page(&items(1..100), Some("b")), Step::Over(End::Loop));
}

#[test]
fn a_reading_that_breaks_off_leaves_its_gap_to_the_next_one() {
    let joined = NOW - 3_600_000;
    let mut paging = Paging::new(plan(Some(joined)));
    let _ = paging.page(&items(1..100), Some("a"));
    let end = paging.conclude(End::Broken);
    assert_eq!((end.covered, end.joined_ms), (Some((NOW - 96_999, TO)), Some(joined)));
    // It broke off after it had joined.
    let _ = paging.page(&items(3_590..3_690), Some("b"));
    let end = paging.conclude(End::Broken);
    assert_eq!((end.covered, end.joined_ms), (Some((joined, TO)), Some(joined)));
}

#[test]
fn windows_of_searches_span_the_gap() {
    let minute = 60_000;
    for (gap, t) in [
        (0, "hour"),
        (49 * minute, "hour"),
        (51 * minute, "day"),
        (23 * 60 * minute, "day"),
        (24 * 60 * minute, "week"),
        (7 * 1440 * minute, "month"),
        (28 * 1440 * minute, "year"),
        (365 * 1440 * minute, "all"),
    ] {
        assert_eq!(window(Some(NOW - gap), NOW), t, "{gap}");
    }
    assert_eq!(window(None, NOW), "all");
}

/// A post of the simulated subreddit.
#[derive(Clone, Debug)]
struct Post {
    created_ms: i64,
    /// When listings begin to show it.
    shows_ms: i64,
    /// Reddit counts it and leaves it out.
    hidden: bool,
}

#[derive(Clone, Debug)]
struct Poll {
    wait_s: i64,
    /// The page, if any, that fails; or whose cursor is forgotten.
    fault: Option<(usize, bool)>,
}

const CAP: usize = 1_000;

/// What the listing shows at a moment, newest first: positions in `posts`.
fn shown(posts: &[Post], now_ms: i64) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..posts.len()).filter(|i| posts[*i].shows_ms <= now_ms).collect();
    shown.sort_by_key(|i| std::cmp::Reverse((posts[*i].created_ms / 1000, *i)));
    shown.truncate(CAP);
    shown
}

fn item(posts: &[Post], at: usize) -> Item {
    Item {
        id: format!("t3_{at}"),
        created_ms: Some(posts[at].created_ms.div_euclid(1000) * 1000),
        pinned: false,
    }
}

/// One reading; gives back what it came to, and adds what it saw.
fn poll(
    posts: &[Post],
    pins: &[usize],
    before: &Stream,
    now_ms: i64,
    fault: Option<(usize, bool)>,
    captured: &mut HashSet<usize>,
) -> Reached {
    let joined_ms = before.cursor.joined_ms;
    let plan = Plan {
        joined_ms,
        needed_ms: now_ms - 43_200_000,
        begins_ms: 0,
        starts_ms: 0,
        now_ms,
        sure: LISTING_SURE,
    };
    let mut paging = Paging::new(plan);
    let mut after: Option<usize> = None;
    let mut number = 0;
    let end = loop {
        // Each page takes two seconds, in which posts go on arriving.
        let listing = shown(posts, now_ms + 2_000 * number as i64);
        let start = match fault {
            Some((page, true)) if page == number => break End::Broken,
            Some((page, false)) if page == number => 0,
            _ => after.map_or(0, |after| listing.iter().position(|at| *at == after).map_or(0, |at| at + 1)),
        };
        let page = &listing[start.min(listing.len())..(start + PAGE).min(listing.len())];
        let mut items: Vec<Item> =
            page.iter().filter(|at| !posts[**at].hidden).map(|at| item(posts, *at)).collect();
        if start == 0 {
            for pin in pins.iter().filter(|pin| posts[**pin].shows_ms <= now_ms) {
                items.insert(0, Item { pinned: true, ..item(posts, *pin) });
            }
        }
        captured.extend(items.iter().map(|item| item.id[3..].parse::<usize>().unwrap()));
        after = if page.len() == PAGE { page.last().copied() } else { None };
        number += 1;
        match paging.page(&items, after.map(|at| format!("t3_{at}")).as_deref()) {
            Step::More(_) => {}
            Step::Over(end) => break end,
        }
    };
    let conclusion = paging.conclude(end);
    Reached {
        reach: conclusion.reach,
        reason: conclusion.reason.map(String::from),
        covered: conclusion.covered,
        oldest_ms: paging.oldest_ms,
        newest_ms: paging.newest_ms,
        pages: paging.pages,
        requests: number as u32,
        retry_at_ms: None,
        cursor: Cursor { joined_ms: conclusion.joined_ms, ..Cursor::default() },
    }
}

fn posts() -> impl Strategy<Value = Vec<Post>> {
    // Bursts and quiet times.
    let gap = prop_oneof![6 => 0i64..3_000, 3 => 0i64..120_000, 1 => 0i64..7_200_000];
    let post = (gap, 0i64..58_000, prop::bool::weighted(0.1));
    // From quiet subreddits to ones where the listing's limit passes between two readings.
    let pace = prop_oneof![Just(1i64), Just(10), Just(100)];
    (prop::collection::vec(post, 0..3_000), pace).prop_map(|(all, pace)| {
        let mut at = NOW;
        let post = |(gap, delay, hidden)| {
            at += gap / pace;
            Post { created_ms: at, shows_ms: at + delay, hidden }
        };
        all.into_iter().map(post).collect()
    })
}

fn polls() -> impl Strategy<Value = Vec<Poll>> {
    let wait = prop_oneof![4 => 30i64..1_800, 2 => 600i64..20_000, 1 => 0i64..90_000];
    let fault = prop::option::weighted(0.3, (0usize..12, any::<bool>()));
    prop::collection::vec((wait, fault).prop_map(|(wait_s, fault)| Poll { wait_s, fault }), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_is_covered_was_captured(posts in posts(), polls in polls(), pins in prop::collection::vec(0usize..50, 0..3)) {
        let pins: Vec<usize> = pins.into_iter().filter(|at| *at < posts.len()).collect();
        let mut stream = Stream::default();
        let mut captured = HashSet::new();
        let mut now_ms = NOW + 500;
        for Poll { wait_s, fault } in &polls {
            now_ms += wait_s * 1000;
            let reached = poll(&posts, &pins, &stream, now_ms, *fault, &mut captured);
            stream.apply(&reached, now_ms, 0);
            for (at, post) in posts.iter().enumerate().filter(|(_, post)| !post.hidden) {
                let created = post.created_ms.div_euclid(1000) * 1000;
                prop_assert!(
                    !stream.covers(created, created + 1) || captured.contains(&at),
                    "post {at} of {created} is covered by {:?} and was not captured", stream.covered
                );
            }
        }
    }

    #[test]
    fn readings_that_are_often_enough_leave_no_gap(posts in posts(), waits in prop::collection::vec(30i64..900, 1..60)) {
        let mut stream = Stream::default();
        let mut captured = HashSet::new();
        let mut now_ms = NOW + 500;
        let mut arrived = BTreeMap::new();
        for wait_s in waits {
            let from = now_ms - 20 * 60_000;
            now_ms += wait_s * 1000;
            let count = posts.iter().filter(|post| (from..now_ms).contains(&post.created_ms)).count();
            arrived.insert(now_ms, count);
            let reached = poll(&posts, &[], &stream, now_ms, None, &mut captured);
            stream.apply(&reached, now_ms, 0);
        }
        if arrived.values().all(|count| *count < 800) {
            prop_assert_eq!(stream.covered.len(), 1, "{:?}", stream.covered);
            let to = (now_ms - LAG_MS).div_euclid(1000) * 1000;
            prop_assert_eq!(stream.seen_until(), Some(to));
        }
    }
}
