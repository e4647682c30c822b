//! What a sample post is about, and how often.

use super::corpus::{Corpus, ListId};
use super::rng::Rng;

/// Whom a sample post is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Brand {
    /// Amazon Pharmacy, the default brand.
    Amazon,
    /// CVS, the competitor.
    Cvs,
    /// Neither: such a post matches no brand of the default configuration.
    Other,
}

impl Brand {
    /// The key in the default configuration.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Brand::Amazon => Some("amazon_pharmacy"),
            Brand::Cvs => Some("cvs"),
            Brand::Other => None,
        }
    }
}

macro_rules! topics {
    ($($variant:ident, $key:literal, $issue:expr, $amazon:literal, $cvs:literal, $review:literal, $app:literal, $news:literal, $mood:literal;)*) => {
        /// What a sample post was written about. What the taxonomy makes of its words is
        /// another matter; tests compare the two.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Topic {
            $(#[doc = concat!("The lists `", $key, "` of the corpus.")] $variant,)*
        }

        impl Topic {
            /// Every topic.
            pub const ALL: &'static [Topic] = &[$(Topic::$variant),*];

            /// The name of its lists in the corpus.
            pub fn key(self) -> &'static str {
                match self { $(Topic::$variant => $key,)* }
            }

            /// The issue type of the default taxonomy that its words mean; `None` where more
            /// than one is right.
            pub fn issue_type(self) -> Option<&'static str> {
                match self { $(Topic::$variant => $issue,)* }
            }

            /// How many in a hundred of those who write about it are content.
            pub(super) fn content_percent(self) -> u32 {
                match self { $(Topic::$variant => $mood,)* }
            }

            /// How often, on a platform of this kind, for this brand.
            fn weight(self, brand: Brand, forum: Forum) -> u32 {
                let (amazon, cvs, review, app, news) = match self {
                    $(Topic::$variant => ($amazon, $cvs, $review, $app, $news),)*
                };
                let base: u32 = match brand { Brand::Amazon => amazon, Brand::Cvs | Brand::Other => cvs };
                base * match forum { Forum::Talk => 10, Forum::Reviews => review, Forum::App => app, Forum::News => news }
            }
        }
    };
}

// variant, key, issue type, weight for Amazon, for CVS, then tenths of that weight in reviews,
// app reviews and tech news, then the percentage of content voices.
topics! {
    DeliveryDelay, "DELIVERY_DELAY", Some("DELIVERY_DELAY"), 150, 40, 14, 5, 5, 0;
    Pricing, "PRICING", Some("PRICING"), 130, 110, 10, 3, 12, 50;
    Trust, "TRUST_ISSUE", Some("TRUST_ISSUE"), 50, 45, 18, 5, 8, 0;
    Insurance, "INSURANCE", Some("INSURANCE"), 90, 100, 6, 4, 3, 5;
    Refill, "REFILL", Some("REFILL"), 90, 130, 8, 10, 2, 5;
    Transfer, "PRESCRIPTION_TRANSFER", Some("PRESCRIPTION_TRANSFER"), 70, 70, 6, 4, 2, 10;
    Support, "SUPPORT", Some("SUPPORT"), 90, 140, 16, 8, 4, 20;
    Stock, "STOCK", Some("STOCK"), 70, 110, 7, 2, 5, 10;
    App, "APP_ACCOUNT", Some("APP_ACCOUNT"), 70, 60, 6, 70, 6, 15;
    Packaging, "PACKAGING_DAMAGE", Some("PACKAGING_DAMAGE"), 22, 6, 14, 2, 1, 0;
    Prescriber, "PRESCRIBER_COMMUNICATION", Some("PRESCRIBER_COMMUNICATION"), 30, 35, 6, 3, 1, 5;
    Safety, "SAFETY", Some("SAFETY"), 12, 14, 8, 1, 1, 0;
    WrongMedication, "WRONG_MEDICATION", Some("SAFETY"), 0, 2, 10, 0, 0, 0;
    WrongDose, "WRONG_DOSE", Some("SAFETY"), 0, 2, 10, 0, 0, 0;
    AdverseReaction, "ADVERSE_REACTION", Some("SAFETY"), 0, 2, 10, 0, 0, 0;
    PrivacyBreach, "PRIVACY_BREACH", None, 0, 1, 10, 0, 0, 0;
    LegalThreat, "LEGAL_THREAT", None, 0, 1, 10, 0, 0, 0;
    General, "GENERAL_FEEDBACK", Some("GENERAL_FEEDBACK"), 110, 90, 10, 12, 10, 70;
    News, "NOT_CUSTOMER_VOICE", Some("NOT_CUSTOMER_VOICE"), 45, 42, 0, 0, 70, 50;
    OffTopic, "OFF_TOPIC", None, 0, 0, 0, 0, 0, 50;
}

/// The kind of place, as far as topics differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Forum {
    Talk,
    Reviews,
    App,
    News,
}

impl Forum {
    const ALL: [Forum; 4] = [Forum::Talk, Forum::Reviews, Forum::App, Forum::News];
}

/// The lists of one topic.
#[derive(Clone, Copy, Default)]
pub(super) struct TopicLists {
    pub title: ListId,
    pub open: ListId,
    pub detail: ListId,
    pub close: ListId,
}

/// Cumulative weights of every (brand, forum), and the lists of every topic.
pub(super) struct Topics {
    weights: [[[u32; Topic::ALL.len()]; 4]; 3],
    lists: [TopicLists; Topic::ALL.len()],
}

impl Topics {
    /// Looks the topics up in a corpus.
    pub fn of(corpus: &Corpus) -> Self {
        let mut weights = [[[0; Topic::ALL.len()]; 4]; 3];
        for (row, brand) in weights.iter_mut().zip([Brand::Amazon, Brand::Cvs, Brand::Other]) {
            for (cell, forum) in row.iter_mut().zip(Forum::ALL) {
                let mut sum = 0;
                for (total, topic) in cell.iter_mut().zip(Topic::ALL) {
                    sum += topic.weight(brand, forum);
                    *total = sum;
                }
            }
        }
        let mut lists = [TopicLists::default(); Topic::ALL.len()];
        for (entry, topic) in lists.iter_mut().zip(Topic::ALL) {
            let list = |part: &str| corpus.list(&format!("{}.{part}", topic.key()));
            *entry = TopicLists {
                title: list("title"),
                open: list("open"),
                detail: list("detail"),
                close: list("close"),
            };
        }
        Self { weights, lists }
    }

    /// The lists of a topic.
    pub fn lists(&self, topic: Topic) -> TopicLists {
        self.lists[topic as usize]
    }

    /// A topic by its weight.
    pub fn draw(&self, brand: Brand, forum: Forum, rng: &mut Rng) -> Topic {
        let cumulative = &self.weights[brand as usize][forum as usize];
        let at = rng.below(cumulative[cumulative.len() - 1]);
        Topic::ALL[cumulative.partition_point(|&sum| sum <= at)]
    }

    /// How many in a million posts of a brand and forum are about a topic.
    pub fn parts_per_million(&self, brand: Brand, forum: Forum, topic: Topic) -> u64 {
        let cumulative = &self.weights[brand as usize][forum as usize];
        let before = (topic as usize).checked_sub(1).map_or(0, |i| cumulative[i]);
        let all = u64::from(cumulative[cumulative.len() - 1]).max(1);
        u64::from(cumulative[topic as usize] - before) * 1_000_000 / all
    }
}
