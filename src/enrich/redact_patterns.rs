//! What personal data looks like: one pattern for each form, in the order in which they take.
//!
//! Patterns see bytes of a [`Shadow`](super::redact_fold::Shadow), never Unicode. Invariant: none
//! matches [`TAKEN`](super::redact_fold::TAKEN), and none asks how long a stretch of it is, so that placeholders of any length
//! are the same to them. A pattern whose check may say no is bounded in length.
//! Compiled once. Pure. May not block.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::redact::Placeholder;
use super::redact_checks::{self as check, Hit};

/// What a text must contain for a rule to be tried: bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Contents(u8);

impl Contents {
    const NOTHING: Self = Self(0);
    const AT: Self = Self(1);
    /// Three digits and more, not all in one place.
    const DIGITS: Self = Self(2);
    const MANY_DIGITS: Self = Self(4);
    const DOT: Self = Self(8);
    const SLASH: Self = Self(16);
    const CAPITAL: Self = Self(32);
    const COLON: Self = Self(64);
    const DIGIT: Self = Self(128);

    const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a text contains.
fn contents(text: &[u8]) -> Contents {
    let (mut bits, mut digits) = (0, 0_usize);
    for byte in text {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'A'..=b'Z' => bits |= Contents::CAPITAL.0,
            b'@' => bits |= Contents::AT.0,
            b'.' => bits |= Contents::DOT.0,
            b'/' => bits |= Contents::SLASH.0,
            b':' => bits |= Contents::COLON.0,
            _ => {}
        }
    }
    if digits > 0 {
        bits |= Contents::DIGIT.0;
    }
    if digits >= 3 {
        bits |= Contents::DIGITS.0;
    }
    if digits >= 7 {
        bits |= Contents::MANY_DIGITS.0;
    }
    Contents(bits)
}

type Check = fn(&Hit<'_>) -> Option<Range<usize>>;

/// One form of one kind.
#[derive(Debug)]
pub(super) struct Rule {
    pub kind: Placeholder,
    pub needs: Contents,
    /// Which of [`Patterns::hints`] must be there as well.
    hint: Option<usize>,
    pub regex: Regex,
    /// What of a match is to go: all, a part, or nothing.
    pub check: Check,
}

/// All patterns.
#[derive(Debug)]
pub(super) struct Patterns {
    pub rules: Vec<Rule>,
    /// Parts without which a rule cannot match, all looked for in one go.
    hints: RegexSet,
    /// A placeholder of ours.
    pub placeholder: Regex,
}

/// The patterns; none if one of them is no pattern.
pub(super) fn compiled() -> Option<&'static Patterns> {
    static COMPILED: LazyLock<Option<Patterns>> = LazyLock::new(|| compile().ok());
    COMPILED.as_ref()
}

fn compile() -> Result<Patterns, regex::Error> {
    let words: Vec<_> = Placeholder::ALL.iter().map(|kind| kind.as_str()).collect();
    let placeholder = bytes(&format!(r"\[(?:{})\]", words.join("|")))?;
    let mut rules = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for (kind, needs, hint, pattern, check) in table() {
        let hint = expand(hint);
        let known = hints.iter().position(|known| *known == hint);
        let hint = (!hint.is_empty()).then(|| {
            known.unwrap_or_else(|| {
                hints.push(hint);
                hints.len() - 1
            })
        });
        rules.push(Rule { kind, needs, hint, regex: bytes(&expand(pattern))?, check });
    }
    let hints = RegexSetBuilder::new(&hints).unicode(false).dfa_size_limit(16 << 20).build()?;
    Ok(Patterns { rules, hints, placeholder })
}

impl Patterns {
    /// The rules that may find something in a text.
    pub(super) fn in_question(&self, text: &[u8]) -> Vec<&Rule> {
        let has = contents(text);
        let hints = self.hints.matches(text);
        let may = |rule: &&Rule| has.contains(rule.needs) && rule.hint.is_none_or(|hint| hints.matched(hint));
        self.rules.iter().filter(may).collect()
    }
}

fn bytes(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).unicode(false).build()
}

/// Parts that several patterns have in common.
fn expand(pattern: &str) -> String {
    let mut out = pattern.to_string();
    for (name, part) in PARTS {
        out = out.replace(name, part);
    }
    out
}

