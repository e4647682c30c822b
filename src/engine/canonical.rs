//! The types a table may be stored with, and the one form of each.
//!
//! Every engine and reader of the lake agrees on these: strings are `Utf8`, times are
//! milliseconds without a zone, integers are signed. A type without such a form is refused
//! when the SQL is checked, not when it runs.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;

/// The column's name of the partition day.
pub const DT: &str = "dt";
/// The column that says why a row does not belong to the table; NULL keeps the row.
pub const RX_DROP: &str = "rx_drop";

/// The stored form of `data_type`, or what to cast it to.
pub fn canonical_type(data_type: &DataType) -> Result<DataType, &'static str> {
    use DataType::*;
    Ok(match data_type {
        Utf8 | LargeUtf8 | Utf8View => Utf8,
        Boolean | Int8 | Int16 | Int32 | Int64 | Float32 | Float64 | Date32 => data_type.clone(),
        UInt8 => Int16,
        UInt16 => Int32,
        UInt32 | UInt64 => Int64,
        Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s) => Decimal128(*p, *s),
        Timestamp(_, _) => Timestamp(TimeUnit::Millisecond, None),
        Dictionary(_, value) => canonical_type(value)?,
        List(item) | LargeList(item) | ListView(item) | LargeListView(item) | FixedSizeList(item, _) => {
            List(Arc::new(Field::new("item", canonical_type(item.data_type())?, true)))
        }
        Struct(fields) => Struct(
            fields
                .iter()
                .map(|f| Ok(Arc::new(Field::new(f.name(), canonical_type(f.data_type())?, true))))
                .collect::<Result<_, &'static str>>()?,
        ),
        Null => return Err("cast the NULL to the type it stands for, for example cast(NULL as varchar)"),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => {
            return Err("write it as text, for example encode(x, 'hex')");
        }
        Time32(_) | Time64(_) => return Err("cast it to varchar or to timestamp"),
        Duration(_) | Interval(_) => return Err("cast it to bigint, for example a number of seconds"),
        Float16 => return Err("cast it to double"),
        Date64 => return Err("cast it to date"),
        Decimal256(_, _) => return Err("cast it to decimal(38, s) or to double"),
        _ => return Err("cast it to varchar, bigint, double, boolean, date or timestamp"),
    })
}

/// Whether a value of the type is text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// `batch` with the columns of `schema`, by position.
///
/// # Errors
/// A value that the stored type cannot hold.
pub fn canonical_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(column.clone())
            } else {
                cast_with_options(column, field.data_type(), &options)
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new_with_options(
        schema.clone(),
        columns,
        &datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
    )
}

/// The schema a query sees for a stored table: text as views, which are cheaper to move, and
/// `dt` at the end of a daily table.
pub(super) fn query_schema(stored: &Schema, daily: bool) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = stored
        .fields()
        .iter()
        .map(|f| match f.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => Arc::new(Field::new(f.name(), DataType::Utf8View, true)),
            other => Arc::new(Field::new(f.name(), other.clone(), true)),
        })
        .collect();
    if daily {
        fields.push(dt_field());
    }
    Arc::new(Schema::new(fields))
}

/// The field of the partition day.
pub(super) fn dt_field() -> Arc<Field> {
    Arc::new(Field::new(DT, DataType::Utf8View, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_one_form_or_advice() {
        let ok = |t: DataType| canonical_type(&t).unwrap();
        assert_eq!(ok(DataType::Utf8View), DataType::Utf8);
        assert_eq!(ok(DataType::UInt64), DataType::Int64);
        assert_eq!(ok(DataType::UInt8), DataType::Int16);
        assert_eq!(
            ok(DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))),
            DataType::Timestamp(TimeUnit::Millisecond, None)
        );
        assert_eq!(
            ok(DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8View))),
            DataType::Utf8
        );
        assert_eq!(
            ok(DataType::new_list(DataType::Utf8View, false)),
            DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
        );
        for refused in [
            DataType::Null,
            DataType::Binary,
            DataType::Float16,
            DataType::Time64(TimeUnit::Nanosecond),
            DataType::Duration(TimeUnit::Second),
            DataType::new_list(DataType::Null, true),
        ] {
            assert!(canonical_type(&refused).is_err(), "{refused}");
        }
    }
}
