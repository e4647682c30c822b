//! Whether several days of a table may be made by one query.
//!
//! They may when every row of output day `d` depends only on the inputs that `d` alone would
//! read. The proof follows `dt` through the optimized plan. What it knows of a relation is a
//! list of *keys*: columns that carry a day `K` (or `K` plus a fixed number of days) such that
//! the rows with `K = d` are a function of each input's days `d + from ..= d + to`. Besides
//! these, a key knows columns whose day lies in a range around `K`, as the other side's day of
//! a trailing join does: what is joined to such a column by its day is read within that range.
//! Anything the proof does not understand has no key, and the table is made one day at a time.

use std::collections::BTreeMap;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, Join, LogicalPlan, Operator};

use super::canonical::DT;
use super::day_expr::{DayOf, Form, whole};

/// How the days of a table may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Several days in one query give the same as each alone: proven.
    Together,
    /// One day a query.
    OneDay {
        /// What the proof did not get past, in words for the author of the SQL.
        why: String,
    },
}

/// Days relative to a key's day: from, to.
type Range = (i64, i64);

/// Days of inputs, relative to the key's day.
type Windows = BTreeMap<String, Range>;

/// Columns that carry a day, and what rows of that day depend on.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    /// Position of a column → how many days its value is after the key's day. In every row the
    /// value is a day in this range; a column whose range is one day *is* the key's day, moved,
    /// and a key without such a column is none.
    columns: BTreeMap<usize, Range>,
    windows: Windows,
}

impl Key {
    fn of(column: usize, windows: Windows) -> Self {
        Self { columns: BTreeMap::from([(column, (0, 0))]), windows }
    }

    /// How many days a column that is the key's day, moved, is after it.
    fn exact(&self, column: usize) -> Option<i64> {
        self.columns.get(&column).and_then(|(from, to)| (from == to).then_some(*from))
    }

    /// The key with other columns, if one of them still is its day.
    fn with(self, columns: BTreeMap<usize, Range>) -> Option<Self> {
        columns.values().any(|(from, to)| from == to).then_some(Self { columns, ..self })
    }
}

/// `range` moved by each number of days of `by`.
fn plus(range: Range, by: Range) -> Range {
    (range.0 + by.0, range.1 + by.1)
}

/// What is known of a relation.
#[derive(Clone, Debug)]
enum Rel {
    /// Reads no daily table.
    Free,
    /// Every alternative holds by itself.
    Keyed(Vec<Key>),
    /// Rows may depend on every day.
    Mixed(String),
}

/// More alternatives than this are not looked at.
const MOST_KEYS: usize = 16;

/// Days are not followed further than this from another. It keeps sums of them small, and days
/// as text in the order of time.
const MOST_DAYS: i64 = 100_000;

fn day_of(expr: &Expr, schema: &DFSchema) -> Option<DayOf> {
    super::day_expr::day_of(expr, schema).filter(|d| (-MOST_DAYS..=MOST_DAYS).contains(&d.offset))
}

/// Proves or gives up. `daily` has the daily tables with the days before that each output day
/// may read of them; every other table has no days.
pub(super) fn prove(plan: &LogicalPlan, daily: &BTreeMap<String, u32>) -> Grouping {
    let no = |why: String| Grouping::OneDay { why };
    let Some(dt) = plan.schema().fields().iter().position(|f| f.name() == DT) else {
        return no("the result has no dt".to_string());
    };
    let keys = match rel(plan, daily) {
        Rel::Free => return Grouping::Together,
        Rel::Mixed(why) => return no(why),
        Rel::Keyed(keys) => keys,
    };
    let mut why = "the result's dt is not the day that its rows depend on".to_string();
    for key in keys {
        let Some(offset) = key.exact(dt) else { continue };
        let outside = key.windows.iter().find_map(|(table, (from, to))| {
            let (from, to) = (from - offset, to - offset);
            let before = i64::from(daily.get(table).copied().unwrap_or(0));
            (from < -before || to > 0).then(|| {
                if to > 0 {
                    format!("days after the output day are read of `{table}`")
                } else {
                    format!(
                        "up to {} days before are read of `{table}`, and its dependency has {before}",
                        -from
                    )
                }
            })
        });
        match outside {
            None => return Grouping::Together,
            Some(reason) => why = reason,
        }
    }
    no(why)
}

fn mixed(why: impl Into<String>) -> Rel {
    Rel::Mixed(why.into())
}

