//! Tables of delays.

use crate::error::{Error, quote};

/// What jitter adds to the delay, as was measured somewhere: each value is as likely as the others.
///
/// As text, a number of milliseconds a line; it may be negative. Empty lines and what follows `#`
/// do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    name: String,
    nanos: Vec<i64>,
}

impl Table {
    /// Reads the text of a file; `name` is what it is called where settings are shown.
    ///
    /// # Errors
    /// Where a line is no such number, or there is none at all.
    pub fn read(name: &str, text: &str) -> Result<Self, Error> {
        let mut nanos = Vec::new();
        let fail = |line, column, got| Error::Trace {
            file: name.to_owned(),
            line,
            column,
            got,
            expected: "a number of milliseconds from -3600000 to 3600000".to_owned(),
            example: "12.5",
        };
        for (number, line) in text.lines().enumerate() {
            let said = line.split('#').next().unwrap_or("");
            let value = said.trim();
            if value.is_empty() {
                continue;
            }
            let column = 1 + said.chars().take_while(|letter| letter.is_whitespace()).count();
            let millis: Option<f64> = value.parse().ok();
            match millis.filter(|millis| millis.abs() <= MILLIS_MAX) {
                Some(millis) => nanos.push((millis * 1e6).round() as i64),
                None => return Err(fail(number + 1, column, quote(value))),
            }
            if nanos.len() > VALUES_MAX {
                let got = format!("more than {VALUES_MAX} values");
                return Err(fail(number + 1, 1, got));
            }
        }
        if nanos.is_empty() {
            return Err(fail(1, 1, "no value at all".to_owned()));
        }
        Ok(Table { name: name.to_owned(), nanos })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its values in nanoseconds, in the order of the file.
    pub fn nanos(&self) -> &[i64] {
        &self.nanos
    }
}

const MILLIS_MAX: f64 = 3_600_000.0;
const VALUES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_number_of_milliseconds_a_line() {
        let table =
            Table::read("delays.txt", "# measured\n0\n 2.5 \n\n-1 # early\n").expect("read");
        assert_eq!(table.nanos(), [0, 2_500_000, -1_000_000]);
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_place() {
        let error = Table::read("delays.txt", "1\n  x\n").expect_err("no number").to_string();
        assert!(error.starts_with("delays.txt, line 2, column 3: expected a number"), "{error}");
        assert!(Table::read("delays.txt", "").is_err());
        assert!(Table::read("delays.txt", "nan").is_err());
        assert!(Table::read("delays.txt", "1e9").is_err());
    }
}
