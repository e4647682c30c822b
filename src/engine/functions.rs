//! The `rx_…` functions of SQL.
//!
//! All are immutable. `rx_issue_type`, `rx_issue_rule` and `rx_also_matched` over the same
//! text become fields of one hidden call, so that the optimizer's common expressions classify
//! a text once; so do `rx_brand` and `rx_also_brands`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, ListBuilder,
    StringBuilder, StringViewArray, StringViewBuilder, StructArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Int64Type, TimeUnit, TimestampMillisecondType};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::functions::expr_fn::regexp_replace;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use super::canonical::is_text;
use super::session::EngineOptions;
use super::text::{BrandMatcher, IssueClassifier, TextTools};
use crate::graph::Day;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Norm,
    Unescape,
    /// Hidden: brand and other brands as one struct.
    BrandOf,
    /// Hidden: a field of that struct. DataFusion's own field access is pushed down into the
    /// projection that made the struct, which would make it again for each field.
    BrandField(usize),
    Brand,
    AlsoBrands,
    /// Hidden: issue type, rule and other types as one struct.
    IssueOf,
    /// Hidden: a field of that struct.
    IssueField(usize),
    IssueType,
    IssueRule,
    AlsoMatched,
    IsCustomerVoice,
    Hash,
    Engagement,
    Ln,
    EpochMs,
    Date,
    DaysBetween,
    AddDays,
    RegexReplaceAll,
}

/// What an argument must be.
#[derive(Clone, Copy, PartialEq)]
enum Arg {
    Text,
    Int,
    Time,
    /// The struct of a hidden call.
    Whole,
}

impl Kind {
    const ALL: [Kind; 23] = [
        Kind::Norm,
        Kind::Unescape,
        Kind::BrandOf,
        Kind::BrandField(0),
        Kind::BrandField(1),
        Kind::Brand,
        Kind::AlsoBrands,
        Kind::IssueOf,
        Kind::IssueField(0),
        Kind::IssueField(1),
        Kind::IssueField(2),
        Kind::IssueType,
        Kind::IssueRule,
        Kind::AlsoMatched,
        Kind::IsCustomerVoice,
        Kind::Hash,
        Kind::Engagement,
        Kind::Ln,
        Kind::EpochMs,
        Kind::Date,
        Kind::DaysBetween,
        Kind::AddDays,
        Kind::RegexReplaceAll,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Norm => "rx_norm",
            Kind::Unescape => "rx_unescape",
            Kind::BrandOf => "rx__brand_of",
            Kind::BrandField(0) => "rx__brand_first",
            Kind::BrandField(_) => "rx__brand_also",
            Kind::Brand => "rx_brand",
            Kind::AlsoBrands => "rx_also_brands",
            Kind::IssueOf => "rx__issue_of",
            Kind::IssueField(0) => "rx__issue_type",
            Kind::IssueField(1) => "rx__issue_rule",
            Kind::IssueField(_) => "rx__issue_also",
            Kind::IssueType => "rx_issue_type",
            Kind::IssueRule => "rx_issue_rule",
            Kind::AlsoMatched => "rx_also_matched",
            Kind::IsCustomerVoice => "rx_is_customer_voice",
            Kind::Hash => "rx_hash",
            Kind::Engagement => "rx_engagement",
            Kind::Ln => "rx_ln",
            Kind::EpochMs => "rx_epoch_ms",
            Kind::Date => "rx_date",
            Kind::DaysBetween => "rx_days_between",
            Kind::AddDays => "rx_add_days",
            Kind::RegexReplaceAll => "rx_regex_replace_all",
        }
    }

    /// The arguments; the last may repeat for `rx_hash`.
    fn args(self) -> &'static [Arg] {
        match self {
            Kind::Norm
            | Kind::Unescape
            | Kind::IssueOf
            | Kind::IssueType
            | Kind::IssueRule
            | Kind::AlsoMatched
            | Kind::IsCustomerVoice
            | Kind::Hash
            | Kind::Date => &[Arg::Text],
            Kind::BrandOf | Kind::Brand | Kind::AlsoBrands | Kind::RegexReplaceAll => {
                &[Arg::Text, Arg::Text, Arg::Text]
            }
            Kind::Engagement => &[Arg::Int, Arg::Int],
            Kind::Ln => &[Arg::Int],
            Kind::EpochMs => &[Arg::Time],
            Kind::DaysBetween => &[Arg::Text, Arg::Text],
            Kind::AddDays => &[Arg::Text, Arg::Int],
            Kind::BrandField(_) | Kind::IssueField(_) => &[Arg::Whole],
        }
    }

    fn returns(self) -> DataType {
        match self {
            Kind::Norm
            | Kind::Unescape
            | Kind::Brand
            | Kind::IssueType
            | Kind::IssueRule
            | Kind::Hash
            | Kind::AddDays
            | Kind::RegexReplaceAll => DataType::Utf8View,
            Kind::AlsoBrands | Kind::AlsoMatched => words(),
            Kind::BrandOf => DataType::Struct(brand_fields()),
            Kind::BrandField(i) => brand_fields()[i].data_type().clone(),
            Kind::IssueField(i) => issue_fields()[i].data_type().clone(),
            Kind::IssueOf => DataType::Struct(issue_fields()),
            Kind::IsCustomerVoice => DataType::Boolean,
            Kind::Engagement | Kind::EpochMs => DataType::Int64,
            Kind::Ln => DataType::Float64,
            Kind::Date => DataType::Date32,
            Kind::DaysBetween => DataType::Int32,
        }
    }
}

