//! What personal data looks like: one pattern for each form, in the order in which they take.
//!
//! Patterns see bytes of a [`Shadow`](super::redact_fold::Shadow), never Unicode. Invariant: none
//! matches [`TAKEN`], and none asks how long a stretch of it is, so that placeholders of any length
//! are the same to them. A pattern whose check may say no is bounded in length.
//! Compiled once. Pure. May not block.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

use super::redact::Placeholder;
use super::redact_fold::TAKEN;
use super::redact_words::{is_first, is_last, may_be_first, never, no_street};

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

    pub(super) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a text contains.
pub(super) fn contents(text: &[u8]) -> Contents {
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

/// What a pattern found.
#[derive(Debug)]
pub(super) struct Hit<'a> {
    pub text: &'a [u8],
    /// With what stands around it.
    pub whole: Range<usize>,
    /// What would be taken out.
    pub value: Range<usize>,
}

impl Hit<'_> {
    fn value(&self) -> &[u8] {
        &self.text[self.value.clone()]
    }

    /// Up to `most` bytes before the value, after what was taken out.
    fn before(&self, most: usize) -> &[u8] {
        let from = self.value.start.saturating_sub(most);
        let bytes = &self.text[from..self.value.start];
        let open = bytes.iter().rposition(|b| *b == TAKEN).map_or(0, |at| at + 1);
        &bytes[open..]
    }

    /// Up to `most` bytes after the value, until what was taken out.
    fn after(&self, most: usize) -> &[u8] {
        let to = (self.value.end + most).min(self.text.len());
        let bytes = &self.text[self.value.end..to];
        &bytes[..bytes.iter().position(|b| *b == TAKEN).unwrap_or(bytes.len())]
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.value().iter().filter(|b| b.is_ascii_digit()).map(|b| b - b'0')
    }
}

