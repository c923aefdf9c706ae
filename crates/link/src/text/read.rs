//! Settings from text.

use core::str::FromStr;
use core::time::Duration;

use super::{Share, Size, Span, bytes, is_zero, number_and_unit, scaled};
use crate::error::{Error, quote};
use crate::settings::{
    Blackout, Discipline, GilbertElliott, Jitter, Loss, Numbers, Policer, Queue, Rate, Reorder,
    Settings,
};

impl FromStr for Rate {
    type Err = Error;

    /// `800kbit`, `5mbit`, `1.5gbit` (powers of 1000, a second), or `unlimited`.
    fn from_str(text: &str) -> Result<Self, Error> {
        rate(text, false)
    }
}

/// A rate; it may be 0 in a schedule.
pub(crate) fn rate(text: &str, scheduled: bool) -> Result<Rate, Error> {
    if text.trim().eq_ignore_ascii_case("unlimited") {
        return Ok(Rate::Unlimited);
    }
    let settings = Settings {
        rate: Rate::bits_per_second(bits_per_second("rate", text)?),
        ..Settings::default()
    };
    if scheduled {
        settings.check_scheduled()?
    } else {
        settings.check()?
    };
    Ok(settings.rate)
}

fn bits_per_second(field: &'static str, text: &str) -> Result<u64, Error> {
    let expected = match field {
        "rate" => "a number with bit, kbit, mbit or gbit (a second), or unlimited",
        _ => "a number with bit, kbit, mbit or gbit (a second)",
    };
    let refuse = || Error::setting(field, quote(text), expected, "5mbit");
    let (number, unit) = number_and_unit(text).ok_or_else(refuse)?;
    let places = match unit.strip_suffix("/s").unwrap_or(&unit) {
        "bit" => 0,
        "kbit" => 3,
        "mbit" => 6,
        "gbit" => 9,
        "" if is_zero(number) => 0,
        _ => return Err(refuse()),
    };
    scaled(number, places).ok_or_else(refuse)
}

impl FromStr for Queue {
    type Err = Error;

    /// `64kb` and the other spellings of [`Size`], `100p` for packets, `200ms` and the other
    /// spellings of [`Span`] for what the rate sends in so long.
    fn from_str(text: &str) -> Result<Self, Error> {
        let expected = "a number with b, kb, kib, mb or mib, with p for packets, or with ms or s";
        let refuse = || Error::setting("queue", quote(text), expected, "64kb, 100p or 200ms");
        let (number, unit) = number_and_unit(text).ok_or_else(refuse)?;
        let queue = match unit.as_str() {
            "p" | "packet" | "packets" => Queue::Packets(number.parse().map_err(|_| refuse())?),
            "b" | "kb" | "kib" | "mb" | "mib" => {
                Queue::Bytes(bytes(number, &unit).ok_or_else(refuse)?)
            }
            "" => return Err(refuse()),
            _ => {
                let Span(span) = text.parse().map_err(|_| refuse())?;
                Queue::Time(span)
            }
        };
        Settings { queue, ..Settings::default() }.check()?;
        Ok(queue)
    }
}

impl FromStr for Discipline {
    type Err = Error;

    /// `drop-tail`, `drop-head`, `codel`, `codel target 5ms interval 100ms`, `pie` or
    /// `pie target 15ms`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        let refuse = || {
            let expected = "drop-tail, drop-head, codel or pie, perhaps with target and interval";
            let example = "codel, or codel target 5ms interval 100ms";
            Error::setting("discipline", quote(text), expected, example)
        };
        let span = |text: &str| text.parse().map(|Span(span)| span).map_err(|_| refuse());
        let discipline = match words[..] {
            ["drop-tail"] => Discipline::DropTail,
            ["drop-head"] => Discipline::DropHead,
            ["codel"] => Discipline::CoDel { target: CODEL_TARGET, interval: CODEL_INTERVAL },
            ["codel", "target", target] => {
                Discipline::CoDel { target: span(target)?, interval: CODEL_INTERVAL }
            }
            ["codel", "target", target, "interval", interval] => {
                Discipline::CoDel { target: span(target)?, interval: span(interval)? }
            }
            ["pie"] => Discipline::Pie { target: PIE_TARGET },
            ["pie", "target", target] => Discipline::Pie { target: span(target)? },
            _ => return Err(refuse()),
        };
        Settings { discipline, ..Settings::default() }.check()?;
        Ok(discipline)
    }
}

impl FromStr for Jitter {
    type Err = Error;

    /// `5ms` (uniform), `5ms uniform`, `5ms normal`, `5ms pareto`, or `none`. Tables are read by
    /// [`Change::read_with`](crate::Change::read_with).
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.trim().to_lowercase();
        let (span, shape) = lower.split_once(char::is_whitespace).unwrap_or((&lower, "uniform"));
        let refuse = || {
            let expected = "a time span, then uniform, normal or pareto; or table and a file";
            Error::setting("jitter", quote(text), expected, "5ms normal")
        };
        if lower == "none" {
            return Ok(Jitter::None);
        }
        let Span(span) = span.parse().map_err(|_| refuse())?;
        match shape.trim() {
            "uniform" => Ok(Jitter::Uniform { spread: span }),
            "normal" => Ok(Jitter::Normal { deviation: span }),
            "pareto" => Ok(Jitter::Pareto { mean: span }),
            _ => Err(refuse()),
        }
    }
}