fn words() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
}

fn brand_fields() -> Fields {
    vec![Field::new("brand", DataType::Utf8View, true), Field::new("also", words(), true)].into()
}

fn issue_fields() -> Fields {
    vec![
        Field::new("type", DataType::Utf8View, true),
        Field::new("rule", DataType::Utf8View, true),
        Field::new("also", words(), true),
    ]
    .into()
}

struct Tools {
    brands: Arc<dyn BrandMatcher>,
    taxonomy: Arc<dyn IssueClassifier>,
    text: TextTools,
}

struct RxFunction {
    kind: Kind,
    signature: Signature,
    tools: Arc<Tools>,
    /// The call that this one is a field of, and the field.
    whole: Option<(Arc<ScalarUDF>, Arc<ScalarUDF>)>,
}

// One engine has one set of tools, so the kind says it all.
impl PartialEq for RxFunction {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for RxFunction {}

impl Hash for RxFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
    }
}

impl fmt::Debug for RxFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())
    }
}

/// Adds the functions to what queries know.
pub(super) fn register(state: &mut SessionState, options: &EngineOptions) -> Result<()> {
    let tools = Arc::new(Tools {
        brands: options.brands.clone(),
        taxonomy: options.taxonomy.clone(),
        text: options.text,
    });
    let make = |kind: Kind, whole: Option<(Arc<ScalarUDF>, Arc<ScalarUDF>)>| {
        Arc::new(ScalarUDF::new_from_impl(RxFunction {
            kind,
            signature: Signature::user_defined(Volatility::Immutable),
            tools: tools.clone(),
            whole,
        }))
    };
    let brand_of = make(Kind::BrandOf, None);
    let issue_of = make(Kind::IssueOf, None);
    for kind in Kind::ALL {
        state.register_udf(match kind {
            Kind::BrandOf => brand_of.clone(),
            Kind::IssueOf => issue_of.clone(),
            Kind::Brand => make(kind, Some((brand_of.clone(), make(Kind::BrandField(0), None)))),
            Kind::AlsoBrands => make(kind, Some((brand_of.clone(), make(Kind::BrandField(1), None)))),
            Kind::IssueType => make(kind, Some((issue_of.clone(), make(Kind::IssueField(0), None)))),
            Kind::IssueRule => make(kind, Some((issue_of.clone(), make(Kind::IssueField(1), None)))),
            Kind::AlsoMatched => make(kind, Some((issue_of.clone(), make(Kind::IssueField(2), None)))),
            _ => make(kind, None),
        })?;
    }
    Ok(())
}

