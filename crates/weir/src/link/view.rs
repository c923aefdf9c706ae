//! `weir link view`, and `--view` of the commands that run links: how they stand, in the terminal,
//! with keys to change them.

mod draw;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use weir_emulator::control::{Desk, Request, Response, ShownDirection};
use weir_emulator::text;
use weir_link::text::Span;
use weir_link::{Direction, Rate};
use weir_net::Host;

use super::control::find;

/// Show running links in the terminal, with keys to change them.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ViewArgs {
    /// The control socket of the command [default: the one that runs]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  weir link view
  weir link udp 5004 127.0.0.1:5005 --rate 3mbit --view      the same within the command itself

Keys: arrows choose a link, a direction and a setting; + and - change it by 10 %; letters begin a
line such as rate=2mbit delay=50ms, Enter sends it, Esc drops it; q ends the view.";

/// Shows the links of a running command.
pub(crate) fn view(args: &ViewArgs) -> anyhow::Result<ExitCode> {
    let mut client = find(args.control.as_deref(), None)?;
    let mut gone = None;
    run(
        &mut |request| {
            use weir_emulator::control::Error;
            client.ask(request).map_err(|error| {
                let is_refused = matches!(error, Error::Refused(_));
                let text = error.to_string();
                if !is_refused {
                    gone = Some(text.clone());
                }
                Failed { text, is_refused }
            })
        },
        &|| false,
    )?;
    match gone {
        None => Ok(ExitCode::SUCCESS),
        Some(why) => bail!("the links have ended: {why}"),
    }
}

/// Shows the links of this process, beside what else the host does: until `q`, or until `is_over`
/// is set. For the commands that run links.
pub(crate) async fn beside(
    host: &Host,
    desk: Desk,
    is_over: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let mut ask = move |request: &Request| {
        let response = desk.answer(request.clone());
        match response.error {
            None => Ok(response),
            Some(text) => Err(Failed { text, is_refused: true }),
        }
    };
    host.blocking(move || run(&mut ask, &|| is_over.load(Ordering::Relaxed))).await
}

/// Why a request was not done.
pub(super) struct Failed {
    text: String,
    /// Only this; else nobody is there any more.
    is_refused: bool,
}

type Ask<'a> = dyn FnMut(&Request) -> Result<Response, Failed> + 'a;

fn run(ask: &mut Ask<'_>, is_over: &dyn Fn() -> bool) -> anyhow::Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!("the view needs a terminal; weir link show --json prints the same figures");
    }
    // It puts the terminal back after a panic as well.
    let mut terminal = ratatui::try_init().context("the terminal does not take it")?;
    let shown = show(&mut terminal, ask, is_over);
    ratatui::restore();
    shown
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    ask: &mut Ask<'_>,
    is_over: &dyn Fn() -> bool,
) -> anyhow::Result<()> {
    let mut view = View::default();
    loop {
        match ask(&Request::Show {}) {
            Ok(response) => view.update(&response),
            Err(failed) if failed.is_refused && !is_over() => view.say(failed.text),
            Err(_) => return Ok(()),
        }
        terminal.draw(|frame| view.draw(frame))?;
        let mut waited = event::poll(REFRESH_EVERY)?;
        while waited {
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
            {
                match view.key(key) {
                    Step::Stay => {}
                    Step::Quit => return Ok(()),
                    Step::Ask(request) => match ask(&request) {
                        Ok(response) => view.changed(&response),
                        Err(failed) => view.say(failed.text),
                    },
                }
            }
            waited = event::poll(Duration::ZERO)?;
        }
        if is_over() {
            return Ok(());
        }
    }
}

/// What is shown, and what keys do to it.
#[derive(Debug, Default)]
pub(super) struct View {
    title: String,
    rows: Vec<Row>,
    selected: usize,
    setting: Setting,
    /// The line that is typed.
    typed: Option<String>,
    message: Option<String>,
    age_ns: u64,
    capture: Option<String>,
}

/// One direction of a link.
#[derive(Debug)]
struct Row {
    link: String,
    direction: Direction,
    shown: ShownDirection,
    /// Bits a second that came and left since the figures before.
    in_bps: u64,
    out_bps: u64,
    /// Bits a second that left, the newest last.
    history: VecDeque<u64>,
}

/// What + and - change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Setting {
    #[default]
    Rate,
    Delay,
}

/// What a key leads to.
#[derive(Debug, PartialEq)]
enum Step {
    Stay,
    Ask(Request),
    Quit,
}

impl View {
    /// Takes new figures.
    fn update(&mut self, response: &Response) {
        let age_ns = response.run.as_ref().map_or(0, |run| run.age_ns);
        let span_ns = age_ns.saturating_sub(self.age_ns);
        if let Some(run) = &response.run {
            self.title = run.command.clone();
        }
        self.capture = response.capture.as_ref().map(|capture| capture.file.display().to_string());
        let is_first = self.rows.is_empty();
        let mut rows = Vec::new();
        for link in &response.links {
            for (direction, shown) in [(Direction::Up, &link.up), (Direction::Down, &link.down)] {
                let mut before = self.rows.iter_mut();
                let before = before.find(|row| row.link == link.name && row.direction == direction);
                rows.push(Row::next(&link.name, direction, shown, before, span_ns));
            }
        }
        self.rows = rows;
        self.age_ns = age_ns;
        self.selected = self.selected.min(self.rows.len().saturating_sub(1));
        if is_first {
            // The direction that carries more is the one that is looked at.
            let counters = |row: &Row| row.shown.counters.offered_bytes;
            let most = self
                .rows
                .iter()
                .enumerate()
                .max_by_key(|(place, row)| (counters(row), usize::MAX - place));
            self.selected = most.map_or(0, |(place, _)| place);
        }
    }

