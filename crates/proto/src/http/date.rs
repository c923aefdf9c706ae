//! Dates in header fields (RFC 9110 section 5.6.7).

use weir_time::Utc;

/// A date to the second, as header fields carry it: seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpDate(pub u64);

impl HttpDate {
    /// The second that a time of day lies in.
    pub fn of(time: Utc) -> Self {
        HttpDate(time.as_nanos() / 1_000_000_000)
    }

    /// Reads a date in the form that is written today, or in either of the obsolete ones.
    ///
    /// `now` tells the century of a year of two digits: never more than 50 years ahead.
    pub fn parse(text: &str, now: HttpDate) -> Option<HttpDate> {
        let words: Vec<&str> =
            text.split([' ', ',', '-']).filter(|word| !word.is_empty()).take(8).collect();
        match words[..] {
            // Sun Nov  6 08:49:37 1994
            [_, month, day, time, year] if time.contains(':') => {
                from_parts(number(year)?, month, number(day)?, time)
            }
            // Sunday, 06-Nov-94 08:49:37 GMT
            [_, day, month, year, time, "GMT"] if year.len() == 2 => {
                let this_year = now.civil().0;
                let year = this_year - this_year % 100 + number(year)?;
                let year = if year > this_year + 50 { year - 100 } else { year };
                from_parts(year, month, number(day)?, time)
            }
            // Sun, 06 Nov 1994 08:49:37 GMT
            [_, day, month, year, time, "GMT"] => {
                from_parts(number(year)?, month, number(day)?, time)
            }
            _ => None,
        }
    }

    /// Year, month (1 to 12) and day in the Gregorian calendar.
    fn civil(self) -> (u64, u64, u64) {
        // Years are counted from March on, so that a leap day is the last of its year.
        let days = self.0 / DAY_SECONDS + DAYS_TO_1970;
        let era = days / ERA_DAYS;
        let day_of_era = days % ERA_DAYS;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (era * 400 + year_of_era + u64::from(month <= 2), month, day)
    }
}

/// Writes a date: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(date: HttpDate) -> String {
    let (year, month, day) = date.civil();
    let seconds = date.0 % DAY_SECONDS;
    let weekday = WEEKDAYS[(date.0 / DAY_SECONDS % 7) as usize];
    let month = MONTHS[(month - 1) as usize];
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

fn from_parts(year: u64, month: &str, day: u64, time: &str) -> Option<HttpDate> {
    let month = MONTHS.iter().position(|name| month.eq_ignore_ascii_case(name))? as u64 + 1;
    let mut parts = time.split(':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let is_time = parts.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    if !is_time || !(1970..10_000).contains(&year) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * ERA_DAYS + day_of_era).checked_sub(DAYS_TO_1970)?;
    Some(HttpDate(days * DAY_SECONDS + hour * 3600 + minute * 60 + second))
}

fn number(text: &str) -> Option<u64> {
    let is_number = text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

const DAY_SECONDS: u64 = 86_400;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;
/// From 1970-01-01 on, which was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
