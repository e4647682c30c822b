//! Days in expressions: which column's day an expression holds, moved by how many days.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::canonical::is_text;

/// In what form an expression holds a day. Forms are only compared with their own kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Text,
    Date,
    Time,
}

/// An expression that is a column's day plus a number of days, if the column holds a day.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DayOf {
    pub(super) column: usize,
    pub(super) offset: i64,
    pub(super) form: Form,
}

fn form_of(data_type: &DataType) -> Option<Form> {
    match data_type {
        t if is_text(t) => Some(Form::Text),
        DataType::Date32 => Some(Form::Date),
        DataType::Timestamp(_, None) => Some(Form::Time),
        _ => None,
    }
}

fn index(column: &Column, schema: &DFSchema) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

/// What `expr` holds, if it is a day of one column.
pub(super) fn day_of(expr: &Expr, schema: &DFSchema) -> Option<DayOf> {
    match expr {
        Expr::Column(c) => {
            let column = index(c, schema)?;
            Some(DayOf { column, offset: 0, form: form_of(schema.field(column).data_type())? })
        }
        Expr::Alias(a) => day_of(&a.expr, schema),
        Expr::Cast(c) => recast(day_of(&c.expr, schema)?, c.field.data_type()),
        Expr::TryCast(c) => recast(day_of(&c.expr, schema)?, c.field.data_type()),
        Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
            ("rx_date", [dt]) => {
                day_of(dt, schema).filter(|d| d.form == Form::Text).map(|d| DayOf { form: Form::Date, ..d })
            }
            ("rx_add_days", [dt, n]) => {
                let day = day_of(dt, schema).filter(|d| d.form == Form::Text)?;
                Some(DayOf { offset: day.offset.checked_add(whole(n)?)?, ..day })
            }
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let sign = match op {
                Operator::Plus => 1,
                Operator::Minus => -1,
                _ => return None,
            };
            let day = day_of(left, schema).filter(|d| d.form != Form::Text)?;
            let days = interval_days(right)?.checked_mul(sign)?;
            Some(DayOf { offset: day.offset.checked_add(days)?, ..day })
        }
        _ => None,
    }
}

fn recast(day: DayOf, to: &DataType) -> Option<DayOf> {
    let form = form_of(to)?;
    // A time as text does not look like a day.
    (!(day.form == Form::Time && form == Form::Text)).then_some(DayOf { form, ..day })
}

/// A literal whole number.
pub(super) fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(value, _) => match value {
            ScalarValue::Int64(n) => *n,
            ScalarValue::Int32(n) => n.map(i64::from),
            ScalarValue::Int16(n) => n.map(i64::from),
            ScalarValue::Int8(n) => n.map(i64::from),
            _ => None,
        },
        Expr::Cast(c) => whole(&c.expr),
        Expr::Negative(e) => whole(e).map(|n| -n),
        _ => None,
    }
}

fn interval_days(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _) => {
            (i.months == 0 && i.nanoseconds == 0).then_some(i64::from(i.days))
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(i)), _) => {
            (i.milliseconds == 0).then_some(i64::from(i.days))
        }
        _ => None,
    }
}