fn keyed(keys: Vec<Key>, why: impl FnOnce() -> String) -> Rel {
    if keys.is_empty() {
        return Rel::Mixed(why());
    }
    let mut unique: Vec<Key> = Vec::new();
    for key in keys {
        if !unique.contains(&key) && unique.len() < MOST_KEYS {
            unique.push(key);
        }
    }
    Rel::Keyed(unique)
}

fn rel(plan: &LogicalPlan, daily: &BTreeMap<String, u32>) -> Rel {
    if let Some(why) = foreign_expressions(plan, daily) {
        return Rel::Mixed(why);
    }
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.table_name.table().to_string();
            if !daily.contains_key(&table) {
                return Rel::Free;
            }
            if scan.fetch.is_some() {
                return mixed(format!("a LIMIT over all days of `{table}`"));
            }
            match scan.projected_schema.fields().iter().position(|f| f.name() == DT) {
                Some(dt) => Rel::Keyed(vec![Key::of(dt, BTreeMap::from([(table, (0, 0))]))]),
                None => mixed(format!("`{table}` is read over all its days: its dt is not used")),
            }
        }
        LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Rel::Free,
        LogicalPlan::Projection(p) => derive(rel(&p.input, daily), p.input.schema(), &p.expr, || {
            "a SELECT drops the dt of what it reads".to_string()
        }),
        LogicalPlan::Filter(f) => rel(&f.input, daily),
        LogicalPlan::SubqueryAlias(a) => rel(&a.input, daily),
        LogicalPlan::Repartition(r) => rel(&r.input, daily),
        LogicalPlan::Sort(s) => match rel(&s.input, daily) {
            Rel::Keyed(_) if s.fetch.is_some() => mixed("ORDER BY … LIMIT is over all days"),
            other => other,
        },
        LogicalPlan::Limit(l) => match rel(&l.input, daily) {
            Rel::Keyed(_) => mixed("LIMIT is over all days"),
            other => other,
        },
        LogicalPlan::Aggregate(a) => match rel(&a.input, daily) {
            Rel::Keyed(_) if a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) => {
                mixed("grouping sets are not followed")
            }
            // Aggregates follow the group's columns, so positions of the latter stand.
            known => derive(known, a.input.schema(), &a.group_expr, || {
                "a GROUP BY (or an aggregate without one) does not have dt".to_string()
            }),
        },
        LogicalPlan::Window(w) => match rel(&w.input, daily) {
            Rel::Keyed(mut keys) => {
                for expr in &w.window_expr {
                    let partition_by = window_partition(expr);
                    keys.retain(|key| {
                        partition_by.iter().any(|e| {
                            day_of(e, w.input.schema()).is_some_and(|d| key.exact(d.column).is_some())
                        })
                    });
                }
                keyed(keys, || "a window's PARTITION BY does not have dt".to_string())
            }
            other => other,
        },
        LogicalPlan::Distinct(Distinct::All(input)) => rel(input, daily),
        LogicalPlan::Union(union) => {
            union.inputs.iter().map(|input| rel(input, daily)).reduce(both_branches).unwrap_or(Rel::Free)
        }
        LogicalPlan::Join(join) => join_rel(join, daily),
        LogicalPlan::Unnest(u) => match rel(&u.input, daily) {
            Rel::Keyed(keys) => {
                let same = |i: &usize| {
                    !u.list_type_columns.iter().any(|(c, _)| c == i) && !u.struct_type_columns.contains(i)
                };
                let keys = keys
                    .into_iter()
                    .filter_map(|key| {
                        let columns = u
                            .dependency_indices
                            .iter()
                            .enumerate()
                            .filter(|(_, from)| same(from))
                            .filter_map(|(to, from)| Some((to, *key.columns.get(from)?)))
                            .collect();
                        key.with(columns)
                    })
                    .collect();
                keyed(keys, || "an unnest drops dt".to_string())
            }
            other => other,
        },
        other => match inputs_free(other, daily) {
            true => Rel::Free,
            false => mixed(format!("{} is not followed", node_name(other))),
        },
    }
}

fn inputs_free(plan: &LogicalPlan, daily: &BTreeMap<String, u32>) -> bool {
    let inputs = plan.inputs();
    !inputs.is_empty() && inputs.iter().all(|i| matches!(rel(i, daily), Rel::Free))
}

fn node_name(plan: &LogicalPlan) -> &'static str {
    match plan {
        LogicalPlan::RecursiveQuery(_) => "a recursive query",
        LogicalPlan::Distinct(_) => "DISTINCT ON",
        LogicalPlan::Subquery(_) => "a subquery",
        _ => "a part of the query",
    }
}

