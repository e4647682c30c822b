//! What the fake model server shall do otherwise than well, and when.
//!
//! A rule is a condition and some behaviours; all rules that fit a call apply, in the order in
//! which they were given. Pure: no socket, no clock.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// What a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `:generateContent`
    Generate,
    /// `/chat/completions`
    Chat,
    /// `:batchGenerateContent`
    BatchCreate,
    /// `GET batches/…`
    BatchPoll,
    /// `:cancel`
    BatchCancel,
    /// One request inside a batch; no call of its own.
    BatchItem,
    /// Lists of models and of batches, `:countTokens`, deleting a batch.
    Free,
    /// Nothing that the server knows.
    Unknown,
}

/// What a condition looks at.
pub struct Look<'a> {
    pub kind: Kind,
    /// From 1: its number among the calls to the model (`Generate` and `Chat` together), or
    /// among the calls or items of its own kind.
    pub number: usize,
    pub model: &'a str,
    pub posts: &'a [Post],
    pub body: &'a Value,
}

/// A post as it stood in a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    /// As it was written: a string or a number.
    pub id: Value,
    /// The name of the field that held the id.
    pub id_field: String,
    /// All fields of text but the id, in the order of the request's JSON.
    pub fields: Vec<(String, String)>,
}

impl Post {
    /// The longest field.
    pub fn text(&self) -> &str {
        self.fields.iter().map(|(_, text)| text.as_str()).max_by_key(|text| text.len()).unwrap_or("")
    }
}

type Condition = dyn Fn(&Look) -> bool + Send + Sync;

/// When a rule applies.
#[derive(Clone)]
pub struct When(Arc<Condition>);

impl When {
    /// Any condition.
    pub fn is(condition: impl Fn(&Look) -> bool + Send + Sync + 'static) -> When {
        When(Arc::new(condition))
    }

    /// Every call to the model and every request inside a batch.
    pub fn always() -> When {
        When::is(|look| matches!(look.kind, Kind::Generate | Kind::Chat | Kind::BatchItem))
    }

    /// The `number`-th call to the model, from 1.
    pub fn call(number: usize) -> When {
        When::calls(number..=number)
    }

    /// Those calls to the model, from 1.
    pub fn calls(numbers: std::ops::RangeInclusive<usize>) -> When {
        When::is(move |look| {
            matches!(look.kind, Kind::Generate | Kind::Chat) && numbers.contains(&look.number)
        })
    }

    /// The `number`-th call or item of a kind, from 1.
    pub fn nth(kind: Kind, number: usize) -> When {
        When::is(move |look| look.kind == kind && look.number == number)
    }

    /// The pack holds a post with this text.
    pub fn text(part: &str) -> When {
        let part = part.to_owned();
        When::is(move |look| {
            look.posts.iter().any(|post| post.fields.iter().any(|(_, text)| text.contains(&part)))
        })
    }

    /// The pack holds more posts than this.
    pub fn pack_over(posts: usize) -> When {
        When::is(move |look| look.posts.len() > posts)
    }

