//! What was measured, and how it is shown: medians, in a Markdown table.

use std::fmt;

/// A figure of one load in one round.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What was done.
    pub(crate) work: String,
    /// What is counted, with its unit.
    pub(crate) unit: &'static str,
    /// How much of it.
    pub(crate) value: f64,
}

impl Figure {
    pub(crate) fn new(work: &str, unit: &'static str, value: f64) -> Self {
        Self { work: work.to_owned(), unit, value }
    }
}

/// All figures of all brokers.
pub(crate) struct Table {
    brokers: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    work: String,
    unit: &'static str,
    /// For each broker, a value of each round.
    values: Vec<Vec<f64>>,
}

impl Table {
    /// Empty, with a column for each broker.
    pub(crate) fn new(brokers: Vec<String>) -> Self {
        Self { brokers, rows: Vec::new() }
    }

    /// Adds what a round of a load gave.
    pub(crate) fn add(&mut self, broker: usize, figures: Vec<Figure>) {
        for Figure { work, unit, value } in figures {
            let known = self.rows.iter().position(|row| row.work == work && row.unit == unit);
            let place = known.unwrap_or_else(|| {
                self.rows.push(Row { work, unit, values: vec![Vec::new(); self.brokers.len()] });
                self.rows.len() - 1
            });
            self.rows[place].values[broker].push(value);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| work | figure | {} |", self.brokers.join(" | "))?;
        writeln!(f, "|---|---|{}", "---:|".repeat(self.brokers.len()))?;
        let mut work_above = "";
        for Row { work, unit, values } in &self.rows {
            let shown = if work == work_above { "" } else { work };
            work_above = work;
            write!(f, "| {shown} | {unit} |")?;
            for values in values {
                write!(f, " {} |", median(values).map_or_else(|| "–".to_owned(), significant))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The value in the middle; between the two in the middle, if they are even in number.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let above = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { above } else { sorted[middle - 1].midpoint(above) })
}

/// Three digits, as far as they mean something; more only before the point.
fn significant(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The value below which `share` of the sorted ones are.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position within the slice")]
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place).or_else(|| sorted.last()).copied().unwrap_or(f64::NAN)
}