    /// A change was made.
    fn changed(&mut self, response: &Response) {
        self.update(response);
        if let Some(row) = self.rows.get(self.selected) {
            let settings = &row.shown.settings;
            self.message = Some(format!("{} {}: {settings}", row.link, way(row.direction)));
        }
    }

    fn say(&mut self, text: String) {
        self.message = Some(text);
    }

    fn key(&mut self, key: KeyEvent) -> Step {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Step::Quit } else { Step::Stay };
        }
        if self.typed.is_some() {
            return self.type_key(key.code);
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Step::Quit,
            KeyCode::Up => self.selected = self.selected.saturating_sub(1),
            KeyCode::Down => {
                self.selected = (self.selected + 1).min(self.rows.len().saturating_sub(1));
            }
            KeyCode::Left => self.setting = Setting::Rate,
            KeyCode::Right => self.setting = Setting::Delay,
            KeyCode::Char('+' | '=') => return self.scale(1.1),
            KeyCode::Char('-') => return self.scale(1.0 / 1.1),
            KeyCode::Char(':') => self.typed = Some(String::new()),
            KeyCode::Char(letter) if letter.is_alphabetic() => {
                self.typed = Some(letter.to_string());
            }
            _ => {}
        }
        Step::Stay
    }

    fn type_key(&mut self, code: KeyCode) -> Step {
        let Some(typed) = &mut self.typed else { return Step::Stay };
        match code {
            KeyCode::Esc => self.typed = None,
            KeyCode::Backspace if typed.is_empty() => self.typed = None,
            KeyCode::Backspace => drop(typed.pop()),
            KeyCode::Char(letter) if typed.len() < TYPED_BYTES_MAX => typed.push(letter),
            KeyCode::Enter => {
                let set = std::mem::take(typed);
                self.typed = None;
                return self.ask(set);
            }
            _ => {}
        }
        Step::Stay
    }

    /// Asks for the chosen setting, this much greater.
    fn scale(&mut self, factor: f64) -> Step {
        let Some(row) = self.rows.get(self.selected) else { return Step::Stay };
        let asked = |name: &str| {
            let words = row.shown.settings.split_whitespace();
            words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name)
        };
        let set = match self.setting {
            Setting::Rate => match asked("rate").map(|(_, value)| value.parse()) {
                Some(Ok(Rate::Constant { bits_per_second: bits })) => {
                    let bits = (bits as f64 * factor).round().max(1.0) as u64;
                    format!("rate={}", text::rate_asked(bits))
                }
                _ => {
                    self.say("there is no constant rate to change: type one, rate=5mbit".into());
                    return Step::Stay;
                }
            },
            Setting::Delay => {
                let now = asked("delay").and_then(|(_, value)| value.parse().ok());
                let Span(now) = now.unwrap_or(Span(Duration::ZERO));
                let next = match now.is_zero() && factor > 1.0 {
                    true => Duration::from_millis(1),
                    false => Duration::from_micros((now.as_micros() as f64 * factor) as u64),
                };
                format!("delay={}", text::span_asked(next))
            }
        };
        self.ask(set)
    }

    fn ask(&mut self, set: String) -> Step {
        self.message = None;
        match self.rows.get(self.selected) {
            None => Step::Stay,
            Some(row) => {
                let (link, direction) = (Some(row.link.clone()), Some(row.direction));
                Step::Ask(Request::Set { link, direction, set })
            }
        }
    }
}

impl Row {
    fn next(
        link: &str,
        direction: Direction,
        shown: &ShownDirection,
        before: Option<&mut Row>,
        span_ns: u64,
    ) -> Row {
        let (mut in_bps, mut out_bps, mut history) = (0, 0, VecDeque::new());
        if let Some(before) = before {
            let bps = |now: u64, then: u64| {
                let bits = u128::from(now.saturating_sub(then)) * 8 * 1_000_000_000;
                let bps = bits.checked_div(u128::from(span_ns));
                bps.and_then(|bps| u64::try_from(bps).ok()).unwrap_or(0)
            };
            let (now, then) = (&shown.counters, &before.shown.counters);
            history = std::mem::take(&mut before.history);
            if span_ns >= SPAN_MIN_NS {
                in_bps = bps(now.offered_bytes, then.offered_bytes);
                out_bps = bps(now.delivered_bytes, then.delivered_bytes);
                history.push_back(out_bps);
            } else {
                (in_bps, out_bps) = (before.in_bps, before.out_bps);
            }
            while history.len() > HISTORY_MAX {
                history.pop_front();
            }
        }
        Row { link: link.to_owned(), direction, shown: shown.clone(), in_bps, out_bps, history }
    }
}

fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
    }
}

const REFRESH_EVERY: Duration = Duration::from_millis(250);
/// Figures closer together say nothing of a rate.
const SPAN_MIN_NS: u64 = 50_000_000;
const HISTORY_MAX: usize = 512;
const TYPED_BYTES_MAX: usize = 200;