    /// So many calls to the model of a hundred, by their number and a seed.
    pub fn sometimes(seed: u64, percent: u64) -> When {
        When::is(move |look| {
            let mut chance = (look.number as u64 ^ seed.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chance = (chance ^ (chance >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            matches!(look.kind, Kind::Generate | Kind::Chat) && (chance >> 32) % 100 < percent
        })
    }

    /// Both.
    pub fn and(self, other: When) -> When {
        When::is(move |look| (self.0)(look) && (other.0)(look))
    }
}

/// A condition, what follows from it, and how often.
#[derive(Clone)]
pub struct Rule {
    when: When,
    /// How many calls it is still good for; `None` is for ever.
    left: Option<usize>,
    then: Vec<Behaviour>,
}

impl Rule {
    pub fn new(when: When, then: impl IntoIterator<Item = Behaviour>) -> Rule {
        Rule { when, left: None, then: then.into_iter().collect() }
    }

    /// It applies to the first `times` calls that fit, and no more.
    pub fn times(mut self, times: usize) -> Rule {
        self.left = Some(times);
        self
    }
}

/// What applies to a call; counts down the rules that are limited.
pub fn plan(rules: &mut [Rule], look: &Look) -> Vec<Behaviour> {
    let mut plan = Vec::new();
    for rule in rules {
        if rule.left == Some(0) || !(rule.when.0)(look) {
            continue;
        }
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        plan.extend(rule.then.iter().cloned());
    }
    plan
}

/// One way in which the service, the model or the network misbehaves.
///
/// What one API does not have, it ignores: the other one knows no parts, Gemini no refusals but
/// blocked prompts.
///
/// Billed means: the tokens were spent and stand in the bill. Answers that the client cannot
/// have had whole are billed as lost.
#[derive(Clone, Debug, PartialEq)]
pub enum Behaviour {
    // Refused by the service: nothing is billed.
    /// 429 with `RetryInfo.retryDelay`, such as `"38s"` or `"0.5s"`.
    RetryInfo(&'static str),
    /// 429 with a quota by the minute, and `RetryInfo` when there is a delay.
    QuotaPerMinute(Option<&'static str>),
    /// 429 with a quota by the minute and one by the day, and `RetryInfo` when there is a delay.
    QuotaPerDay(Option<&'static str>),
    /// 429 without details.
    BareRateLimit,
    /// 429 with a web page as its body.
    HtmlRateLimit,
    /// 429 with the header `Retry-After`, in seconds or as a date.
    RetryAfter(&'static str),
    /// 408, 500, 502, 503 or 504 in the service's own form.
    Status(u16),
    /// 403 `PERMISSION_DENIED`.
    Forbidden,
    /// 400 because of an unknown field.
    UnknownField,
    /// 400 with the reason `API_KEY_INVALID` (401 in the other API).
    KeyInvalid,
    /// 400 `FAILED_PRECONDITION`: not offered at this place.
    PlaceNotSupported,

    // Endings of the model: billed.
    /// Cut in the middle of the JSON.
    MaxTokensCut,
    /// Thinking has used up everything; no text.
    MaxTokensEmpty,
    /// This finish reason, and no content.
    Finish(&'static str),
    /// This finish reason, and the whole answer.
    FinishWithAnswer(&'static str),
    /// This block reason, no candidates, the prompt is billed.
    PromptBlocked(&'static str),
    /// Nothing but the usage.
    NoCandidates,
    /// `message.refusal` in the other API; a prompt block here.
    Refusal(&'static str),

    // Shapes of a good answer: billed.
    /// The text in so many parts, with a thought between any two.
    SplitParts(usize),
    /// So many tokens of the prompt came from a cache.
    Cached(u64),
    /// So many tokens were thought.
    Thoughts(u64),
    /// Prose before and after the JSON.
    Prose,
    /// A fence of three back ticks around the JSON.
    Fences,

    // Wrong content: billed. One item is hit: the one with the post whose text contains
    // "HIT", else the middle one.
    /// A closed field holds a value outside its list.
    WrongEnum,
    /// A number beyond its maximum.
    OutOfRange,
    /// The item is left out.
    MissingId,
    /// The item comes twice, with different labels.
    DuplicateId,
    /// One more item, with an id that nobody asked for.
    AlienId,
    /// The items in another order; nothing else is wrong.
    ShuffledIds,
    /// Two items have each other's id.
    SwappedIds,
    /// No item has its id.
    AllIdsMissing,
    /// Every item has a field more.
    ExtraFields,
    /// A required field of the item is absent.
    MissingField,
    /// A required field of the item is null.
    NullField,
    /// All fields of all items but the ids are null.
    AllNull,
    /// Numbers are written as strings.
    NumbersAsStrings,
    /// The evidence is not in the post.
    ForeignEvidence,
    /// A free text holds a URL.
    UrlInText,
    /// An empty list.
    EmptyList,
    /// Another value than the schema's.
    WrongShape,
    /// Text and no JSON.
    NotJson,
    /// Arrays in arrays, 100,000 deep, as the answer's text; no limit cuts it.
    DeepJson,

    // The network.
    /// Waited for before the first byte.
    Latency(Duration),
    /// So many bytes after each pause.
    Trickle(usize, Duration),
    /// Not billed: the call never arrived.
    ResetBeforeHead,
    ResetAfterHead,
    CutBody,
    /// Whole and compressed: no damage.
    Gzip,
    TruncatedGzip,
    /// So many blanks after the body.
    Padded(usize),
    /// Compressed, with so many million blanks after the body; no client shall read to its end.
    GzipBomb(usize),
    /// Billed as lost.
    EmptyBody,
    /// Billed as lost.
    BodyNotJson,
    /// Arrays in arrays, 100,000 deep, instead of the answer; billed as lost.
    DeepBody,
    /// 200 with a web page of somebody in between; not billed.
    HtmlOk,
    /// 302 to this address; not billed.
    Redirect(String),
}