impl FromStr for Reorder {
    type Err = Error;

    /// `none`, `jitter`, or `1% by 10ms`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        let refuse = || {
            let expected = "none, jitter, or a percentage, by and a time span";
            Error::setting("reorder", quote(text), expected, "1% by 10ms")
        };
        match words[..] {
            ["none"] => Ok(Reorder::None),
            ["jitter"] => Ok(Reorder::Jitter),
            [share, "by", span] => {
                let Share(chance) = share.parse().map_err(|_| refuse())?;
                let Span(by) = span.parse().map_err(|_| refuse())?;
                Ok(Reorder::Late { chance, by })
            }
            _ => Err(refuse()),
        }
    }
}

impl FromStr for Loss {
    type Err = Error;

    /// `none`, `1%` (independent), `1% burst 3` (Gilbert-Elliott by mean loss and mean burst length
    /// in packets), `gilbert p 1% r 30% h 0% k 100%` (by its parameters; `h` and `k` may be left
    /// out), `every 100`, or `packets 3,7,10-20`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        let refuse = || {
            let expected = "a percentage from 0% to 100%, perhaps with burst and a number of \
                            packets; gilbert with p, r, h, k; every N; or packets with numbers";
            Error::setting("loss", quote(text), expected, "1% or 1% burst 3")
        };
        let share = |text: &str| text.parse().map(|Share(share)| share).map_err(|_| refuse());
        let loss = match words[..] {
            ["none"] => Loss::None,
            [chance] => Loss::Independent(share(chance)?),
            [mean, "burst", burst] => {
                let burst = burst.parse().map_err(|_| refuse())?;
                Loss::GilbertElliott(GilbertElliott::from_mean_and_burst(share(mean)?, burst)?)
            }
            ["gilbert", ref pairs @ ..] => Loss::GilbertElliott(gilbert(pairs).ok_or_else(refuse)?),
            ["every", number] => Loss::Every(number.parse().map_err(|_| refuse())?),
            ["packets", ref lists @ ..] => {
                Loss::Packets(numbers(&lists.concat()).ok_or_else(refuse)?)
            }
            _ => return Err(refuse()),
        };
        Settings { loss: loss.clone(), ..Settings::default() }.check()?;
        Ok(loss)
    }
}

fn gilbert(pairs: &[&str]) -> Option<GilbertElliott> {
    let (mut p, mut r, mut h, mut k) = (None, None, Some(0.0), Some(1.0));
    for pair in pairs.chunks(2) {
        let [name, value] = pair else { return None };
        let Share(share) = value.parse().ok()?;
        match *name {
            "p" => p = Some(share),
            "r" => r = Some(share),
            "h" => h = Some(share),
            "k" => k = Some(share),
            _ => return None,
        }
    }
    Some(GilbertElliott { p: p?, r: r?, h: h?, k: k? })
}

/// `3,7,10-20`.
fn numbers(text: &str) -> Option<Numbers> {
    let range = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((first, last))
    };
    text.split(',').map(range).collect::<Option<Vec<_>>>().map(Numbers::new)
}

impl FromStr for Blackout {
    type Err = Error;

    /// `off`, `on`, or `500ms every 10s`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        let refuse = || {
            let expected = "off, on, or a time span, every and a longer one";
            Error::setting("blackout", quote(text), expected, "500ms every 10s")
        };
        let span = |text: &str| text.parse().map(|Span(span)| span).map_err(|_| refuse());
        let blackout = match words[..] {
            ["off" | "none"] => Blackout::Off,
            ["on"] => Blackout::On,
            [black, "every", period] => {
                Blackout::Every { period: span(period)?, span: span(black)? }
            }
            _ => return Err(refuse()),
        };
        Settings { blackout, ..Settings::default() }.check()?;
        Ok(blackout)
    }
}

impl FromStr for Policer {
    type Err = Error;

    /// `none`, `2mbit`, or `2mbit burst 32kb`. Without a burst it is what the rate lets through in
    /// 100 ms, 3000 bytes at least.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        let refuse = || {
            let expected = "a rate, perhaps with burst and an amount of bytes, or none";
            Error::setting("policer", quote(text), expected, "2mbit burst 32kb")
        };
        let rate = |text: &str| bits_per_second("policer", text);
        let policer = match words[..] {
            ["none"] => Policer::None,
            [bits] => {
                let bits_per_second = rate(bits)?;
                let burst_bytes = (bits_per_second / 80).clamp(BURST_BYTES_MIN, BURST_BYTES_MAX);
                Policer::Bucket { bits_per_second, burst_bytes }
            }
            [bits, "burst", size] => {
                let Size(burst_bytes) = size.parse().map_err(|_| refuse())?;
                Policer::Bucket { bits_per_second: rate(bits)?, burst_bytes }
            }
            _ => return Err(refuse()),
        };
        Settings { policer, ..Settings::default() }.check()?;
        Ok(policer)
    }
}

/// RFC 8289 section 4.3 and 4.4.
const CODEL_TARGET: Duration = Duration::from_millis(5);
const CODEL_INTERVAL: Duration = Duration::from_millis(100);
/// RFC 8033 section 4.2: QDELAY_REF.
const PIE_TARGET: Duration = Duration::from_millis(15);
const BURST_BYTES_MIN: u64 = 3000;
const BURST_BYTES_MAX: u64 = 1_000_000_000;
