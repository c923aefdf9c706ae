//! Settings as text.

use core::fmt;

use super::{Share, Size, Span, decimal};
use crate::settings::{
    Blackout, Discipline, GilbertElliott, Jitter, Loss, Policer, Queue, Rate, Reorder,
};

impl fmt::Display for Rate {
    /// A trace by its name, which is no rate: settings write `trace=NAME`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Unlimited => f.write_str("unlimited"),
            Rate::Constant { bits_per_second } => f.write_str(&bits(*bits_per_second)),
            Rate::Trace(trace) => write!(f, "trace {}", trace.name()),
        }
    }
}

/// Bits a second: `1.5mbit`.
pub(crate) fn bits(bits_per_second: u64) -> String {
    let (places, unit) = match bits_per_second {
        1_000_000_000.. => (9, "gbit"),
        1_000_000.. => (6, "mbit"),
        1_000.. => (3, "kbit"),
        _ => (0, "bit"),
    };
    format!("{}{unit}", decimal(bits_per_second, places))
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Queue::Bytes(bytes) => Size(bytes).fmt(f),
            Queue::Packets(packets) => write!(f, "{packets}p"),
            Queue::Time(span) => Span(span).fmt(f),
        }
    }
}

impl fmt::Display for Discipline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Discipline::DropTail => f.write_str("drop-tail"),
            Discipline::DropHead => f.write_str("drop-head"),
            Discipline::CoDel { target, interval } => {
                write!(f, "codel target {} interval {}", Span(target), Span(interval))
            }
            Discipline::Pie { target } => write!(f, "pie target {}", Span(target)),
        }
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Jitter::None => f.write_str("none"),
            Jitter::Uniform { spread } => write!(f, "{} uniform", Span(*spread)),
            Jitter::Normal { deviation } => write!(f, "{} normal", Span(*deviation)),
            Jitter::Pareto { mean } => write!(f, "{} pareto", Span(*mean)),
            Jitter::Table(table) => write!(f, "table {}", table.name()),
        }
    }
}

impl fmt::Display for Reorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reorder::None => f.write_str("none"),
            Reorder::Jitter => f.write_str("jitter"),
            Reorder::Late { chance, by } => write!(f, "{} by {}", Share(chance), Span(by)),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::None => f.write_str("none"),
            Loss::Independent(chance) => Share(*chance).fmt(f),
            Loss::GilbertElliott(model) => model.fmt(f),
            Loss::Every(number) => write!(f, "every {number}"),
            Loss::Packets(numbers) => {
                f.write_str("packets ")?;
                for (place, (first, last)) in numbers.ranges().iter().enumerate() {
                    let comma = if place > 0 { "," } else { "" };
                    if first == last {
                        write!(f, "{comma}{first}")?;
                    } else {
                        write!(f, "{comma}{first}-{last}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for GilbertElliott {
    /// By mean and burst where that says it all, else by its parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = (self.mean_loss() * 1e12).round() / 1e12;
        let burst = (1e6 / self.r).round() / 1e6;
        if GilbertElliott::from_mean_and_burst(mean, burst).as_ref() == Ok(self) {
            return write!(f, "{} burst {burst}", Share(mean));
        }
        let GilbertElliott { p, r, h, k } = *self;
        let [p, r, h, k] = [p, r, h, k].map(Share);
        write!(f, "gilbert p {p} r {r} h {h} k {k}")
    }
}

impl fmt::Display for Blackout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Blackout::Off => f.write_str("off"),
            Blackout::On => f.write_str("on"),
            Blackout::Every { period, span } => write!(f, "{} every {}", Span(span), Span(period)),
        }
    }
}

impl fmt::Display for Policer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Policer::None => f.write_str("none"),
            Policer::Bucket { bits_per_second, burst_bytes } => {
                write!(f, "{} burst {}", bits(bits_per_second), Size(burst_bytes))
            }
        }
    }
}