impl ScalarUDFImpl for RxFunction {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.kind.returns())
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.kind.name();
        let wanted = self.kind.args();
        let fits = if self.kind == Kind::Hash {
            (1..=8).contains(&given.len())
        } else {
            given.len() == wanted.len()
        };
        if !fits {
            let n = if self.kind == Kind::Hash { "1 to 8".to_string() } else { wanted.len().to_string() };
            return plan_err!("{name} takes {n} argument(s), not {}", given.len());
        }
        given
            .iter()
            .enumerate()
            .map(|(i, given)| {
                let arg = wanted.get(i).or(wanted.last()).copied().unwrap_or(Arg::Text);
                Ok(match (arg, given) {
                    (Arg::Text, DataType::Null) => DataType::Utf8View,
                    (Arg::Text, t) if is_text(t) => DataType::Utf8View,
                    (Arg::Int, DataType::Null) => DataType::Int64,
                    (Arg::Int, t) if t.is_integer() => DataType::Int64,
                    (Arg::Whole, DataType::Struct(_)) => given.clone(),
                    (Arg::Time, DataType::Null | DataType::Date32) => {
                        DataType::Timestamp(TimeUnit::Millisecond, None)
                    }
                    (Arg::Time, DataType::Timestamp(_, zone)) => {
                        DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
                    }
                    (arg, given) => {
                        let wants = match arg {
                            Arg::Text => "text",
                            Arg::Int => "a whole number",
                            Arg::Time => "a timestamp",
                            Arg::Whole => "the result of another function",
                        };
                        return plan_err!("{name} takes {wants} as argument {}, not {given}: cast it", i + 1);
                    }
                })
            })
            .collect()
    }

    fn simplify(&self, mut args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match self.kind {
            Kind::Brand | Kind::IssueType | Kind::IssueRule | Kind::AlsoBrands | Kind::AlsoMatched => {}
            Kind::RegexReplaceAll if args.len() == 3 => {
                let (replacement, pattern, text) = (args.pop(), args.pop(), args.pop());
                if let (Some(text), Some(pattern), Some(replacement)) = (text, pattern, replacement) {
                    let all = regexp_replace(text, pattern, replacement, Some(lit("g")));
                    return Ok(ExprSimplifyResult::Simplified(datafusion::logical_expr::cast(
                        all,
                        DataType::Utf8View,
                    )));
                }
                return internal_err!("arguments went missing");
            }
            _ => return Ok(ExprSimplifyResult::Original(args)),
        }
        let Some((whole, field)) = &self.whole else { return Ok(ExprSimplifyResult::Original(args)) };
        Ok(ExprSimplifyResult::Simplified(field.call(vec![whole.call(args)])))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let value = self.eval(&arrays)?;
        if constant && value.len() == 1 {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?));
        }
        Ok(ColumnarValue::Array(value))
    }
}

fn text(arrays: &[ArrayRef], i: usize) -> Result<&StringViewArray> {
    match arrays.get(i).and_then(|a| a.as_string_view_opt()) {
        Some(array) => Ok(array),
        None => internal_err!("argument {} is not text", i + 1),
    }
}

fn ints(arrays: &[ArrayRef], i: usize) -> Result<&Int64Array> {
    match arrays.get(i).and_then(|a| a.as_primitive_opt::<Int64Type>()) {
        Some(array) => Ok(array),
        None => internal_err!("argument {} is not a whole number", i + 1),
    }
}

/// Reads days, which mostly repeat from row to row.
#[derive(Default)]
struct Days {
    last: Option<(String, Day)>,
}