/// Subqueries that stayed in expressions: they see all days of the daily tables they read.
fn foreign_expressions(plan: &LogicalPlan, daily: &BTreeMap<String, u32>) -> Option<String> {
    let mut why = None;
    for expr in plan.expressions() {
        let looked = expr.apply(|e| {
            let subquery = match e {
                Expr::ScalarSubquery(s) => Some(s),
                Expr::Exists(e) => Some(&e.subquery),
                Expr::InSubquery(i) => Some(&i.subquery),
                Expr::SetComparison(c) => Some(&c.subquery),
                Expr::OuterReferenceColumn(..) => {
                    why = Some("a correlated subquery is not followed".to_string());
                    None
                }
                _ => None,
            };
            if let Some(subquery) = subquery
                && !(subquery.outer_ref_columns.is_empty()
                    && matches!(rel(&subquery.subquery, daily), Rel::Free))
            {
                why = Some("a subquery sees all days".to_string());
            }
            Ok(if why.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        if looked.is_err() {
            return Some("an expression is not followed".to_string());
        }
    }
    why
}

/// The keys of a node whose first output columns are `exprs` over `input`.
fn derive(known: Rel, input: &DFSchema, exprs: &[Expr], why: impl FnOnce() -> String) -> Rel {
    let Rel::Keyed(keys) = known else { return known };
    let days: Vec<Option<DayOf>> = exprs.iter().map(|e| day_of(e, input)).collect();
    let keys = keys
        .into_iter()
        .filter_map(|key| {
            let columns = days
                .iter()
                .enumerate()
                .filter_map(|(to, day)| {
                    let day = day.as_ref()?;
                    let range = plus(*key.columns.get(&day.column)?, (day.offset, day.offset));
                    (range.0 >= -MOST_DAYS && range.1 <= MOST_DAYS).then_some((to, range))
                })
                .collect();
            key.with(columns)
        })
        .collect();
    keyed(keys, why)
}

fn both_branches(a: Rel, b: Rel) -> Rel {
    match (a, b) {
        (Rel::Mixed(why), _) | (_, Rel::Mixed(why)) => Rel::Mixed(why),
        (Rel::Free, Rel::Free) => Rel::Free,
        // Rows that read no daily table are the same whatever the days, by any one column; but
        // their columns say nothing of each other.
        (Rel::Free, Rel::Keyed(keys)) | (Rel::Keyed(keys), Rel::Free) => {
            let alone = |key: Key| {
                let columns: Vec<_> = key.columns.iter().filter(|(_, r)| r.0 == r.1).collect();
                let one = |(i, range): (&usize, &Range)| Key {
                    columns: BTreeMap::from([(*i, *range)]),
                    windows: key.windows.clone(),
                };
                columns.into_iter().map(one).collect::<Vec<_>>()
            };
            keyed(keys.into_iter().flat_map(alone).collect(), || "a UNION is not followed".to_string())
        }
        (Rel::Keyed(a), Rel::Keyed(b)) => {
            let mut keys = Vec::new();
            for x in &a {
                for y in &b {
                    // The key's day is the same column of both; others may lie in either range.
                    if !x.columns.keys().any(|i| x.exact(*i).is_some() && x.exact(*i) == y.exact(*i)) {
                        continue;
                    }
                    let columns = x
                        .columns
                        .iter()
                        .filter_map(|(i, (from, to))| {
                            let other = y.columns.get(i)?;
                            Some((*i, (other.0.min(*from), other.1.max(*to))))
                        })
                        .collect();
                    keys.push(Key { columns, windows: hull(&x.windows, &y.windows, (0, 0)) });
                }
            }
            keyed(keys, || "the branches of a UNION have their day in different columns".to_string())
        }
    }
}

/// `a` and `b` together, where the day of `b` is the day of `a` plus `shift`.
fn hull(a: &Windows, b: &Windows, shift: Range) -> Windows {
    let mut all = a.clone();
    for (table, days) in b {
        let (from, to) = plus(*days, shift);
        all.entry(table.clone()).and_modify(|w| *w = (w.0.min(from), w.1.max(to))).or_insert((from, to));
    }
    all
}

fn window_partition(expr: &Expr) -> Vec<Expr> {
    match expr {
        Expr::WindowFunction(w) => w.params.partition_by.clone(),
        Expr::Alias(a) => window_partition(&a.expr),
        _ => Vec::new(),
    }
}

/// `left op right`, days of two sides of a join.
struct Tie {
    left: DayOf,
    op: Operator,
    right: DayOf,
    /// Both are bare columns.
    plain: bool,
}

fn flip(op: Operator) -> Option<Operator> {
    Some(match op {
        Operator::Eq => Operator::Eq,
        Operator::Lt => Operator::Gt,
        Operator::LtEq => Operator::GtEq,
        Operator::Gt => Operator::Lt,
        Operator::GtEq => Operator::LtEq,
        _ => return None,
    })
}

fn tie(a: &Expr, op: Operator, b: &Expr, left: &DFSchema, right: &DFSchema, ties: &mut Vec<Tie>) {
    let plain = matches!((a, b), (Expr::Column(_), Expr::Column(_)));
    let Some(flipped) = flip(op) else { return };
    if let (Some(l), Some(r)) = (day_of(a, left), day_of(b, right)) {
        if l.form == r.form {
            ties.push(Tie { left: l, op, right: r, plain });
        }
    } else if let (Some(l), Some(r)) = (day_of(b, left), day_of(a, right))
        && l.form == r.form
    {
        ties.push(Tie { left: l, op: flipped, right: r, plain });
    }
}

/// `rx_days_between(a, b) op n`, as `b op a + n`.
fn tie_between(call: &Expr, op: Operator, n: &Expr, left: &DFSchema, right: &DFSchema, ties: &mut Vec<Tie>) {
    let call = match call {
        Expr::Cast(c) => &c.expr,
        other => other,
    };
    let days = whole(n).filter(|n| (-MOST_DAYS..=MOST_DAYS).contains(n));
    let (Expr::ScalarFunction(f), Some(n)) = (call, days) else { return };
    let ("rx_days_between", [a, b]) = (f.name(), f.args.as_slice()) else { return };
    let Some(flipped) = flip(op) else { return };
    let text = |d: &DayOf| d.form == Form::Text;
    if let (Some(mut from), Some(to)) = (day_of(a, left).filter(text), day_of(b, right).filter(text)) {
        from.offset += n;
        ties.push(Tie { left: from, op: flipped, right: to, plain: false });
    } else if let (Some(mut from), Some(to)) = (day_of(a, right).filter(text), day_of(b, left).filter(text)) {
        from.offset += n;
        ties.push(Tie { left: to, op, right: from, plain: false });
    }
}

fn ties(join: &Join) -> Vec<Tie> {
    let (left, right) = (join.left.schema(), join.right.schema());
    let mut ties = Vec::new();
    for (a, b) in &join.on {
        tie(a, Operator::Eq, b, left, right, &mut ties);
    }
    for conjunct in join.filter.iter().flat_map(split_conjunction) {
        match conjunct {
            Expr::BinaryExpr(BinaryExpr { left: a, op, right: b }) => {
                tie(a, *op, b, left, right, &mut ties);
                tie_between(a, *op, b, left, right, &mut ties);
                if let Some(flipped) = flip(*op) {
                    tie_between(b, flipped, a, left, right, &mut ties);
                }
            }
            Expr::Between(between) if !between.negated => {
                tie(&between.expr, Operator::GtEq, &between.low, left, right, &mut ties);
                tie(&between.expr, Operator::LtEq, &between.high, left, right, &mut ties);
                tie_between(&between.expr, Operator::GtEq, &between.low, left, right, &mut ties);
                tie_between(&between.expr, Operator::LtEq, &between.high, left, right, &mut ties);
            }
            _ => {}
        }
    }
    ties
}

/// The bounds of (right key's day − left key's day), where the join's condition gives both.
fn bounds(ties: &[Tie], left: &Key, right: &Key) -> Option<Range> {
    let (mut low, mut high) = (i64::MIN, i64::MAX);
    for tie in ties {
        let (Some(l), Some(r)) = (left.columns.get(&tie.left.column), right.columns.get(&tie.right.column))
        else {
            continue;
        };
        // left day + a op right day + b, so the difference is compared with a − b, which is
        // one number when both columns are exactly their key's day.
        let moved = tie.left.offset - tie.right.offset;
        let (least, most) = (l.0 - r.1 + moved, l.1 - r.0 + moved);
        match tie.op {
            Operator::Eq => {
                low = low.max(least);
                high = high.min(most);
            }
            Operator::GtEq => high = high.min(most),
            Operator::Gt => high = high.min(most - 1),
            Operator::LtEq => low = low.max(least),
            Operator::Lt => low = low.max(least + 1),
            _ => {}
        }
    }
    (low != i64::MIN && high != i64::MAX && low <= high).then_some((low, high))
}

/// Columns of a side that reads no daily table, taken as keys because the condition equates
/// them with a day.
fn equated(ties: &[Tie], of_left: bool) -> Vec<Key> {
    ties.iter()
        .filter(|t| t.op == Operator::Eq && t.plain && t.left.form == Form::Text)
        .map(|t| Key::of(if of_left { t.left.column } else { t.right.column }, Windows::new()))
        .collect()
}

fn shifted(key: &Key, by: usize) -> Key {
    Key { columns: key.columns.iter().map(|(i, o)| (i + by, *o)).collect(), windows: key.windows.clone() }
}

/// Joined rows by the day of `a`, where the day of `b` is `apart` from it. The columns are
/// those of the output.
fn matched(a: &Key, b: &Key, apart: Range) -> Key {
    let mut columns = a.columns.clone();
    columns.extend(b.columns.iter().map(|(i, range)| (*i, plus(*range, apart))));
    Key { columns, windows: hull(&a.windows, &b.windows, apart) }
}

fn join_rel(join: &Join, daily: &BTreeMap<String, u32>) -> Rel {
    let (left, right) = (rel(&join.left, daily), rel(&join.right, daily));
    let ties = ties(join);
    // Where the right side's columns begin in the output.
    let offset = match join.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            join.left.schema().fields().len()
        }
        _ => 0,
    };
    let untied = || "a join does not tie the days of its two sides by = or by a bounded range".to_string();
    match (left, right) {
        (Rel::Mixed(why), _) | (_, Rel::Mixed(why)) => Rel::Mixed(why),
        (Rel::Free, Rel::Free) => Rel::Free,
        _ if join.null_aware => mixed("NOT IN with a subquery sees all days; write NOT EXISTS"),
        (left, right) => match join.join_type {
            JoinType::Full => mixed("a FULL JOIN is not followed"),
            JoinType::Inner => inner(left, right, &ties, offset, untied),
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                let left = match left {
                    Rel::Keyed(keys) => keys,
                    _ => equated(&ties, true),
                };
                let Rel::Keyed(right) = right else { return keyed(left, untied) };
                let mut keys = Vec::new();
                for l in &left {
                    for r in &right {
                        if let Some(shift) = bounds(&ties, l, r) {
                            keys.push(Key {
                                columns: l.columns.clone(),
                                windows: hull(&l.windows, &r.windows, shift),
                            });
                        }
                    }
                }
                keyed(keys, untied)
            }
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                let right = match right {
                    Rel::Keyed(keys) => keys,
                    _ => equated(&ties, false),
                };
                let Rel::Keyed(left) = left else {
                    return keyed(right.iter().map(|k| shifted(k, offset)).collect(), untied);
                };
                let mut keys = Vec::new();
                for l in &left {
                    for r in &right {
                        if let Some((low, high)) = bounds(&ties, l, r) {
                            keys.push(Key {
                                columns: shifted(r, offset).columns,
                                windows: hull(&r.windows, &l.windows, (-high, -low)),
                            });
                        }
                    }
                }
                keyed(keys, untied)
            }
        },
    }
}