type Check = fn(&Hit<'_>) -> Option<Range<usize>>;

/// One form of one kind.
#[derive(Debug)]
pub(super) struct Rule {
    pub kind: Placeholder,
    pub needs: Contents,
    pub regex: Regex,
    /// What of a match is to go: all, a part, or nothing.
    pub check: Check,
}

/// All patterns.
#[derive(Debug)]
pub(super) struct Patterns {
    pub rules: Vec<Rule>,
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
    for (kind, needs, pattern, check) in table() {
        rules.push(Rule { kind, needs, regex: bytes(&expand(pattern))?, check });
    }
    Ok(Patterns { rules, placeholder })
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

/// Kind, what it needs, pattern, check. What has a clear form comes before what has only a label,
/// and both before names.
#[rustfmt::skip]
fn table() -> Vec<(Placeholder, Contents, &'static str, Check)> {
    use Placeholder as P;
    use Contents as C;
    vec![
    // Web addresses; what is said to be mail is mail.
    (P::Email, C::AT, r"(?i)\b(?:mailto:)?[a-z0-9][a-z0-9._%+'-]*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.){1,8}[a-z]{2,24}\b", mail),
    (P::Url, C::COLON, r"(?i)\b(?:h(?:tt|xx)ps?|ftps?|mailto)://?[^\s<>\x22\x82\x83]+", url),
    (P::Url, C::DOT, r"(?i)\bwww\d?\.[a-z0-9-]+\.[^\s<>\x22\x82\x83]+", url),
    (P::Url, C::SLASH, r"\b(?:[A-Za-z0-9-]{1,63}\.){1,4}<tld>/[A-Za-z0-9~_@?%\#-][^\s<>\x22\x82\x83]*", url),
    // Mail that is spelled out or has no end.
    (P::Email, C::AT, r"(?i)\b(?:mailto:)?[a-z0-9][a-z0-9._%+-]{0,63}[ \t]?@[ \t]?<provider>(?:[ \t]?\.[ \t]?(?:com|net|org|co\.uk|me)\b|\b)", known_mail),
    (P::Email, C::NOTHING, r"(?i)\b(?P<v>[a-z0-9][a-z0-9._%+-]{0,63}[ \t]{0,2}(?:[(\[{<][ \t]?at[ \t]?[)\]}>])[ \t]{0,2}[a-z0-9-]{1,63}[ \t]{0,2}(?:[(\[{<][ \t]?dot[ \t]?[)\]}>]|\bdot\b|\.)[ \t]{0,2}[a-z]{2,12})\b", all),
    (P::Email, C::NOTHING, r"(?i)\b(?P<v>(?:[a-z0-9._%+-]{1,40} (?:dot|period|underscore|dash|hyphen) ){0,3}[a-z0-9][a-z0-9._%+-]{0,63} at (?:[a-z0-9-]{1,40} ?(?:\bdot\b|[(\[]dot[)\]]) ?){1,3}(?:com|net|org|edu|gov|co|io|us|me|uk))\b", spelled_mail),
    (P::Email, C::DOT, r"(?i)\b(?P<v>[a-z0-9][a-z0-9._%+-]{0,63} at <provider>\.(?:com|net|org|co\.uk|me))\b", spelled_mail),
    // Addresses of machines.
    (P::Ip, C::DOT, r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", ip),
    (P::Ip, C::COLON, r"(?i)\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b", all),
    (P::Ip, C::COLON, r"(?i)\b(?:[0-9a-f]{1,4}:){2,6}:(?:[0-9a-f]{1,4}:){0,4}[0-9a-f]{1,4}\b", all),
    (P::Ip, C::COLON, r"(?i)\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", all),
    // Numbers with a form of their own.
    (P::OrderNumber, C::MANY_DIGITS, r"\b(?:\d{3}|D\d{2})[ -]\d{7}[ -]\d{7}\b", all),
    (P::OrderNumber, C::MANY_DIGITS, r"(?i)\b1Z ?[0-9A-Z]{3} ?[0-9A-Z]{3} ?[0-9A-Z]{2} ?[0-9A-Z]{4} ?[0-9A-Z]{3} ?[0-9A-Z]\b", all),
    (P::OrderNumber, C::MANY_DIGITS, r"(?i)\bTBA ?\d{9,15}\b", all),
    (P::OrderNumber, C::MANY_DIGITS, r"\b(?i:[A-Z]{2} ?\d{3} ?\d{3} ?\d{3} ?US)\b", all),
    (P::OrderNumber, C::MANY_DIGITS, r"\b9[1-5]\d{2}(?:[ -]?\d{4}){4}(?:[ -]?\d{2,4})?\b", all),
    (P::OrderNumber, C::MANY_DIGITS, r"\b\d{20,22}\b", all),
    (P::Card, C::MANY_DIGITS, r"\b\d{4}[ .-]?\d{4}[ .-]?\d{4}[ .-]?\d{4}\b", card),
    (P::Card, C::MANY_DIGITS, r"\b3[47]\d{2}[ .-]?\d{6}[ .-]?\d{5}\b", card),
    (P::Card, C::MANY_DIGITS, r"\b\d{13,19}\b", card),
    (P::Card, C::DIGITS, r"(?i)\b(?:card|visa|mastercard|amex|debit|credit|account)\b[^\n\x830-9]{0,20}\b(?:ending|ends|last (?:four|4)(?: digits)?)(?: in| with| on| are| is|:| of)?[ \t]{0,2}#?(?P<v>\d{4,5})\b", all),
    (P::Card, C::DIGITS, r"(?i)\b(?:card (?:number|no\.?|num|\#)|cvv2?|cvc)<sep>(?P<v>\d[\d -]{1,22}\d)\b", all),
    (P::MemberId, C::DIGITS, r"\b[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y]{2}\d{2}\b", all),
    // Labels with numbers.
    (P::Ssn, C::DIGITS, r"(?i)\b(?:last|final) (?:four|4)(?: digits)?(?: of| in| on)?(?: my| his| her| the| your)? (?:ssn|ss\#|social(?: security)?(?: number| \#)?)<sep>(?P<v>\d{4})\b", all),
    (P::Ssn, C::DIGITS, r"(?i)\b(?:ssn|social(?: security)?)\b[^\n\x830-9]{0,20}\b(?:ending|ends|last (?:four|4)(?: digits)?)(?: in| with| are| is|:)?[ \t]{0,2}(?P<v>\d{4})\b", all),
    (P::Ssn, C::MANY_DIGITS, r"(?i)\b(?:ssn|ss\#|itin|tin|social(?:[ -]security)?)(?:[ \t]?<no>)?<sep>(?P<v>\d{3}[ .-]{0,3}\d{2}[ .-]{0,3}\d{4})\b", all),
    (P::Ssn, C::MANY_DIGITS, r"\b(?:\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}|\d{3}\.\d{2}\.\d{4})\b", ssn),
    (P::DateOfBirth, C::DIGIT, r"(?i)\b(?:d\.?o\.?b\b\.?|date[ -]of[ -]birth|birth ?date|birth ?day|b-?day|born)(?:[ \t]{0,2}(?:\b(?:is|was|on|in|the|of|as)\b|[:=,-])){0,3}[ \t]{0,2}(?P<v>(?-i)<date>)", all),
    (P::DateOfBirth, C::DIGIT, r"(?i)\b(?:birth ?date|birth ?day|b-?day|born)(?:[ \t]{0,2}(?:\b(?:is|was|on|the)\b|[:=,-])){0,3}[ \t]{0,2}(?P<v>(?-i)<month>[ \t]\d{1,2}(?:st|nd|rd|th)?|\d{1,2}/\d{1,2})\b", all),
    (P::DateOfBirth, C::DIGIT, r"(?i)\b(?:d\.?o\.?b\b\.?|date[ -]of[ -]birth|birth ?date)(?:[ \t]{0,2}(?:\b(?:is|was)\b|[:=,-])){0,3}[ \t]{0,2}(?P<v>\d{8}|\d{6}|\d{1,2}[ \t]\d{1,2}[ \t](?:\d{4}|\d{2}))\b", all),
    (P::DateOfBirth, C::DIGIT, r"(?P<v><date>)[ \t]{0,2}(?i:(?:is|was) (?:my|his|her|their|our|the patient's) (?:birth ?day|birth ?date|date of birth|dob|b-?day)|\(?dob\b)", all),
    (P::Mrn, C::DIGITS, r"(?i)\b(?:mrn|m\.r\.n\.|medical record|med rec|chart|patient|hospital record)(?:[ \t]?<no>){0,2}<sep>(?P<v><value>)", labelled),
    (P::MemberId, C::DIGITS, r"(?i)\b(?:member(?:ship)?|subscriber|insurance|policy(?:holder)?|medicare|medicaid|group|health plan|plan|beneficiary|rx ?(?:grp|group)|cardholder)(?: (?:card|policy|account))?[ \t]?(?:<no>){1,2}<sep>(?P<v><value>)", labelled),
    (P::MemberId, C::DIGITS, r"(?i)\brx[ -]?(?:bin|pcn|grp)(?:[ \t]?<no>)?<sep>(?P<v><value>)", labelled),
    (P::RxNumber, C::DIGITS, r"(?i)\b(?:rx|prescription|script|refill)s?[ \t]?(?:<no>){1,2}<sep>(?P<v>[a-z]{0,3}\d[\d -]{2,16}\d)\b", rx),
    (P::RxNumber, C::DIGITS, r"(?i)\brx[ \t:]{0,3}(?P<v>\d{6,12}(?:-\d{1,5})?)\b", all),
    (P::OrderNumber, C::DIGITS, r"(?i)\b(?:order|confirmation|tracking|case|ticket|reference|ref|invoice|claim|authorization|auth|shipment|package|transaction|incident|complaint|request|reservation|receipt|serial)[ \t]?(?:<no>[ \t]?){1,2}<sep>(?P<v><value>)", order),
    (P::OrderNumber, C::MANY_DIGITS, r"(?i)\b(?:order|confirmation|tracking|case|ticket|reference|invoice|claim|fedex|ups|usps|dhl|ontrac)\b[:\#]?[ \t]{0,2}(?P<v>\d{4}(?:[ -]?\d{4}){1,2}(?:[ -]?\d{1,4})?|\d{7,22})\b", order),
    (P::Account, C::DIGITS, r"(?i)\b(?:account|acct|customer|npi|dea|license|licence|routing|iban|passport|driver'?s license|employee)\b[ \t]?(?:<no>[ \t]?){0,2}<sep>(?P<v><value>)", account),
    // Where people live.
    (P::Address, C::DIGIT, r"(?i)\b(?:p\.?[ \t]?o\.?[ \t]?box|post office box)[ \t]{0,2}(?:\#|no\.?)?[ \t]?\d{1,7}\b(?-i)(?:,?[ \t]{1,2}<n>(?:[ \t]<n>){0,2},?[ \t]{1,2}<state>\b(?:,?[ \t]{1,2}\d{5}(?:-\d{4})?\b)?)?", all),
    (P::Address, C::DIGIT, r"\b\d{1,6}(?:-\d{1,5})?[A-Za-z]?[ \t]{1,2}(?:(?:[NSEW]|NE|NW|SE|SW|North|South|East|West)\.?[ \t]{1,2})?(?:(?:[A-Z][A-Za-z']{1,20}|\d{1,3}(?i:st|nd|rd|th)|[A-Z]|(?:St|Mt|Ft)\.|of|the|de|la)\.?[ \t]{1,2}){1,4}(?:STREET|Street|ST|St|AVENUE|Avenue|AVE|Ave|Av|ROAD|Road|RD|Rd|BOULEVARD|Boulevard|BLVD|Blvd|LANE|Lane|LN|Ln|DRIVE|Drive|DR|Dr|COURT|Court|CT|Ct|CIRCLE|Circle|CIR|Cir|PLACE|Place|PL|Pl|TERRACE|Terrace|TER|Ter|WAY|Way|PARKWAY|Parkway|PKWY|Pkwy|HIGHWAY|Highway|HWY|Hwy|TRAIL|Trail|TRL|Trl|SQUARE|Square|SQ|Sq|LOOP|Loop|Turnpike|Pike|Plaza|Crescent|Alley)\b\.?(?:[ \t]{1,2}(?:[NSEW]|NE|NW|SE|SW)\b\.?)?<unit>?(?:,?[ \t\n]{1,2}<n>(?:[ \t]<n>){0,2},?[ \t]{1,2}<state>\b\.?(?:,?[ \t]{1,2}\d{5}(?:-\d{4})?\b)?|,?[ \t]{1,2}\d{5}(?:-\d{4})?\b)?", street),
    (P::Address, C::DIGIT, r"(?i)\b\d{1,6}[ \t]{1,2}(?:(?:[nsew]|north|south|east|west)\.?[ \t]{1,2})?(?:(?:[a-z][a-z']{1,20}|\d{1,3}(?:st|nd|rd|th))[ \t]{1,2}){1,2}(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|court|circle|parkway|pkwy|terrace)\b\.?<unit>?(?:,?[ \t]{1,2}[a-z]{3,20}(?:[ \t][a-z]{3,20})?,?[ \t](?:<state>)[ \t]\d{5}\b)?", plain_street),
    (P::Address, C::DIGIT, r"\b\d{1,6}[ \t](?i:(?:(?:north|south|east|west|n|s|e|w)\.? )?(?:(?:state|county|us|u\.s\.) )?(?:highway|hwy|route|rte|county road|cr|fm)\.? )\d{1,4}\b<unit>?(?:,?[ \t]<n>(?:[ \t]<n>)?,?[ \t]<state>\b(?:[ \t]\d{5}\b)?)?", street),
    (P::Address, C::DIGIT, r"\b<n>(?:[ \t]<n>){0,2}(?:,[ \t]{0,2}|[ \t])<state>\b\.?,?[ \t]{1,2}\d{5}(?:-\d{4})?\b", city),
    (P::Address, C::DIGIT, r"(?i)\bzip(?:[ -]?codes?)?<sep>(?P<v>\d{5}(?:-\d{4})?)\b", all),
    (P::Address, C::DIGIT, r"(?i)\baddress(?: is|:)[ \t]{0,2}(?P<v>\d{1,6}[ \t][a-z0-9 .,\#'-]{3,70}[a-z0-9])", named_address),
    // Telephones.
    (P::Phone, C::MANY_DIGITS, r"(?:\+?\b1[ .-]{0,2})?(?:\(\d{3}\)[ .-]{0,3}|\b\d{3}[ \t]?[./-][ \t]?|\b\d{3} )\d{3}(?:[ \t]?[./-][ \t]?| )\d{4}\b(?:,?[ \t]{0,2}(?i:ext(?:ension)?\b\.?|x|\#)[ \t:]{0,2}\d{1,6}\b)?", phone),
    (P::Phone, C::MANY_DIGITS, r"(?:\+?\b1|\b)[2-9]\d{9}\b(?:,?[ \t]{0,2}(?i:ext(?:ension)?\b\.?|x)[ \t:]{0,2}\d{1,6}\b)?", solid_phone),
    (P::Phone, C::MANY_DIGITS, r"\+\d{1,3}(?:[ .()/-]{0,2}\d){6,13}\b", phone),
    (P::Phone, C::MANY_DIGITS, r"\b(?:00|011)[ -]\d{1,3}(?:[ .()-]{0,2}\d){6,12}\b", phone),
    (P::Phone, C::MANY_DIGITS, r"\b0\d{2,4}[ -]\d{3,4}[ -]?\d{3,4}\b", phone),
    (P::Phone, C::MANY_DIGITS, r"\b(?:\d \d \d ?[.-]? ?){1,2}(?:\d \d \d \d)\b", spread_phone),
    (P::Phone, C::MANY_DIGITS, r"\b[2-9]\d{2}-\d{4}\b(?:,?[ \t]{0,2}(?i:ext(?:ension)?\b\.?|x)[ \t:]{0,2}\d{1,6}\b)?", short_phone),
    (P::Phone, C::MANY_DIGITS, r"(?i)\b(?:phone|cell|mobile|tel|telephone|fax|whatsapp|call (?:me|us|him|her|them)(?: back)? (?:at|on)|text (?:me|us|him|her|them)(?: at| on)?|call or text|reach me (?:at|on)|my number|their number)(?:[ \t]?(?:<no>))?<sep>(?:at )?(?P<v>\+?\(?\d[\d .()-]{4,18}\d)\b", phone),
    (P::Phone, C::NOTHING, r"(?i)\b(?:(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)[ ,.-]{1,2}){6,10}(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)\b", counted),
    // Accounts of people.
    (P::Handle, C::AT, r"(?:^|[^A-Za-z0-9@/._-])(?P<v>@[A-Za-z_][A-Za-z0-9_.-]{0,38}[A-Za-z0-9_])", handle),
    (P::Handle, C::SLASH, r"(?:^|[^A-Za-z0-9/@._-])(?P<v>/?(?:u|U|user)/[A-Za-z0-9_-]{3,22})", reddit_name),
    (P::Handle, C::COLON, r"(?i)\b(?:ig|insta|instagram|snap|snapchat|discord|telegram|tiktok|twitter|kik|venmo|cash ?app|user ?name|user ?id|login|skype|gamertag)(?: (?:handle|name|id|tag))?[ \t]{0,2}:[ \t]{0,2}(?P<v>[a-z0-9_$.\#-]{2,40}[a-z0-9_])", all),
    (P::Handle, C::NOTHING, r"(?i)\b(?:user ?name|user ?id|screen ?name|handle|login) (?:is|was) (?P<v>[a-z0-9_$.\#-]{2,40}[a-z0-9_])", odd_word),
    // Names, by what stands around them.
    (P::Name, C::CAPITAL, r"\b(?i:(?:my|his|her|their|our|wife's|husband's|son's|daughter's|mom's|mother's) (?:full |first |last |legal |maiden |middle |sur|real )?name(?:'s| is| was|:)|(?:patient|customer|full|first|last|legal|maiden|middle|account holder|cardholder|pharmacist|tech|technician|rep|agent|manager|doctor|nurse|driver|prescriber)(?:'s)?(?: full| first| last)? name(?: is| was|:)|name on (?:the |my )?(?:account|bottle|card|prescription|label|order)(?: is| was|:)|(?:attn|attention|patient|prescriber|cardholder|account holder|c/o|sincerely|regards)[:,])[ \t]{1,2}\x22?(?P<v><full>)", name),
    (P::Name, C::CAPITAL, r"(?m)^[ \t]*(?i:name)[ \t]?:[ \t]{0,2}(?P<v><full>)", name),
    (P::Name, C::NOTHING, r"(?i)\b(?:my (?:full |first |last |legal |real )?name(?:'s| is)|i am called|i go by)[ \t]{1,2}(?P<v>[a-z][a-z'-]{1,30}(?:[ \t][a-z][a-z'-]{1,30})?)\b", spoken_name),
    (P::Name, C::CAPITAL, r"\b(?:I'm|I am|Im|i'm|i am|im|This is|this is|It's|it's|Hi|Hello|Hey|hi|hello|hey|Dear|dear)[ \t](?P<v><full>)", own_name),
    (P::Name, C::CAPITAL, r"\b(?P<t>Dr|DR|dr|Mr|MR|mr|Mrs|MRS|mrs|Ms|Prof)\b\.?[ \t]{1,2}(?P<v>(?:[A-Z]\.?[ \t]){0,2}<full>|[A-Z]{3,20}\b|[a-z]{3,20}\b)", titled),
    (P::Name, C::CAPITAL, r"\b(?:Doctor|doctor|Miss|Nurse|nurse|Professor|Pharmacist|pharmacist|Tech|tech|Rep|rep|Agent|agent|Manager|manager|Supervisor|supervisor|Technician|technician|NP|PA|Aunt|Uncle|Grandma|Grandpa),?[ \t](?P<v><full>)", listed_name),
    (P::Name, C::NOTHING, r"\b(?:dr|Dr|DR)\b\.?[ \t]{1,2}(?P<v>[a-z]{3,20})\b", titled),
    (P::Name, C::CAPITAL, r"\b(?i:(?:my|his|her|our|their) (?:[a-z-]{2,12} )?(?:wife|husband|spouse|son|daughter|mom|mum|mother|dad|father|sister|brother|boyfriend|girlfriend|partner|fiancee?|friend|roommate|neighbor|kid|child|baby|grandmother|grandfather|grandma|grandpa|aunt|uncle|cousin|niece|nephew|pharmacist|therapist|psychiatrist|nurse|caregiver|boss|coworker|dog|cat|pcp))(?:,?[ \t](?:named )?|[ \t]?\()(?P<v><full>)", listed_name),
    (P::Name, C::CAPITAL, r"\b<person>,?[ \t](?i:named|called|by the name of|whose name (?:is|was)|name of|goes by)[ \t](?P<v><full>)", name),
    (P::Name, C::CAPITAL, r"\b(?i:(?:spoke|spoken|speaking|speak|talked|talking|talk|chatted|chatting|chat|dealt|dealing|meeting|met)[ \t](?:to|with)|asked for|ask for|shout ?out to|thanks to|thank you to|kudos to|contact|call|told by|helped by|filled by|signed by|prescribed by|written by)[ \t](?P<v><full>)", listed_name),
    (P::Name, C::CAPITAL, r"\b(?P<v><full>)[ \t](?i:from|at|in|with)[ \t](?i:the )?(?:[Bb]illing|[Cc]ustomer|[Ss]upport|[Pp]harmacy|[Cc]orporate|[Mm]ember|CVS|Walgreens|Amazon|[Ii]nsurance|[Cc]laims|[Ss]hipping)\b", listed_name),
    (P::Name, C::CAPITAL, r"(?m)^[ \t]*(?:[-~*]{1,3}[ \t]*)?(?i:thanks|thank you|thx|regards|best|all the best|best regards|kind regards|warm regards|sincerely|cheers|yours|yours truly|respectfully|love|signed)[,!.]{0,3}[ \t]*\n?[ \t]*[-~]{0,2}[ \t]*(?P<v><full>)[ \t.!]*$", listed_name),
    (P::Name, C::CAPITAL, r"(?m)(?:^[ \t]*|[.!?][ \t]{1,2})[-~]{1,3}[ \t]*(?P<v><full>)[ \t.!]*$", listed_name),
    (P::Name, C::CAPITAL, r"\b(?P<v><n>(?:[ \t][A-Z]\b\.?)?[ \t]<n>)", first_and_last),
    ]
}

/// Where to look again after a match that was nothing: behind its first word.
pub(super) fn next_word(text: &[u8], whole: &Range<usize>) -> usize {
    let matched = &text[whole.clone()];
    let word =
        matched.iter().skip(1).position(|b| !b.is_ascii_alphanumeric()).map_or(matched.len(), |at| at + 1);
    whole.start + word.max(1)
}

fn all(hit: &Hit<'_>) -> Option<Range<usize>> {
    Some(hit.value.clone())
}

fn only(hit: &Hit<'_>, right: bool) -> Option<Range<usize>> {
    right.then(|| hit.value.clone())
}

/// A file's name is no address of mail.
fn mail(hit: &Hit<'_>) -> Option<Range<usize>> {
    Some(hit.value.clone())
}

fn url(hit: &Hit<'_>) -> Option<Range<usize>> {
    let mut value = hit.value.clone();
    // What closes a sentence or a bracket around it is no part of it.
    while let Some(last) = hit.text[value.clone()].last() {
        let part = &hit.text[value.clone()];
        let balanced = |open: u8, close: u8| {
            part.iter().filter(|b| **b == open).count() >= part.iter().filter(|b| **b == close).count()
        };
        let loose = match last {
            b'.' | b',' | b';' | b':' | b'!' | b'?' | b'\'' | b'*' | b'>' | b'|' => true,
            b')' => !balanced(b'(', b')'),
            b']' => !balanced(b'[', b']'),
            b'}' => true,
            _ => false,
        };
        if !loose {
            break;
        }
        value.end -= 1;
    }
    Some(value)
}

/// `jane@gmail`, but not `price @ live`.
fn known_mail(hit: &Hit<'_>) -> Option<Range<usize>> {
    let value = hit.value();
    let spaced = value.windows(2).any(|pair| pair == b" @" || pair == b"@ ");
    only(hit, !spaced || value.contains(&b'.'))
}

/// `jane at gmail dot com`, but not `look at gmail dot com`.
fn spelled_mail(hit: &Hit<'_>) -> Option<Range<usize>> {
    let value = hit.value();
    let at = value.windows(4).position(|four| four.eq_ignore_ascii_case(b" at "))?;
    let word = value[..at].rsplit(|b| *b == b' ').next()?.to_ascii_lowercase();
    const NO_NAMES: [&[u8]; 32] = [
        b"me",
        b"us",
        b"you",
        b"him",
        b"her",
        b"them",
        b"look",
        b"looked",
        b"looking",
        b"is",
        b"was",
        b"are",
        b"account",
        b"email",
        b"mail",
        b"inbox",
        b"support",
        b"page",
        b"order",
        b"ordered",
        b"shop",
        b"prices",
        b"pharmacy",
        b"reach",
        b"contact",
        b"it",
        b"available",
        b"up",
        b"online",
        b"out",
        b"customer",
        b"here",
    ];
    only(hit, !NO_NAMES.contains(&&*word))
}

fn ip(hit: &Hit<'_>) -> Option<Range<usize>> {
    let octets = hit.value().split(|b| *b == b'.').all(|octet| octet.len() < 3 || *octet <= b"255"[..]);
    let before = hit.before(9).to_ascii_lowercase();
    let before = before.trim_ascii_end();
    let version = [&b"version"[..], b"v", b"ver", b"v.", b"release", b"update", b"ios", b"build"]
        .iter()
        .any(|word| before.ends_with(word));
    only(hit, octets && !version)
}

fn card(hit: &Hit<'_>) -> Option<Range<usize>> {
    let digits: Vec<u8> = hit.digits().collect();
    let mut sum = 0_u32;
    for (place, digit) in digits.iter().rev().enumerate() {
        let digit = u32::from(*digit);
        sum += if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 };
    }
    only(hit, (2..=6).contains(digits.first()?) && sum.is_multiple_of(10))
}

/// Three, two and four digits; with blanks or dots only what could be given out.
fn ssn(hit: &Hit<'_>) -> Option<Range<usize>> {
    let dashed = hit.value().contains(&b'-');
    let digits: Vec<u8> = hit.digits().collect();
    let given = digits.first() != Some(&9)
        && digits.get(..3) != Some(&[0, 0, 0])
        && digits.get(3..5) != Some(&[0, 0]);
    only(hit, dashed || given && !a_dose(hit))
}

/// A value behind a label: with digits enough to be one.
fn labelled(hit: &Hit<'_>) -> Option<Range<usize>> {
    only(hit, hit.value().len() >= 4 && hit.digits().count() >= 3 && !is_date(hit.value()) && !a_dose(hit))
}

fn rx(hit: &Hit<'_>) -> Option<Range<usize>> {
    only(hit, hit.digits().count() >= 5 && !is_date(hit.value()))
}

fn order(hit: &Hit<'_>) -> Option<Range<usize>> {
    only(hit, hit.value().len() >= 4 && hit.digits().count() >= 3 && !is_date(hit.value()) && !a_dose(hit))
}

/// Behind "account" without "number": six digits at least.
fn account(hit: &Hit<'_>) -> Option<Range<usize>> {
    let label = &hit.text[hit.whole.start..hit.value.start];
    let said = label.iter().any(|b| matches!(b, b'#' | b':'))
        || find(label, b"num")
        || find(label, b"no")
        || find(label, b"id");
    let least = if said { 4 } else { 6 };
    only(hit, hit.digits().count() >= least && !is_date(hit.value()) && !a_dose(hit))
}

fn find(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// `2024-03-15`, `3/4/2024`.
fn is_date(value: &[u8]) -> bool {
    let groups: Vec<&[u8]> = value.split(|b| matches!(b, b'-' | b'/' | b'.' | b' ')).collect();
    let digits = groups.iter().all(|group| !group.is_empty() && group.iter().all(u8::is_ascii_digit));
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    digits && matches!(lengths[..], [4, 1 | 2, 1 | 2] | [1 | 2, 1 | 2, 2 | 4])
}

/// Whether money stands before a number, or a unit behind it.
fn a_dose(hit: &Hit<'_>) -> bool {
    if hit.before(2).trim_ascii_end().ends_with(b"$") {
        return true;
    }
    let after = hit.after(12).to_ascii_lowercase();
    let word = after.trim_ascii_start();
    let word = word.split(|b| !b.is_ascii_alphabetic() && *b != b'%').next().unwrap_or(word);
    [
        &b"mg"[..],
        b"mcg",
        b"ml",
        b"iu",
        b"units",
        b"unit",
        b"g",
        b"%",
        b"pills",
        b"tablets",
        b"tabs",
        b"capsules",
        b"dollars",
        b"bucks",
        b"people",
        b"patients",
        b"calories",
        b"cal",
        b"kcal",
        b"steps",
        b"usd",
        b"times",
        b"stores",
        b"pharmacies",
        b"orders",
        b"customers",
        b"users",
        b"miles",
        b"hours",
        b"days",
        b"years",
    ]
    .contains(&word)
}

/// A number and capitalised words up to "Street", none of which says otherwise.
fn street(hit: &Hit<'_>) -> Option<Range<usize>> {
    let money = hit.before(1) == b"$";
    let words: Vec<&[u8]> =
        hit.value().split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty()).collect();
    let dose = words.get(1).is_some_and(|word| {
        *word != b"E"
            && *word != b"S"
            && *word != b"W"
            && *word != b"N"
            && (no_street(word) || never(word))
            && !word.eq_ignore_ascii_case(b"old")
            && !word.eq_ignore_ascii_case(b"new")
            && !word.eq_ignore_ascii_case(b"park")
    });
    only(hit, !money && !dose)
}

fn plain_street(hit: &Hit<'_>) -> Option<Range<usize>> {
    let value = hit.value();
    let words: Vec<&[u8]> = value.split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty()).collect();
    let kind = |word: &[u8]| {
        let word: Vec<u8> =
            word.iter().filter(|b| b.is_ascii_alphabetic()).map(u8::to_ascii_lowercase).collect();
        [
            &b"street"[..],
            b"st",
            b"avenue",
            b"ave",
            b"road",
            b"rd",
            b"boulevard",
            b"blvd",
            b"lane",
            b"ln",
            b"drive",
            b"court",
            b"circle",
            b"parkway",
            b"pkwy",
            b"terrace",
        ]
        .contains(&&*word)
    };
    let between: Vec<&&[u8]> = words.iter().skip(1).take_while(|word| !kind(word)).collect();
    let wrong = between.iter().any(|word| no_street(word) || never(word));
    only(hit, !between.is_empty() && !wrong && hit.before(1) != b"$")
}

/// A city, its state and five digits. `OR`, `IN`, `ME` are words where no comma says otherwise.
fn city(hit: &Hit<'_>) -> Option<Range<usize>> {
    let value = hit.value();
    let unlike = value
        .split(|b| *b == b' ')
        .any(|w| matches!(w, b"IN" | b"OR" | b"ME" | b"OK" | b"HI" | b"PA" | b"MS"));
    only(hit, (!unlike || value.contains(&b',')) && !a_dose(hit))
}

/// The rest of a sentence that gives an address.
fn named_address(hit: &Hit<'_>) -> Option<Range<usize>> {
    let mut value = hit.value.clone();
    if let Some(end) = hit.value().windows(2).position(|two| two == b". ") {
        value.end = value.start + end;
    }
    let second = hit.value().split(|b| *b == b' ').nth(1)?;
    (!no_street(second)).then_some(value)
}

fn phone(hit: &Hit<'_>) -> Option<Range<usize>> {
    let mut value = hit.value.clone();
    while hit.text[value.clone()].last().is_some_and(|b| matches!(b, b' ' | b'.' | b'-' | b'(')) {
        value.end -= 1;
    }
    let bare = Hit { text: hit.text, whole: hit.whole.clone(), value: value.clone() };
    let digits = bare.digits().count();
    let wrong = digits < 7 || is_date(bare.value()) || a_dose(&bare) || says_code(&bare);
    // Numbers in a row are numbers in a row; with blanks alone the first must be an area.
    let blanks = bare.value().iter().all(|b| b.is_ascii_digit() || *b == b' ');
    let area = bare.digits().next().is_some_and(|first| first >= 2) || digits != 10;
    (!wrong && (!blanks || area)).then_some(value)
}

fn solid_phone(hit: &Hit<'_>) -> Option<Range<usize>> {
    only(hit, !a_dose(hit) && !says_code(hit) && !hit.before(1).ends_with(b"."))
}

/// Whether what stands before a number says that it is a product's.
fn says_code(hit: &Hit<'_>) -> bool {
    let before = hit.before(12).to_ascii_lowercase();
    [&b"ndc"[..], b"upc", b"isbn", b"lot", b"sku", b"asin", b"item", b"model"]
        .iter()
        .any(|word| find(&before, word))
}

/// Digits with a blank between: three, three and four, or three and four with a dash.
fn spread_phone(hit: &Hit<'_>) -> Option<Range<usize>> {
    let digits: Vec<u8> = hit.digits().collect();
    let counting = digits.windows(2).all(|pair| (pair[0] + 1) % 10 == pair[1] % 10);
    let grouped = hit.value().iter().any(|b| matches!(b, b'-' | b'.'));
    let more = hit.before(2).iter().any(u8::is_ascii_digit) || hit.after(2).iter().any(u8::is_ascii_digit);
    only(hit, !counting && !more && (grouped || digits.len() == 10))
}

/// Three and four digits: not `250-1000 mg`, nor another range of round numbers.
fn short_phone(hit: &Hit<'_>) -> Option<Range<usize>> {
    let last: u32 = hit.digits().skip(3).take(4).fold(0, |sum, digit| sum * 10 + u32::from(digit));
    let joined = hit.before(1).iter().any(|b| matches!(b, b'-' | b'/' | b'.'))
        || hit.after(1).iter().any(|b| matches!(b, b'-' | b'/'));
    let before = hit.before(30).to_ascii_lowercase();
    let said = [&b"call"[..], b"phone", b"tel", b"text", b"fax", b"cell", b"reach", b"dial", b"mobile"]
        .iter()
        .any(|word| find(&before, word));
    only(hit, !joined && !a_dose(hit) && !says_code(hit) && (said || !last.is_multiple_of(50)))
}

/// Digits as words, unless they only count.
fn counted(hit: &Hit<'_>) -> Option<Range<usize>> {
    const WORDS: [&[u8]; 10] =
        [b"zero", b"one", b"two", b"three", b"four", b"five", b"six", b"seven", b"eight", b"nine"];
    let words = hit.value().to_ascii_lowercase();
    let digits: Vec<usize> = words
        .split(|b| !b.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .map(|word| WORDS.iter().position(|digit| *digit == word).unwrap_or(0))
        .collect();
    only(hit, !digits.windows(2).all(|pair| pair[0] + 1 == pair[1] || pair[0] == pair[1] + 1))
}

fn handle(hit: &Hit<'_>) -> Option<Range<usize>> {
    let mut value = hit.value.clone();
    while hit.text[value.clone()].last().is_some_and(|b| matches!(b, b'.' | b'-')) {
        value.end -= 1;
    }
    let word = hit.text[value.start + 1..value.end].to_ascii_lowercase();
    const NOBODY: [&[u8]; 38] = [
        b"home",
        b"work",
        b"school",
        b"night",
        b"least",
        b"all",
        b"bedtime",
        b"noon",
        b"midnight",
        b"once",
        b"the",
        b"my",
        b"a",
        b"an",
        b"this",
        b"that",
        b"times",
        b"everyone",
        b"here",
        b"amazon",
        b"amazonhelp",
        b"amazonpharmacy",
        b"cvs",
        b"cvspharmacy",
        b"cvs_extra",
        b"walgreens",
        b"riteaid",
        b"walmart",
        b"costco",
        b"kroger",
        b"pillpack",
        b"optumrx",
        b"expressscripts",
        b"goodrx",
        b"capsule",
        b"hims",
        b"target",
        b"publix",
    ];
    (!NOBODY.contains(&&*word)).then_some(value)
}

/// `u/jane`, but not `10 u/day`.
fn reddit_name(hit: &Hit<'_>) -> Option<Range<usize>> {
    let amount = hit.before(2).trim_ascii_end().last().is_some_and(u8::is_ascii_digit);
    let name = hit.value().rsplit(|b| *b == b'/').next()?.to_ascii_lowercase();
    let per = [&b"day"[..], b"hour", b"meal", b"dose", b"night", b"week", b"min", b"carb", b"mol"]
        .contains(&&*name);
    only(hit, !(amount || per && !hit.value().starts_with(b"/")))
}

/// A word that nobody would say: with a digit or a sign.
fn odd_word(hit: &Hit<'_>) -> Option<Range<usize>> {
    only(hit, hit.value().iter().any(|b| b.is_ascii_digit() || matches!(b, b'_' | b'#')))
}

/// The words of a name, up to the first that is none.
fn trimmed(hit: &Hit<'_>) -> Option<(Range<usize>, Vec<Range<usize>>)> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut at = hit.value.start;
    for word in hit.value().split(|b| matches!(b, b' ' | b'\t')) {
        let range = at..at + word.len();
        at = range.end + 1;
        if !word.is_empty() {
            if never(word) {
                break;
            }
            words.push(range);
        }
    }
    let mut end = words.last()?.end;
    // "Smith's" is a name and an ending.
    if hit.text[..end].ends_with(b"'s") {
        end -= 2;
    }
    Some((words.first()?.start..end, words))
}

/// Where only a name can stand.
fn name(hit: &Hit<'_>) -> Option<Range<usize>> {
    trimmed(hit).map(|(value, _)| value)
}

/// Where other words can stand as well: the first must be a first name, or both a usual pair.
fn listed_name(hit: &Hit<'_>) -> Option<Range<usize>> {
    let (value, words) = trimmed(hit)?;
    let first = &hit.text[words.first()?.clone()];
    let last = words.get(1..).and_then(|rest| rest.last()).map(|last| &hit.text[last.clone()]);
    let right = is_first(first) || may_be_first(first) || last.is_some_and(is_last);
    if !right {
        return None;
    }
    // "Jessica Billing": a second word that is capitalised in passing stays.
    Some(value)
}

/// `I'm Jane Doe`, `this is Jane calling`.
fn own_name(hit: &Hit<'_>) -> Option<Range<usize>> {
    let (value, words) = trimmed(hit)?;
    let first = &hit.text[words.first()?.clone()];
    let right = is_first(first) || words.len() > 1 && may_be_first(first);
    right.then_some(value)
}

/// `my name is jane doe`, `MY NAME IS JANE`.
fn spoken_name(hit: &Hit<'_>) -> Option<Range<usize>> {
    let (mut value, words) = trimmed(hit)?;
    if let [first, second, ..] = &words[..] {
        let word = &hit.text[second.clone()];
        let ends = matches!(hit.text.get(second.end), None | Some(b'.' | b',' | b'!' | b'\n' | b';' | b')'));
        if !(is_last(word) || ends) {
            value.end = first.end;
        }
    }
    Some(value)
}

/// Behind a title. Behind "my Dr." a sentence may end, and in lower case much else can stand.
fn titled(hit: &Hit<'_>) -> Option<Range<usize>> {
    let (value, words) = trimmed(hit)?;
    let last = &hit.text[words.last()?.clone()];
    let first = &hit.text[words.first()?.clone()];
    let known = is_last(last) || is_first(first);
    if first.first().is_some_and(u8::is_ascii_lowercase)
        || first.len() > 2 && first.iter().all(u8::is_ascii_uppercase)
    {
        return known.then_some(value);
    }
    let before = hit.text[..hit.whole.start].trim_ascii_end();
    let possessed = [&b"my"[..], b"the", b"a", b"his", b"her", b"your", b"our", b"their", b"new", b"another"]
        .iter()
        .any(|word| {
            before.len() >= word.len() && before[before.len() - word.len()..].eq_ignore_ascii_case(word)
        });
    let stopped = hit.text[hit.whole.start..hit.value.start].contains(&b'.');
    (known || words.len() > 1 || !(possessed && stopped)).then_some(value)
}

/// A frequent first name and a frequent surname.
fn first_and_last(hit: &Hit<'_>) -> Option<Range<usize>> {
    let (value, words) = trimmed(hit)?;
    let right = words.len() > 1
        && is_first(&hit.text[words.first()?.clone()])
        && is_last(&hit.text[words.last()?.clone()]);
    right.then_some(value)
}

#[cfg(test)]
mod tests {
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