impl Days {
    fn read(&mut self, name: &str, text: &str) -> Result<Day> {
        if let Some((known, day)) = &self.last
            && known == text
        {
            return Ok(*day);
        }
        match text.parse() {
            Ok(day) => {
                self.last = Some((text.to_string(), day));
                Ok(day)
            }
            Err(e) => exec_err!("{name}: {e}"),
        }
    }
}

impl RxFunction {
    fn eval(&self, args: &[ArrayRef]) -> Result<ArrayRef> {
        let name = self.kind.name();
        Ok(match self.kind {
            Kind::Norm => map_text(text(args, 0)?, self.tools.text.norm),
            Kind::Unescape => map_text(text(args, 0)?, self.tools.text.unescape),
            Kind::BrandOf => Arc::new(self.brands(text(args, 0)?, text(args, 1)?, text(args, 2)?)?),
            Kind::IssueOf => Arc::new(self.issues(text(args, 0)?)?),
            Kind::BrandField(i) | Kind::IssueField(i) => match args[0].as_struct_opt() {
                Some(whole) => whole.column(i).clone(),
                None => return internal_err!("argument 1 is not a struct"),
            },
            Kind::Brand | Kind::AlsoBrands => {
                let whole = self.brands(text(args, 0)?, text(args, 1)?, text(args, 2)?)?;
                whole.column(usize::from(self.kind == Kind::AlsoBrands)).clone()
            }
            Kind::IssueType => self.issues(text(args, 0)?)?.column(0).clone(),
            Kind::IssueRule => self.issues(text(args, 0)?)?.column(1).clone(),
            Kind::AlsoMatched => self.issues(text(args, 0)?)?.column(2).clone(),
            Kind::IsCustomerVoice => Arc::new(
                text(args, 0)?
                    .iter()
                    .map(|id| self.tools.taxonomy.is_customer_voice(id?))
                    .collect::<BooleanArray>(),
            ),
            Kind::Hash => hash(args)?,
            Kind::Engagement => {
                let (scores, comments) = (ints(args, 0)?, ints(args, 1)?);
                let at = |a: &Int64Array, i: usize| if a.is_null(i) { 0 } else { a.value(i).max(0) };
                Arc::new(Int64Array::from_iter_values((0..scores.len()).map(|i| {
                    at(scores, i).saturating_add(1).saturating_mul(at(comments, i).saturating_add(1))
                })))
            }
            // Rounded before it is stored: the last bits of a logarithm differ between machines.
            Kind::Ln => Arc::new(
                ints(args, 0)?
                    .iter()
                    .map(|n| n.map(|n| ((n.max(1) as f64).ln() * 100.0).round() / 100.0))
                    .collect::<Float64Array>(),
            ),
            Kind::EpochMs => match args[0].as_primitive_opt::<TimestampMillisecondType>() {
                Some(times) => Arc::new(times.iter().collect::<Int64Array>()),
                None => return internal_err!("argument 1 is not a timestamp"),
            },
            Kind::Date => {
                let mut days = Days::default();
                let dates = text(args, 0)?
                    .iter()
                    .map(|dt| dt.map(|dt| days.read(name, dt).map(|d| d.0)).transpose())
                    .collect::<Result<Date32Array>>()?;
                Arc::new(dates)
            }
            Kind::DaysBetween => {
                let (mut from, mut to) = (Days::default(), Days::default());
                let between = text(args, 0)?
                    .iter()
                    .zip(text(args, 1)?)
                    .map(|pair| match pair {
                        (Some(a), Some(b)) => {
                            let (a, b) = (from.read(name, a)?, to.read(name, b)?);
                            Ok(Some(b.0 - a.0))
                        }
                        _ => Ok(None),
                    })
                    .collect::<Result<Int32Array>>()?;
                Arc::new(between)
            }
            Kind::AddDays => {
                let mut days = Days::default();
                let mut out = StringViewBuilder::with_capacity(args[0].len());
                let mut last: Option<(Day, String)> = None;
                for (dt, n) in text(args, 0)?.iter().zip(ints(args, 1)?) {
                    let (Some(dt), Some(n)) = (dt, n) else {
                        out.append_null();
                        continue;
                    };
                    let from = days.read(name, dt)?;
                    let Some(day) = i32::try_from(n).ok().and_then(|n| from.0.checked_add(n)).map(Day) else {
                        return exec_err!("{name}: {dt} and {n} days is out of range");
                    };
                    if last.as_ref().is_none_or(|(known, _)| *known != day) {
                        last = Some((day, day.to_string()));
                    }
                    out.append_option(last.as_ref().map(|(_, text)| text.as_str()));
                }
                Arc::new(out.finish())
            }
            Kind::RegexReplaceAll => return internal_err!("{name} is rewritten before it runs"),
        })
    }

