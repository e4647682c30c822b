//! The types a table of the lake can have, and how what an engine produces is brought to them.
//!
//! Every engine, catalog and reader agrees on these types; a type outside them is refused with
//! what to cast it to. All columns may hold NULL, and metadata is dropped, so that the same rows
//! have the same schema whichever engine or optimizer made them. Pure; does not block.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use super::error::LakeError;

/// The schema as the lake stores it. Fails for a type that cannot be stored, naming the column
/// and what to cast it to, and for two columns of one name.
pub fn canonical_schema(schema: &Schema) -> Result<SchemaRef, LakeError> {
    let mut names = HashSet::new();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        if !names.insert(field.name().as_str()) {
            return Err(LakeError::DuplicateColumn(field.name().clone()));
        }
        let kind = canonical_type(field.data_type()).map_err(|advice| LakeError::Type {
            column: field.name().clone(),
            found: field.data_type().to_string(),
            advice,
        })?;
        fields.push(Field::new(field.name(), kind, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The type as the lake stores it, or what to do instead.
fn canonical_type(kind: &DataType) -> Result<DataType, String> {
    use DataType::*;
    let item = |field: &FieldRef| -> Result<FieldRef, String> {
        Ok(Arc::new(Field::new("item", canonical_type(field.data_type())?, true)))
    };
    Ok(match kind {
        Boolean | Int8 | Int16 | Int32 | Int64 | Float32 | Float64 | Date32 | Utf8 | Binary => kind.clone(),
        Utf8View | LargeUtf8 => Utf8,
        BinaryView | LargeBinary | FixedSizeBinary(_) => Binary,
        UInt8 => Int16,
        UInt16 => Int32,
        UInt32 | UInt64 => Int64,
        Timestamp(_, _) => Timestamp(TimeUnit::Millisecond, None),
        Date64 => Date32,
        Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s) => Decimal128(*p, *s),
        Dictionary(_, value) => canonical_type(value)?,
        RunEndEncoded(_, value) => canonical_type(value.data_type())?,
        List(f) | LargeList(f) | ListView(f) | LargeListView(f) | FixedSizeList(f, _) => List(item(f)?),
        Struct(fields) if fields.is_empty() => return Err("give the struct at least one field".into()),
        Struct(fields) => Struct(
            fields
                .iter()
                .map(|f| Ok(Field::new(f.name(), canonical_type(f.data_type())?, true)))
                .collect::<Result<Fields, String>>()?,
        ),
        Map(entries, _) => {
            let Struct(pair) = entries.data_type() else { return Err("cast it to a list".into()) };
            let [key, value] = &pair[..] else { return Err("cast it to a list".into()) };
            // A key is never NULL: Arrow and Parquet both demand it.
            let pair = Fields::from(vec![
                Field::new("key", canonical_type(key.data_type())?, false),
                Field::new("value", canonical_type(value.data_type())?, true),
            ]);
            Map(Arc::new(Field::new("entries", Struct(pair), false)), false)
        }
        Null => return Err("give the NULL a type, for example cast(NULL as varchar)".into()),
        Float16 => return Err("cast it to real or double".into()),
        Time32(_) | Time64(_) => return Err("cast it to varchar, or keep the whole timestamp".into()),
        Duration(_) | Interval(_) => {
            return Err("turn it into a number, for example days or milliseconds as bigint".into());
        }
        Decimal256(_, _) => return Err("cast it to decimal(38, s) or double".into()),
        _ => return Err("cast it to varchar".into()),
    })
}

/// Brings a batch to `schema` (a canonical one), column by column in order. Fails when a column
/// is missing or a value does not fit, such as an unsigned number past the signed range.
pub fn canonicalize(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, LakeError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = batch.column_by_name(field.name()).ok_or_else(|| LakeError::Value {
            column: field.name().clone(),
            source: datafusion::arrow::error::ArrowError::SchemaError(
                "the column is missing from the rows".into(),
            ),
        })?;
        if column.data_type() == field.data_type() {
            columns.push(column.clone());
            continue;
        }
        // A value that does not fit is an error, never a silent NULL.
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let cast = cast_with_options(column, field.data_type(), &options)
            .map_err(|source| LakeError::Value { column: field.name().clone(), source })?;
        columns.push(cast);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// A canonical type as text, in words that every engine understands: `varchar`, `bigint`,
/// `timestamp(3)`, `array<varchar>`, `row<"a" varchar, "b" double>`. Read back by
/// [`parse_type`]. Part of the data version, so these words never change.
pub fn type_text(kind: &DataType) -> String {
    use DataType::*;
    match kind {
        Boolean => "boolean".into(),
        Int8 => "tinyint".into(),
        Int16 => "smallint".into(),
        Int32 => "integer".into(),
        Int64 => "bigint".into(),
        Float32 => "real".into(),
        Float64 => "double".into(),
        Date32 => "date".into(),
        Utf8 => "varchar".into(),
        Binary => "varbinary".into(),
        Timestamp(TimeUnit::Millisecond, None) => "timestamp(3)".into(),
        Decimal128(p, s) => format!("decimal({p},{s})"),
        List(item) => format!("array<{}>", type_text(item.data_type())),
        Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|f| format!("{} {}", quoted(f.name()), type_text(f.data_type()))).collect();
            format!("row<{}>", fields.join(", "))
        }
        Map(entries, _) => match entries.data_type() {
            Struct(pair) if pair.len() == 2 => {
                format!("map<{}, {}>", type_text(pair[0].data_type()), type_text(pair[1].data_type()))
            }
            _ => format!("unknown {kind}"),
        },
        _ => format!("unknown {kind}"),
    }
}

fn quoted(name: &str) -> String {
    serde_json::Value::String(name.to_string()).to_string()
}

/// Reads what [`type_text`] wrote; `None` for anything else.
pub fn parse_type(text: &str) -> Option<DataType> {
    let mut rest = text;
    let kind = read_type(&mut rest, 0)?;
    rest.is_empty().then_some(kind)
}

fn read_type(rest: &mut &str, depth: usize) -> Option<DataType> {
    if depth > 32 {
        return None;
    }
    let word_end = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
    let (word, after) = rest.split_at(word_end);
    *rest = after;
    let inner = |rest: &mut &str| read_type(rest, depth + 1);
    let field = |name: &str, kind, nullable| Field::new(name, kind, nullable);
    Some(match word {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "integer" => DataType::Int32,
        "bigint" => DataType::Int64,
        "real" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "varchar" => DataType::Utf8,
        "varbinary" => DataType::Binary,
        "timestamp" => {
            eat(rest, "(3)")?;
            DataType::Timestamp(TimeUnit::Millisecond, None)
        }
        "decimal" => {
            eat(rest, "(")?;
            let (digits, after) = rest.split_once(')')?;
            *rest = after;
            let (precision, scale) = digits.split_once(',')?;
            DataType::Decimal128(precision.parse().ok()?, scale.parse().ok()?)
        }
        "array" => {
            eat(rest, "<")?;
            let item = inner(rest)?;
            eat(rest, ">")?;
            DataType::List(Arc::new(field("item", item, true)))
        }
        "map" => {
            eat(rest, "<")?;
            let key = inner(rest)?;
            eat(rest, ", ")?;
            let value = inner(rest)?;
            eat(rest, ">")?;
            let pair = Fields::from(vec![field("key", key, false), field("value", value, true)]);
            DataType::Map(Arc::new(field("entries", DataType::Struct(pair), false)), false)
        }
        "row" => {
            eat(rest, "<")?;
            let mut fields = Vec::new();
            loop {
                let mut names = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let name = names.next()?.ok()?;
                let at = names.byte_offset();
                *rest = rest.get(at..)?;
                eat(rest, " ")?;
                fields.push(field(&name, inner(rest)?, true));
                if eat(rest, ", ").is_none() {
                    break;
                }
            }
            eat(rest, ">")?;
            DataType::Struct(fields.into())
        }
        _ => return None,
    })
}

fn eat(rest: &mut &str, what: &str) -> Option<()> {
    *rest = rest.strip_prefix(what)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{StringViewArray, TimestampNanosecondArray, UInt64Array};
    use datafusion::arrow::datatypes::IntervalUnit;

    fn one(kind: DataType) -> Schema {
        Schema::new(vec![Field::new("c", kind, false)])
    }

    fn canonical(kind: DataType) -> String {
        match canonical_schema(&one(kind)) {
            Ok(schema) => {
                let text = type_text(schema.field(0).data_type());
                assert_eq!(parse_type(&text).as_ref(), Some(schema.field(0).data_type()), "{text}");
                assert!(schema.field(0).is_nullable());
                text
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn types_are_mapped_or_refused_with_advice() {
        use DataType::*;
        let list = |kind| Arc::new(Field::new("element", kind, false));
        let mut table = String::new();
        for kind in [
            Utf8View,
            LargeUtf8,
            UInt8,
            UInt16,
            UInt32,
            UInt64,
            Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Dictionary(Box::new(Int32), Box::new(Utf8View)),
            LargeList(list(UInt8)),
            Struct(
                vec![Field::new("a \"b\"", Utf8View, false), Field::new("c", Decimal64(9, 2), false)].into(),
            ),
            Map(
                Arc::new(Field::new(
                    "e",
                    Struct(vec![Field::new("k", Utf8, false), Field::new("v", UInt8, true)].into()),
                    false,
                )),
                false,
            ),
            FixedSizeBinary(3),
            Null,
            Float16,
            Time64(TimeUnit::Microsecond),
            Duration(TimeUnit::Second),
            Interval(IntervalUnit::DayTime),
            Decimal256(50, 2),
            List(list(Null)),
        ] {
            table += &canonical(kind);
            table.push('\n');
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn values_that_do_not_fit_are_an_error() {
        let schema = canonical_schema(&one(DataType::UInt64)).unwrap();
        let batch = |v| {
            RecordBatch::try_new(
                Arc::new(one(DataType::UInt64)),
                vec![Arc::new(UInt64Array::from(vec![v])) as ArrayRef],
            )
            .unwrap()
        };
        assert!(canonicalize(&batch(7), &schema).is_ok());
        let error = canonicalize(&batch(u64::MAX), &schema).unwrap_err().to_string();
        assert!(error.contains("column `c`"), "{error}");
    }

    #[test]
    fn instants_stay_the_same_instant() {
        let kind = DataType::Timestamp(TimeUnit::Nanosecond, Some("+02:00".into()));
        let array = TimestampNanosecondArray::from(vec![1_700_000_000_123_456_789]).with_timezone("+02:00");
        let batch = RecordBatch::try_new(Arc::new(one(kind.clone())), vec![Arc::new(array)]).unwrap();
        let schema = canonical_schema(&one(kind)).unwrap();
        let out = canonicalize(&batch, &schema).unwrap();
        let ms = out.column(0).as_any().downcast_ref::<datafusion::arrow::array::TimestampMillisecondArray>();
        assert_eq!(ms.unwrap().value(0), 1_700_000_000_123);
    }

    #[test]
    fn names_twice_and_columns_missing_are_named() {
        let twice =
            Schema::new(vec![Field::new("a", DataType::Utf8, true), Field::new("a", DataType::Int64, true)]);
        assert!(canonical_schema(&twice).unwrap_err().to_string().contains("`a` appears twice"));
        let schema = canonical_schema(&one(DataType::Utf8)).unwrap();
        let other =
            RecordBatch::try_from_iter([("x", Arc::new(StringViewArray::from(vec!["v"])) as ArrayRef)])
                .unwrap();
        assert!(canonicalize(&other, &schema).unwrap_err().to_string().contains("`c`"));
    }

    #[test]
    fn odd_type_texts_are_refused() {
        for text in
            ["", "varchar ", "array<varchar", "array<>", "row<>", "decimal(5)", "timestamp", "unknown x"]
        {
            assert_eq!(parse_type(text), None, "{text}");
        }
        assert_eq!(parse_type(&"array<".repeat(10_000)), None);
    }
}