fn inner(left: Rel, right: Rel, ties: &[Tie], offset: usize, untied: impl FnOnce() -> String) -> Rel {
    let keys = match (left, right) {
        (Rel::Keyed(left), Rel::Keyed(right)) => {
            let mut keys = Vec::new();
            for l in &left {
                for r in &right {
                    let Some((low, high)) = bounds(ties, l, r) else { continue };
                    let moved = shifted(r, offset);
                    keys.push(matched(l, &moved, (low, high)));
                    // Else the right day is a fixed number of days after the left one.
                    if low != high {
                        keys.push(matched(&moved, l, (-high, -low)));
                    }
                }
            }
            keys
        }
        (Rel::Keyed(keys), _) => keys
            .into_iter()
            .map(|mut key| {
                let more: Vec<(usize, Range)> = ties
                    .iter()
                    .filter(|t| t.op == Operator::Eq && t.plain && t.left.form == Form::Text)
                    .filter_map(|t| Some((t.right.column + offset, *key.columns.get(&t.left.column)?)))
                    .collect();
                key.columns.extend(more);
                key
            })
            .collect(),
        (_, Rel::Keyed(keys)) => keys
            .into_iter()
            .map(|key| {
                let more: Vec<(usize, Range)> = ties
                    .iter()
                    .filter(|t| t.op == Operator::Eq && t.plain && t.left.form == Form::Text)
                    .filter_map(|t| Some((t.left.column, *key.columns.get(&t.right.column)?)))
                    .collect();
                let mut key = shifted(&key, offset);
                key.columns.extend(more);
                key
            })
            .collect(),
        _ => Vec::new(),
    };
    keyed(keys, untied)
}
