//! The heat map: days in buckets, small enough for any screen. Pure.

use crate::graph::Day;

use super::shot::Cell;

/// One row of buckets: a label and, for each bucket, the places it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// A year or a month.
    pub label: String,
    /// Which column the first bucket stands in.
    pub indent: usize,
    /// First and last place of each bucket.
    pub buckets: Vec<(usize, usize)>,
}

/// How closely one looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Zoom {
    /// A row a year, a bucket a week.
    Years,
    /// A row a month, a bucket a day.
    Months,
}

impl Zoom {
    /// The closest one in which everything fits into so many rows.
    pub fn fitting(days: usize, rows: usize) -> Self {
        if days / 28 < rows.max(1) { Zoom::Months } else { Zoom::Years }
    }
}

/// The rows of a heat map over `days` days from `first` on.
pub fn rows(first: i32, days: usize, zoom: Zoom) -> Vec<Row> {
    let mut out: Vec<Row> = Vec::new();
    for place in 0..days {
        let text = Day(first + place as i32).to_string();
        let (year, rest) = text.split_at(4);
        let number = |range: std::ops::Range<usize>| {
            rest.get(range).and_then(|s| s.parse::<usize>().ok()).unwrap_or(1)
        };
        let (month, day) = (number(1..3), number(4..6));
        let (label, column) = match zoom {
            Zoom::Months => (format!("{year}-{month:02}"), day - 1),
            Zoom::Years => (year.to_string(), day_of_year(first + place as i32, year) / 7),
        };
        match out.last_mut() {
            Some(row) if row.label == label => {
                let at = column - row.indent;
                match row.buckets.get_mut(at) {
                    Some(bucket) => bucket.1 = place,
                    None => row.buckets.push((place, place)),
                }
            }
            _ => out.push(Row { label, indent: column, buckets: vec![(place, place)] }),
        }
    }
    out
}

fn day_of_year(day: i32, year: &str) -> usize {
    let first: Option<Day> = format!("{year}-01-01").parse().ok();
    first.map_or(0, |f| usize::try_from(day - f.0).unwrap_or(0))
}

/// What a bucket shows: the worst of what it holds.
pub fn worst(cells: &[Cell], bucket: (usize, usize)) -> Cell {
    cells
        .get(bucket.0..=bucket.1.min(cells.len().saturating_sub(1)))
        .and_then(|c| c.iter().copied().max())
        .unwrap_or_default()
}

/// Cuts all places into so many equal buckets: one line for a whole history.
pub fn strip(cells: &[Cell], width: usize) -> Vec<Cell> {
    let n = cells.len();
    let width = width.min(n);
    (0..width)
        .map(|i| worst(cells, (i * n / width, ((i + 1) * n / width).max(i * n / width + 1) - 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> i32 {
        "2026-01-30".parse::<Day>().unwrap().0
    }

    #[test]
    fn every_day_is_in_exactly_one_bucket() {
        for zoom in [Zoom::Years, Zoom::Months] {
            for days in [1, 2, 40, 400, 3_000] {
                let rows = rows(first(), days, zoom);
                let mut next = 0;
                for (from, to) in rows.iter().flat_map(|r| r.buckets.iter().copied()) {
                    assert_eq!(from, next);
                    assert!(to >= from);
                    next = to + 1;
                }
                assert_eq!(next, days);
                let most = if zoom == Zoom::Years { 53 } else { 31 };
                assert!(rows.iter().all(|r| r.indent + r.buckets.len() <= most));
            }
        }
    }

    #[test]
    fn rows_are_months_or_years() {
        let months = rows(first(), 40, Zoom::Months);
        let labels: Vec<_> = months.iter().map(|r| (r.label.as_str(), r.indent, r.buckets.len())).collect();
        assert_eq!(labels, [("2026-01", 29, 2), ("2026-02", 0, 28), ("2026-03", 0, 10)]);
        let years = rows(first(), 400, Zoom::Years);
        assert_eq!(years.iter().map(|r| r.label.as_str()).collect::<Vec<_>>(), ["2026", "2027"]);
    }

    #[test]
    fn a_bucket_shows_its_worst() {
        let mut cells = vec![Cell::Fresh; 100];
        cells[57] = Cell::Failed;
        cells[3] = Cell::Stale;
        assert_eq!(worst(&cells, (50, 60)), Cell::Failed);
        let strip = strip(&cells, 10);
        assert_eq!(strip.len(), 10);
        assert_eq!((strip[0], strip[5], strip[9]), (Cell::Stale, Cell::Failed, Cell::Fresh));
        assert!(super::strip(&[], 10).is_empty());
    }

    #[test]
    fn ten_thousand_days_fit_a_screen() {
        assert_eq!(Zoom::fitting(90, 20), Zoom::Months);
        assert_eq!(Zoom::fitting(10_000, 40), Zoom::Years);
        assert!(rows(first(), 10_000, Zoom::Years).len() <= 30);
    }
}
