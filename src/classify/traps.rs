//! The shipped taxonomy against written posts: what it must get right, traps first.

use super::*;

const TAXONOMY: &str = include_str!("../../assets/issue_taxonomy.toml");
const POSTS: &str = include_str!("traps.toml");

#[derive(serde::Deserialize)]
struct Posts {
    post: Vec<Post>,
}

#[derive(serde::Deserialize)]
struct Post {
    text: String,
    issue: String,
    /// Issue types that must not even be a runner-up.
    #[serde(default)]
    never: Vec<String>,
}

#[test]
fn every_written_post_gets_its_issue_type() {
    let (taxonomy, warnings) = Taxonomy::parse(TAXONOMY).unwrap();
    assert!(warnings.is_empty(), "{warnings:#?}");
    let posts: Posts = toml::from_str(POSTS).unwrap();
    assert!(posts.post.len() >= 120, "{}", posts.post.len());
    let mut scratch = Scratch::new();
    let mut wrong = Vec::new();
    for post in &posts.post {
        assert!(taxonomy.issue(&post.issue).is_some(), "{}", post.issue);
        let found = taxonomy.classify(&norm(&post.text), &mut scratch);
        let id = |i: u16| taxonomy.issues()[usize::from(i)].id.as_str();
        let forbidden = found.also.iter().any(|&i| post.never.iter().any(|n| n == id(i)));
        if id(found.issue) != post.issue || forbidden {
            let why: Vec<String> = taxonomy
                .explain(&post.text)
                .iter()
                .map(|c| {
                    format!("{} by {:?} minus {:?}", c.issue, c.rule.as_deref().unwrap_or(""), c.excluded_by)
                })
                .collect();
            wrong.push(format!("{:?}\n    should be {}, is {why:?}", post.text, post.issue));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), posts.post.len(), wrong.join("\n"));
}

#[test]
fn every_issue_type_has_posts() {
    let (taxonomy, _) = Taxonomy::parse(TAXONOMY).unwrap();
    let posts: Posts = toml::from_str(POSTS).unwrap();
    for issue in taxonomy.issues() {
        let n = posts.post.iter().filter(|p| p.issue == issue.id).count();
        assert!(n >= 4, "{} has {n}", issue.id);
        assert!(!issue.description.is_empty(), "{}", issue.id);
    }
    assert_eq!(taxonomy.issues().iter().filter(|i| !i.customer_voice).count(), 1);
}

/// Ids are in tables and dashboards; priorities decide what wins. Neither changes by accident.
#[test]
fn ids_and_their_order() {
    let (taxonomy, _) = Taxonomy::parse(TAXONOMY).unwrap();
    let mut issues: Vec<_> = taxonomy.issues().iter().collect();
    issues.sort_by_key(|i| std::cmp::Reverse(i.priority));
    let ids: Vec<&str> = issues.iter().map(|i| i.id.as_str()).collect();
    insta::assert_snapshot!(ids.join(" > "), @"NOT_CUSTOMER_VOICE > SAFETY > PACKAGING_DAMAGE > PRESCRIPTION_TRANSFER > DELIVERY_DELAY > STOCK > INSURANCE > REFILL > PRESCRIBER_COMMUNICATION > APP_ACCOUNT > PRICING > TRUST_ISSUE > SUPPORT > GENERAL_FEEDBACK");
}

/// The rule stands in a column: it must be readable there.
#[test]
fn rules_are_short() {
    let (taxonomy, _) = Taxonomy::parse(TAXONOMY).unwrap();
    let mut scratch = Scratch::new();
    let found = taxonomy.classify(&norm("It is LATE"), &mut scratch);
    assert_eq!(found.rule.map(|r| taxonomy.rule_text(r)), Some("DELIVERY_DELAY: late"));
    // Of a phrase with choices only what the post has of it stands there.
    let found = taxonomy.classify(&norm("Everything that I had from Publix"), &mut scratch);
    assert_eq!(found.chosen.as_deref(), Some("PRESCRIPTION_TRANSFER: everything near from publix"));
    let rules = (0..u16::MAX).map(|r| taxonomy.rule_text(r)).take_while(|r| !r.is_empty());
    for rule in rules.filter(|rule| !rule.contains('(')) {
        assert!(rule.len() <= 80, "{rule}");
    }
}