    fn brands(
        &self,
        texts: &StringViewArray,
        platforms: &StringViewArray,
        channels: &StringViewArray,
    ) -> Result<StructArray> {
        let mut brand = StringViewBuilder::with_capacity(texts.len());
        let mut also = ListBuilder::new(StringBuilder::new());
        let mut others = Vec::new();
        let brands = &self.tools.brands;
        for ((text, platform), channel) in texts.iter().zip(platforms).zip(channels) {
            others.clear();
            let first = brands.matches(
                text.unwrap_or_default(),
                platform.unwrap_or_default(),
                channel.unwrap_or_default(),
                &mut others,
            );
            brand.append_option(first.map(|b| brands.key(b)));
            others.iter().for_each(|b| also.values().append_value(brands.key(*b)));
            also.append(true);
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(brand.finish()), Arc::new(also.finish())];
        Ok(StructArray::try_new(brand_fields(), columns, None)?)
    }

    fn issues(&self, texts: &StringViewArray) -> Result<StructArray> {
        let mut id = StringViewBuilder::with_capacity(texts.len());
        let mut rule = StringViewBuilder::with_capacity(texts.len()).with_deduplicate_strings();
        let mut also = ListBuilder::new(StringBuilder::new());
        let mut others = Vec::new();
        let taxonomy = &self.tools.taxonomy;
        for text in texts {
            others.clear();
            let (issue, by) = taxonomy.classify(text.unwrap_or_default(), &mut others);
            id.append_value(taxonomy.id(issue));
            rule.append_option(by);
            others.iter().for_each(|i| also.values().append_value(taxonomy.id(*i)));
            also.append(true);
        }
        let columns: Vec<ArrayRef> =
            vec![Arc::new(id.finish()), Arc::new(rule.finish()), Arc::new(also.finish())];
        Ok(StructArray::try_new(issue_fields(), columns, None)?)
    }
}

fn map_text(texts: &StringViewArray, f: for<'a> fn(&'a str) -> std::borrow::Cow<'a, str>) -> ArrayRef {
    let mut out = StringViewBuilder::with_capacity(texts.len());
    for text in texts {
        match text {
            Some(text) => out.append_value(f(text)),
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}

/// 128 bits of BLAKE3 over the arguments, each with its length; NULL differs from ''.
fn hash(args: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = (0..args.len()).map(|i| text(args, i)).collect::<Result<Vec<_>>>()?;
    let rows = texts.first().map_or(0, |t| t.len());
    let mut out = StringViewBuilder::with_capacity(rows);
    let mut input: Vec<u8> = Vec::new();
    let mut hex = String::with_capacity(32);
    for row in 0..rows {
        input.clear();
        for text in &texts {
            if text.is_null(row) {
                input.push(0);
            } else {
                let value = text.value(row).as_bytes();
                input.push(1);
                input.extend_from_slice(&(value.len() as u64).to_le_bytes());
                input.extend_from_slice(value);
            }
        }
        hex.clear();
        hex.push_str(&blake3::hash(&input).to_hex()[..32]);
        out.append_value(&hex);
    }
    Ok(Arc::new(out.finish()))
}