/// In this order: a part may contain those after it.
const PARTS: [(&str, &str); 12] = [
    (
        "<date>",
        r"(?:<month>\.?[ \t]{1,2}\d{1,2}(?i:st|nd|rd|th)?\b(?:,?[ \t]{1,2}(?:\d{4}|'\d\d)\b)?|\d{1,2}(?i:st|nd|rd|th)?[ \t]{1,2}(?:of[ \t])?<month>\b\.?(?:,?[ \t]\d{4}\b)?|<month>,?[ \t]\d{4}\b|\d{1,2}[ \t]?[/.-][ \t]?\d{1,2}[ \t]?[/.-][ \t]?(?:\d{4}|\d{2})\b|\d{1,2}[/.-]<month>[/.-]\d{2,4}\b|\d{4}[/.-]\d{1,2}[/.-]\d{1,2}\b)",
    ),
    (
        "<month>",
        r"(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)",
    ),
    // A name as it is written: one word, or up to three with an initial between.
    ("<full>", r"<n>(?:[ \t][A-Z]\b\.?)?(?:[ \t]<n>){0,2}"),
    ("<n>", r"[A-Z](?:'[A-Z])?[a-z]{1,20}(?:[A-Z][a-z]{1,20})?(?:-[A-Z][a-z]{1,20})?\b"),
    // From a label to its value.
    (
        "<sep>",
        r"[ \t]{0,3}(?:(?i:is|was|are|no|number|of)\b[ \t]{0,2}|[:=#.-][ \t]{0,2}){0,4}[*_`\x22']{0,2}",
    ),
    // A word that says "number".
    ("<no>", r"(?i:numbers?\b|num\b|no\b\.?|nr\b\.?|id\b|ids\b|code\b|#)"),
    ("<value>", r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38}[A-Za-z0-9])?\b"),
    (
        "<tld>",
        r"(?i:com|net|org|edu|gov|info|biz|io|co|us|me|uk|ca|de|fr|eu|au|in|app|dev|ai|tv|ly|gl|gd|be|to|it|cc|xyz|link|shop|site|online|health|pharmacy|care|store|page|blog|news)",
    ),
    (
        "<provider>",
        r"(?i:gmail|googlemail|yahoo|ymail|hotmail|outlook|live|msn|icloud|me|mac|aol|proton|protonmail|pm|comcast|verizon|att|sbcglobal|gmx|zoho|mail|fastmail)",
    ),
    (
        "<state>",
        r"(?:AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|IA|ID|IL|IN|KS|KY|LA|MA|MD|ME|MI|MN|MO|MS|MT|NC|ND|NE|NH|NJ|NM|NV|NY|OH|OK|OR|PA|PR|RI|SC|SD|TN|TX|UT|VA|VT|WA|WI|WV|WY|Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|Wisconsin|Wyoming)",
    ),
    (
        "<unit>",
        r"(?:,?[ \t]{1,2}(?i:apt|apartment|unit|suite|ste|floor|fl|room|rm|lot|bldg|building)\b\.?[ \t]{0,2}#?[ \t]?[A-Za-z0-9-]{1,6}\b|,?[ \t]{1,2}#[ \t]?[A-Za-z0-9-]{1,6}\b)",
    ),
    (
        "<person>",
        r"(?i:pharmacist|pharm tech|tech|technician|rep|representative|agent|lady|woman|man|guy|girl|manager|doctor|physician|nurse|person|someone|somebody|employee|driver|supervisor|cashier|gentleman|clerk|associate|neighbor|patient|customer|therapist|psychiatrist|dentist)",
    ),
];

/// Kind, what it needs, hint, pattern, check. What has a clear form comes before what has only a label,
/// and both before names.
#[rustfmt::skip]
fn table() -> Vec<(Placeholder, Contents, &'static str, &'static str, Check)> {
    use Placeholder as P;
    use Contents as C;
    vec![
    // Web addresses; what is said to be mail is mail.
    (P::Email, C::AT, r"",
        r"(?i)\b(?:mailto:)?[a-z0-9_][a-z0-9._%+'-]*@(?:[a-z0-9-]+\.){1,8}[a-z]{2,24}\b", check::all),
    (P::Url, C::COLON, r"(?i:(?:h(?:tt|xx)ps?|ftps?|mailto):/)",
        r"(?i)\b(?:h(?:tt|xx)ps?|ftps?|mailto)://?[^\s<>\x22\x82\x83]+", check::url),
    (P::Url, C::DOT, r"(?i:www\d?\.)",
        r"(?i)\bwww\d?\.[a-z0-9-]+\.[^\s<>\x22\x82\x83]+", check::url),
    (P::Url, C::SLASH, r"\.<tld>/",
        r"\b(?:[A-Za-z0-9-]{1,63}\.){1,4}<tld>/[A-Za-z0-9~_@?%\#-][^\s<>\x22\x82\x83]*", check::url),
    // Mail that is spelled out or has no end.
    (P::Email, C::AT, r"(?i)@[ \t]?<provider>",
        r"(?i)\b(?:mailto:)?[a-z0-9_][a-z0-9._%+-]{0,63}[ \t]?@[ \t]?<provider>(?:[ \t]?\.[ \t]?(?:com|net|org|co\.uk|me)\b|\b)", check::known_mail),
    (P::Email, C::NOTHING, r"(?i)[(\[{<][ \t]?at[ \t]?[)\]}>]",
        r"(?i)\b(?P<v>[a-z0-9][a-z0-9._%+-]{0,63}[ \t]{0,2}(?:[(\[{<][ \t]?at[ \t]?[)\]}>])[ \t]{0,2}[a-z0-9-]{1,63}[ \t]{0,2}(?:[(\[{<][ \t]?dot[ \t]?[)\]}>]|\bdot\b|\.)[ \t]{0,2}[a-z]{2,12})\b", check::all),
    (P::Email, C::NOTHING, r"(?i) at (?:[a-z0-9-]{1,40} ?)[(\[]?dot",
        r"(?i)\b(?P<v>(?:[a-z0-9._%+-]{1,40} (?:dot|period|underscore|dash|hyphen) ){0,3}[a-z0-9][a-z0-9._%+-]{0,63} at (?:[a-z0-9-]{1,40} ?(?:\bdot\b|[(\[]dot[)\]]) ?){1,3}(?:com|net|org|edu|gov|co|io|us|me|uk))\b", check::spelled_mail),
    (P::Email, C::DOT, r"(?i) at <provider>\.",
        r"(?i)\b(?P<v>[a-z0-9][a-z0-9._%+-]{0,63} at <provider>\.(?:com|net|org|co\.uk|me))\b", check::spelled_mail),
    // Addresses of machines.
    (P::Ip, C::DOT, r"\d\.\d{1,3}\.\d{1,3}\.\d",
        r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", check::ip),
    (P::Ip, C::COLON, r"(?i)[0-9a-f]:[0-9a-f]{1,4}:[0-9a-f]",
        r"(?i)\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b", check::all),
    (P::Ip, C::COLON, r"::",
        r"(?i)\b(?:[0-9a-f]{1,4}:){2,6}:(?:[0-9a-f]{1,4}:){0,4}[0-9a-f]{1,4}\b", check::all),
    (P::Ip, C::COLON, r"(?i)[0-9a-f]:[0-9a-f]{1,4}:[0-9a-f]",
        r"(?i)\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", check::all),
    // Numbers with a form of their own.
    (P::OrderNumber, C::MANY_DIGITS, r"\d{7}[ -]\d{7}",
        r"\b(?:\d{3}|D\d{2})[ -]\d{7}[ -]\d{7}\b", check::all),
    (P::OrderNumber, C::MANY_DIGITS, r"(?i)\b1Z",
        r"(?i)\b1Z ?[0-9A-Z]{3} ?[0-9A-Z]{3} ?[0-9A-Z]{2} ?[0-9A-Z]{4} ?[0-9A-Z]{3} ?[0-9A-Z]\b", check::all),
    (P::OrderNumber, C::MANY_DIGITS, r"(?i)\bTBA",
        r"(?i)\bTBA ?\d{9,15}\b", check::all),
    (P::OrderNumber, C::MANY_DIGITS, r"(?i)\d ?US\b",
        r"\b(?i:[A-Z]{2} ?\d{3} ?\d{3} ?\d{3} ?US)\b", check::all),
    (P::OrderNumber, C::MANY_DIGITS, r"\d(?:[ .-]?\d){12}",
        r"\b9[1-5]\d{2}(?:[ -]?\d{4}){4}(?:[ -]?\d{2,4})?\b", check::all),
    (P::OrderNumber, C::MANY_DIGITS, r"\d(?:[ .-]?\d){12}",
        r"\b\d{20,22}\b", check::all),
    (P::Card, C::MANY_DIGITS, r"\d(?:[ .-]?\d){12}",
        r"\b\d{4}[ .-]?\d{4}[ .-]?\d{4}[ .-]?\d{4}\b", check::card),
    (P::Card, C::MANY_DIGITS, r"\d(?:[ .-]?\d){12}",
        r"\b3[47]\d{2}[ .-]?\d{6}[ .-]?\d{5}\b", check::card),
    (P::Card, C::MANY_DIGITS, r"\d(?:[ .-]?\d){12}",
        r"\b\d{13,19}\b", check::card),
    (P::Card, C::DIGITS, r"(?i)ending|ends|last (?:four|4)",
        r"(?i)\b(?:card|visa|mastercard|amex|debit|credit|account)\b[^\n\x830-9]{0,20}\b(?:ending|ends|last (?:four|4)(?: digits)?)(?: in| with| on| are| is|:| of)?[ \t]{0,2}#?(?P<v>\d{4,5})\b", check::all),
    (P::Card, C::DIGITS, r"(?i)card (?:n|\#)|cvv|cvc",
        r"(?i)\b(?:card (?:number|no\.?|num|\#)|cvv2?|cvc)<sep>(?P<v>\d[\d -]{1,22}\d)\b", check::all),
    (P::MemberId, C::DIGITS, r"\d-?[A-Z][A-Z0-9]\d-?[A-Z]{2}\d\d",
        r"\b[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y]{2}\d{2}\b", check::all),
    // Labels with numbers.
    (P::Ssn, C::DIGITS, r"(?i)(?:last|final) (?:four|4)",
        r"(?i)\b(?:last|final) (?:four|4)(?: digits)?(?: of| in| on)?(?: my| his| her| the| your)? (?:ssn|ss\#|social(?: security)?(?: number| \#)?)<sep>(?P<v>\d{4})\b", check::all),
    (P::Ssn, C::DIGITS, r"(?i)\bssn|social",
        r"(?i)\b(?:ssn|social(?: security)?)\b[^\n\x830-9]{0,20}\b(?:ending|ends|last (?:four|4)(?: digits)?)(?: in| with| are| is|:)?[ \t]{0,2}(?P<v>\d{4})\b", check::all),
    (P::Ssn, C::MANY_DIGITS, r"(?i)\bssn|\bss\#|\bi?tin\b|social",
        r"(?i)\b(?:ssn|ss\#|itin|tin|social(?:[ -]security)?)(?:[ \t]?<no>)?<sep>(?P<v>\d{3}[ .-]{0,3}\d{2}[ .-]{0,3}\d{4})\b", check::all),
    (P::Ssn, C::MANY_DIGITS, r"\d{3}[ .-]\d\d[ .-]\d{4}",
        r"\b(?:\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}|\d{3}\.\d{2}\.\d{4})\b", check::ssn),
    (P::DateOfBirth, C::DIGIT, r"(?i:d\.?o\.?b|birth|b-?day|born)",
        r"(?i)\b(?:d\.?o\.?b\.?|date[ -]of[ -]birth|birth ?date|birth ?day|b-?day|born)(?:[ \t]{0,2}(?:\b(?:is|was|on|in|the|of|as)\b|[:=,-])){0,3}[ \t]{0,2}(?P<v>(?-i)<date>)", check::all),
    (P::DateOfBirth, C::DIGIT, r"(?i:d\.?o\.?b|birth|b-?day|born)",
        r"(?i)\b(?:d\.?o\.?b\.?|birth ?date|birth ?day|b-?day|born)(?:[ \t]{0,2}(?:\b(?:is|was|on|the)\b|[:=,-])){0,3}[ \t]{0,2}(?P<v>(?-i)<month>[ \t]\d{1,2}(?:st|nd|rd|th)?|\d{1,2}/\d{1,2})\b", check::all),
    (P::DateOfBirth, C::DIGIT, r"(?i:d\.?o\.?b|birth|b-?day|born)",
        r"(?i)\b(?:d\.?o\.?b\.?|date[ -]of[ -]birth|birth ?date)(?:[ \t]{0,2}(?:\b(?:is|was)\b|[:=,-])){0,3}[ \t]{0,2}(?P<v>\d{8}|\d{6}|\d{1,2}[ \t]\d{1,2}[ \t](?:\d{4}|\d{2}))\b", check::all),
    (P::DateOfBirth, C::DIGIT, r"(?i:d\.?o\.?b|birth|b-?day|born)",
        r"(?P<v><date>)[ \t]{0,2}(?i:(?:is|was) (?:my|his|her|their|our|the patient's) (?:birth ?day|birth ?date|date of birth|dob|b-?day)|\(?dob\b)", check::all),
    (P::Mrn, C::DIGITS, r"(?i)mrn|m\.r\.n|medical record|med rec|chart|patient|hospital record",
        r"(?i)\b(?:mrn|m\.r\.n\.|medical record|med rec|chart|patient|hospital record)(?:[ \t]?<no>){0,2}<sep>(?P<v><value>)", check::labelled),
    (P::MemberId, C::DIGITS, r"(?i)\b(?:member(?:ship)?|subscriber|insurance|policy(?:holder)?|medicare|medicaid|group|health plan|plan|beneficiary|rx ?(?:grp|group)|cardholder)(?: (?:card|policy|account))?[ \t]?(?:<no>)",
        r"(?i)\b(?:member(?:ship)?|subscriber|insurance|policy(?:holder)?|medicare|medicaid|group|health plan|plan|beneficiary|rx ?(?:grp|group)|cardholder)(?: (?:card|policy|account))?[ \t]?(?:<no>){1,2}<sep>(?P<v><value>)", check::labelled),
    (P::MemberId, C::DIGITS, r"(?i)\brx",
        r"(?i)\brx[ -]?(?:bin|pcn|grp)(?:[ \t]?<no>)?<sep>(?P<v><value>)", check::labelled),
    (P::RxNumber, C::DIGITS, r"(?i)(?:rx|prescription|script|refill)s?[ \t]?<no>",
        r"(?i)\b(?:rx|prescription|script|refill)s?[ \t]?(?:<no>){1,2}<sep>(?P<v>[a-z]{0,3}-?\d[\d -]{2,16}\d)\b", check::rx),
    (P::RxNumber, C::DIGITS, r"(?i)\b(?:rx|prescription|script)s?\b[ \t:\#=a-z-]{1,12}\d{5}",
        r"(?i)\b(?:rx|prescription|script)s?\b(?:[ \t]{0,2}(?:\b(?:is|was)\b|[:=\#])){0,2}[ \t]{0,2}(?P<v>[a-z]{0,2}-?\d{6,12}(?:-\d{1,5})?|\d{5}-\d{2,5})\b", check::rx),
    (P::RxNumber, C::DIGITS, r"(?i)\brx[ \t:]{0,3}\d{6}",
        r"(?i)\brx[ \t:]{0,3}(?P<v>\d{6,12}(?:-\d{1,5})?)\b", check::all),
    (P::OrderNumber, C::DIGITS, r"(?i)\b(?:order|confirmation|tracking|case|ticket|reference|ref|invoice|claim|authorization|auth|shipment|package|transaction|incident|complaint|request|reservation|receipt|serial)[ \t]?(?:<no>[ \t]?)",
        r"(?i)\b(?:order|confirmation|tracking|case|ticket|reference|ref|invoice|claim|authorization|auth|shipment|package|transaction|incident|complaint|request|reservation|receipt|serial)[ \t]?(?:<no>[ \t]?){1,2}<sep>(?P<v><value>)", check::order),
    (P::OrderNumber, C::DIGITS, r"(?i)\b(?:order|confirmation|tracking|case|ticket|reference|invoice|claim)\b[ \t:\#=a-z]{1,9}\d{6}",
        r"(?i)\b(?:order|confirmation|tracking|case|ticket|reference|invoice|claim)\b(?:[ \t]{0,2}(?:\b(?:is|was)\b|[:=\#])){0,2}[ \t]{0,2}(?P<v>\d{6,22})\b", check::order),
    (P::OrderNumber, C::MANY_DIGITS, r"(?i)\b(?:order|confirmation|tracking|case|ticket|reference|invoice|claim|fedex|ups|usps|dhl|ontrac)\b[:\#]?[ \t]{0,2}\d{4}",
        r"(?i)\b(?:order|confirmation|tracking|case|ticket|reference|invoice|claim|fedex|ups|usps|dhl|ontrac)\b[:\#]?[ \t]{0,2}(?P<v>\d{4}(?:[ -]?\d{4}){1,2}(?:[ -]?\d{1,4})?|\d{7,22})\b", check::order),
    (P::Account, C::DIGITS, r"(?i)\b(?:account|acct|customer|npi|dea|license|licence|routing|iban|passport|driver'?s license|employee)\b",
        r"(?i)\b(?:account|acct|customer|npi|dea|license|licence|routing|iban|passport|driver'?s license|employee)\b[ \t]?(?:<no>[ \t]?){0,2}<sep>(?P<v><value>)", check::account),
    // Where people live.
    (P::Address, C::DIGIT, r"(?i)\bbox",
        r"(?i)\b(?:p\.?[ \t]?o\.?[ \t]?box|post office box)[ \t]{0,2}(?:\#|no\.?)?[ \t]?\d{1,7}\b(?-i)(?:,?[ \t]{1,2}<n>(?:[ \t]<n>){0,2},?[ \t]{1,2}<state>\b(?:,?[ \t]{1,2}\d{5}(?:-\d{4})?\b)?)?", check::all),
    (P::Address, C::DIGIT, r"(?i:[ \t](?:street|st|avenue|ave?|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|circle|cir|place|pl|terrace|ter|way|parkway|pkwy|highway|hwy|trail|trl|square|sq|loop|turnpike|pike|plaza|crescent|alley)\b)",
        r"\b\d{1,6}(?:-\d{1,5})?[A-Za-z]?[ \t]{1,2}(?:(?:[NSEW]|NE|NW|SE|SW|North|South|East|West)\.?[ \t]{1,2})?(?:(?:[A-Z][A-Za-z']{1,20}|\d{1,3}(?i:st|nd|rd|th)|[A-Z]|(?:St|Mt|Ft)\.|of|the|de|la)\.?[ \t]{1,2}){1,4}(?:STREET|Street|ST|St|AVENUE|Avenue|AVE|Ave|Av|ROAD|Road|RD|Rd|BOULEVARD|Boulevard|BLVD|Blvd|LANE|Lane|LN|Ln|DRIVE|Drive|DR|Dr|COURT|Court|CT|Ct|CIRCLE|Circle|CIR|Cir|PLACE|Place|PL|Pl|TERRACE|Terrace|TER|Ter|WAY|Way|PARKWAY|Parkway|PKWY|Pkwy|(?:HIGHWAY|Highway|HWY|Hwy)(?:[ \t]\d{1,4})?|TRAIL|Trail|TRL|Trl|SQUARE|Square|SQ|Sq|LOOP|Loop|Turnpike|Pike|Plaza|Crescent|Alley)\b\.?(?:[ \t]{1,2}(?:[NSEW]|NE|NW|SE|SW)\b\.?)?<unit>?(?:,?[ \t\n]{1,2}<n>(?:[ \t]<n>){0,2},?[ \t]{1,2}<state>\b\.?(?:,?[ \t]{1,2}\d{5}(?:-\d{4})?\b)?|,?[ \t]{1,2}\d{5}(?:-\d{4})?\b)?", check::street),
    (P::Address, C::DIGIT, r"(?i:[ \t](?:street|st|avenue|ave?|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|circle|cir|place|pl|terrace|ter|way|parkway|pkwy|highway|hwy|trail|trl|square|sq|loop|turnpike|pike|plaza|crescent|alley)\b)",
        r"(?i)\b\d{1,6}[ \t]{1,2}(?:(?:[nsew]|north|south|east|west)\.?[ \t]{1,2})?(?:(?:[a-z][a-z']{1,20}|\d{1,3}(?:st|nd|rd|th))[ \t]{1,2}){1,2}(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|court|circle|parkway|pkwy|terrace)\b\.?<unit>?(?:,?[ \t]{1,2}[a-z]{3,20}(?:[ \t][a-z]{3,20})?,?[ \t](?:<state>)[ \t]\d{5}\b)?", check::plain_street),
    (P::Address, C::DIGIT, r"(?i)highway|hwy|route|rte|county road|\bcr\b|\bfm\b",
        r"\b\d{1,6}[ \t](?i:(?:(?:north|south|east|west|n|s|e|w)\.? )?(?:(?:state|county|us|u\.s\.) )?(?:highway|hwy|route|rte|county road|cr|fm)\.? )\d{1,4}\b<unit>?(?:,?[ \t]<n>(?:[ \t]<n>)?,?[ \t]<state>\b(?:[ \t]\d{5}\b)?)?", check::street),
    (P::Address, C::DIGIT, r"[A-Za-z]\.?,?[ \t]{1,2}\d{5}",
        r"\b<n>(?:[ \t]<n>){0,2}(?:,[ \t]{0,2}|[ \t])<state>\b\.?,?[ \t]{1,2}\d{5}(?:-\d{4})?\b", check::city),
    (P::Address, C::DIGIT, r"(?i)\bzip",
        r"(?i)\bzip(?:[ -]?codes?)?<sep>(?P<v>\d{5}(?:-\d{4})?)\b", check::all),
    (P::Address, C::DIGIT, r"(?i)\baddress(?: is|:)",
        r"(?i)\baddress(?: is|:)[ \t]{0,2}(?P<v>\d{1,6}[ \t][a-z0-9 .,\#'-]{3,70}[a-z0-9])", check::named_address),
    // Telephones.
    (P::Phone, C::MANY_DIGITS, r"\d{3}(?:[ \t]?[./-][ \t]?| )\d{4}",
        r"(?:\+?\b1[ .-]{0,2})?(?:\(\d{3}\)[ .-]{0,3}|\b\d{3}[ \t]?[./-][ \t]?|\b\d{3} )\d{3}(?:[ \t]?[./-][ \t]?| )\d{4}\b(?:,?[ \t]{0,2}(?i:ext(?:ension)?\b\.?|x|\#)[ \t:]{0,2}\d{1,6}\b)?", check::phone),
    (P::Phone, C::MANY_DIGITS, r"[2-9]\d{9}",
        r"(?:\+?\b1|\b)[2-9]\d{9}\b(?:,?[ \t]{0,2}(?i:ext(?:ension)?\b\.?|x)[ \t:]{0,2}\d{1,6}\b)?", check::solid_phone),
    (P::Phone, C::MANY_DIGITS, r"\+\d",
        r"\+\d{1,3}(?:[ .()/-]{0,2}\d){6,13}\b", check::phone),
    (P::Phone, C::MANY_DIGITS, r"\b(?:00|011)[ -]\d",
        r"\b(?:00|011)[ -]\d{1,3}(?:[ .()-]{0,2}\d){6,12}\b", check::phone),
    (P::Phone, C::MANY_DIGITS, r"\b0\d{2,4}[ -]\d{3}",
        r"\b0\d{2,4}[ -]\d{3,4}[ -]?\d{3,4}\b", check::phone),
    (P::Phone, C::MANY_DIGITS, r"\d \d \d",
        r"\b(?:\d \d \d ?[.-]? ?){1,2}(?:\d \d \d \d)\b", check::spread_phone),
    (P::Phone, C::MANY_DIGITS, r"\d{3}-\d{4}",
        r"\b[2-9]\d{2}-\d{4}\b(?:,?[ \t]{0,2}(?i:ext(?:ension)?\b\.?|x)[ \t:]{0,2}\d{1,6}\b)?", check::short_phone),
    (P::Phone, C::MANY_DIGITS, r"(?i)\b(?:phone|cell|mobile|tel|telephone|fax|whatsapp|call (?:me|us|him|her|them)(?: back)? (?:at|on)|text (?:me|us|him|her|them)(?: at| on)?|call or text|reach me (?:at|on)|my number|their number)",
        r"(?i)\b(?:phone|cell|mobile|tel|telephone|fax|whatsapp|call (?:me|us|him|her|them)(?: back)? (?:at|on)|text (?:me|us|him|her|them)(?: at| on)?|call or text|reach me (?:at|on)|my number|their number)(?:[ \t]?(?:<no>))?<sep>(?:at )?(?P<v>\+?\(?\d[\d .()-]{4,18}\d)\b", check::phone),
    (P::Phone, C::NOTHING, r"(?i)(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)[ ,.-]{1,2}(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)[ ,.-]{1,2}(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)",
        r"(?i)\b(?:(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)[ ,.-]{1,2}){6,10}(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)\b", check::counted),
    // Accounts of people.
    (P::Handle, C::AT, r"",
        r"(?:^|[^A-Za-z0-9@/._-])(?P<v>@[A-Za-z_][A-Za-z0-9_.-]{0,38}[A-Za-z0-9_])", check::handle),
    (P::Handle, C::SLASH, r"(?i)\b(?:u|user)/",
        r"(?:^|[^A-Za-z0-9/@._-])(?P<v>/?(?:u|U|user)/[A-Za-z0-9_-]{3,22})", check::reddit_name),
    (P::Handle, C::COLON, r"(?i)\b(?:ig|insta|instagram|snap|snapchat|discord|telegram|tiktok|twitter|kik|venmo|cash ?app|user ?name|user ?id|login|skype|gamertag)",
        r"(?i)\b(?:ig|insta|instagram|snap|snapchat|discord|telegram|tiktok|twitter|kik|venmo|cash ?app|user ?name|user ?id|login|skype|gamertag)(?: (?:handle|name|id|tag))?[ \t]{0,2}:[ \t]{0,2}(?P<v>[a-z0-9_$.\#-]{2,40}[a-z0-9_])", check::all),
    (P::Handle, C::NOTHING, r"(?i)(?:name|id|handle|login) (?:is|was) ",
        r"(?i)\b(?:user ?name|user ?id|screen ?name|handle|login) (?:is|was) (?P<v>[a-z0-9_$.\#-]{2,40}[a-z0-9_])", check::odd_word),
    // Names, by what stands around them.
    (P::Name, C::CAPITAL, r"(?i)name(?:'s| is| was|:)|name[ \t]{1,2}[a-z]|(?:attn|attention|patient|prescriber|holder|c/o|sincerely|regards)[:,]",
        r"\b(?i:(?:my|his|her|their|our|wife's|husband's|son's|daughter's|mom's|mother's) (?:full |first |last |legal |maiden |middle |sur|real )?name(?:'s| is| was|:)|(?:patient|customer|full|first|last|legal|maiden|middle|account holder|cardholder|pharmacist|tech|technician|rep|agent|manager|doctor|nurse|driver|prescriber)(?:'s)?(?: full| first| last)? name(?: is| was|:)|name on (?:the |my )?(?:account|bottle|card|prescription|label|order)(?: is| was|:)|(?:attn|attention|patient|prescriber|cardholder|account holder|c/o|sincerely|regards)[:,])[ \t]{1,2}\x22?(?P<v><full>)", check::name),
    (P::Name, C::CAPITAL, r"(?i)name[ \t]?:",
        r"(?m)^[ \t]*(?i:name)[ \t]?:[ \t]{0,2}(?P<v><full>)", check::name),
    (P::Name, C::NOTHING, r"(?i)name(?:'s| is)|i am called|i go by",
        r"(?i)\b(?:my (?:full |first |last |legal |real )?name(?:'s| is)|i am called|i go by)[ \t]{1,2}(?P<v>[a-z][a-z'-]{1,30}(?:[ \t][a-z][a-z'-]{1,30})?)\b", check::spoken_name),
    (P::Name, C::CAPITAL, r"\b(?:I'm|I am|Im|i'm|i am|im|This is|this is|It's|it's|Hi|Hello|Hey|hi|hello|hey|Dear|dear)[ \t][A-Z]",
        r"\b(?:I'm|I am|Im|i'm|i am|im|This is|this is|It's|it's|Hi|Hello|Hey|hi|hello|hey|Dear|dear)[ \t](?P<v><full>)", check::own_name),
    (P::Name, C::CAPITAL, r"\b(?:Dr|DR|dr|Mr|MR|mr|Mrs|MRS|mrs|Ms|Prof)\b",
        r"\b(?P<t>Dr|DR|dr|Mr|MR|mr|Mrs|MRS|mrs|Ms|Prof)\b\.?[ \t]{1,2}(?P<v>(?:[A-Z]\.?[ \t]){0,2}<full>|[A-Z]{3,20}\b|[a-z]{3,20}\b)", check::titled),
    (P::Name, C::CAPITAL, r"\b(?:Doctor|doctor|Miss|Nurse|nurse|Professor|Pharmacist|pharmacist|Tech|tech|Rep|rep|Agent|agent|Manager|manager|Supervisor|supervisor|Technician|technician|NP|PA|Aunt|Uncle|Grandma|Grandpa),?[ \t][A-Z]",
        r"\b(?:Doctor|doctor|Miss|Nurse|nurse|Professor|Pharmacist|pharmacist|Tech|tech|Rep|rep|Agent|agent|Manager|manager|Supervisor|supervisor|Technician|technician|NP|PA|Aunt|Uncle|Grandma|Grandpa),?[ \t](?P<v><full>)", check::listed_name),
    (P::Name, C::NOTHING, r"\b(?:Dr|DR|dr|Mr|MR|mr|Mrs|MRS|mrs|Ms|Prof)\b",
        r"\b(?:dr|Dr|DR)\b\.?[ \t]{1,2}(?P<v>[a-z]{3,20})\b", check::titled),
    (P::Name, C::CAPITAL, r"(?i:wife|husband|spouse|son|daughter|mom|mum|mother|dad|father|sister|brother|boyfriend|girlfriend|partner|fiancee?|friend|roommate|neighbor|kid|child|baby|grandmother|grandfather|grandma|grandpa|aunt|uncle|cousin|niece|nephew|pharmacist|therapist|psychiatrist|nurse|caregiver|boss|coworker|dog|cat|pcp)(?:,?[ \t](?:(?i:named) )?|[ \t]?\()[A-Z]",
        r"\b(?i:(?:my|his|her|our|their) (?:[a-z-]{2,12} )?(?:wife|husband|spouse|son|daughter|mom|mum|mother|dad|father|sister|brother|boyfriend|girlfriend|partner|fiancee?|friend|roommate|neighbor|kid|child|baby|grandmother|grandfather|grandma|grandpa|aunt|uncle|cousin|niece|nephew|pharmacist|therapist|psychiatrist|nurse|caregiver|boss|coworker|dog|cat|pcp))(?:,?[ \t](?:named )?|[ \t]?\()(?P<v><full>)", check::listed_name),
    (P::Name, C::CAPITAL, r"(?i)named|called|by the name|whose name|name of|goes by",
        r"\b<person>,?[ \t](?i:named|called|by the name of|whose name (?:is|was)|name of|goes by)[ \t](?P<v><full>)", check::name),
    (P::Name, C::CAPITAL, r"\b(?i:(?:spoke|spoken|speaking|speak|talked|talking|talk|chatted|chatting|chat|dealt|dealing|meeting|met)[ \t](?:to|with)|asked for|ask for|shout ?out to|thanks to|thank you to|kudos to|contact|call|told by|helped by|filled by|signed by|prescribed by|written by)[ \t][A-Z]",
        r"\b(?i:(?:spoke|spoken|speaking|speak|talked|talking|talk|chatted|chatting|chat|dealt|dealing|meeting|met)[ \t](?:to|with)|asked for|ask for|shout ?out to|thanks to|thank you to|kudos to|contact|call|told by|helped by|filled by|signed by|prescribed by|written by)[ \t](?P<v><full>)", check::listed_name),
    (P::Name, C::CAPITAL, r"(?i)\b(?:from|at|in|with)[ \t](?:the )?(?:billing|customer|support|pharmacy|corporate|member|CVS|walgreens|amazon|insurance|claims|shipping)\b",
        r"\b(?P<v><full>)[ \t](?i:from|at|in|with)[ \t](?i:the )?(?:[Bb]illing|[Cc]ustomer|[Ss]upport|[Pp]harmacy|[Cc]orporate|[Mm]ember|CVS|Walgreens|Amazon|[Ii]nsurance|[Cc]laims|[Ss]hipping)\b", check::listed_name),
    (P::Name, C::CAPITAL, r"(?im)^[ \t]*(?:[-~*]{1,3}[ \t]*)?(?:thanks|thank you|thx|regards|best|all the best|kind regards|warm regards|sincerely|cheers|yours|respectfully|love|signed)",
        r"(?m)^[ \t]*(?:[-~*]{1,3}[ \t]*)?(?i:thanks|thank you|thx|regards|best|all the best|best regards|kind regards|warm regards|sincerely|cheers|yours|yours truly|respectfully|love|signed)[,!.]{0,3}[ \t]*\n?[ \t]*[-~]{0,2}[ \t]*(?P<v><full>)[ \t.!]*$", check::listed_name),
    (P::Name, C::CAPITAL, r"[-~][ \t]*[A-Z]",
        r"(?m)(?:^[ \t]*|[.!?][ \t]{1,2})[-~]{1,3}[ \t]*(?P<v><full>)[ \t.!]*$", check::listed_name),
    (P::Name, C::CAPITAL, r"[a-z.A-Z][ \t][A-Z][a-z']",
        r"\b(?P<v><n>(?:[ \t](?:[A-Z]\b\.?|<n>))?[ \t]<n>)", check::first_and_last),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::redact_fold::TAKEN;
    use super::*;

    #[test]
    fn every_pattern_is_one() {
        compile().unwrap();
        for rule in &compiled().unwrap().rules {
            for name in ["<", "<n>"] {
                let written = rule.regex.as_str();
                assert!(!PARTS.iter().any(|(part, _)| written.contains(part)), "{name}: {written}");
            }
            assert!(!rule.regex.is_match(&[TAKEN; 40]), "{}", rule.regex);
            assert!(rule.regex.captures(b"").is_none(), "{} matches nothing", rule.regex);
        }
    }
}
