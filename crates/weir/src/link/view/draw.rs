//! How the view looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span as Part};
use ratatui::widgets::{Block, Cell, Paragraph, Row as TableRow, Sparkline, Table, TableState};
use weir_emulator::text::{bit_rate, bytes, millis};

use super::{Row, Setting, View, way};

impl View {
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let rows = u16::try_from(self.rows.len()).unwrap_or(u16::MAX);
        let [title, table, settings, graph, line] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Max(rows.saturating_add(2)),
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.title(frame, title);
        self.table(frame, table);
        self.settings(frame, settings);
        self.graph(frame, graph);
        self.line(frame, line);
    }

    fn title(&self, frame: &mut Frame<'_>, area: Rect) {
        let age = self.age_ns / 1_000_000_000;
        let capture = self.capture.as_ref().map_or(String::new(), |file| format!("  [{file}]"));
        let text = format!("{}  {age} s{capture}", self.title);
        frame.render_widget(Paragraph::new(text).style(bold()), area);
    }

    fn table(&self, frame: &mut Frame<'_>, area: Rect) {
        let head = ["link", "", "in", "out", "queue", "delay", "p99", "dropped"];
        let head = TableRow::new(head).style(Style::new().fg(Color::DarkGray));
        let rows = self.rows.iter().map(|row| TableRow::new(row.cells()));
        let widths = [
            Constraint::Min(8),
            Constraint::Length(4),
            Constraint::Length(14),
            Constraint::Length(14),
            Constraint::Length(16),
            Constraint::Length(11),
            Constraint::Length(11),
            Constraint::Length(12),
        ];
        let table = Table::new(rows, widths)
            .header(head)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        let mut state = TableState::default().with_selected(Some(self.selected));
        frame.render_stateful_widget(table, area, &mut state);
    }

    /// What is asked of the row that is chosen; the setting that + and - change stands out.
    fn settings(&self, frame: &mut Frame<'_>, area: Rect) {
        let Some(row) = self.rows.get(self.selected) else { return };
        let chosen = match self.setting {
            Setting::Rate => "rate=",
            Setting::Delay => "delay=",
        };
        let mut parts = vec![Part::raw(format!("{} {}: ", row.link, way(row.direction)))];
        for word in row.shown.settings.split_whitespace() {
            let style = match word.starts_with(chosen) {
                true => bold().fg(Color::Yellow),
                false => Style::new(),
            };
            parts.push(Part::styled(word.to_owned(), style));
            parts.push(Part::raw(" "));
        }
        frame.render_widget(Paragraph::new(Line::from(parts)), area);
    }

    fn graph(&self, frame: &mut Frame<'_>, area: Rect) {
        let Some(row) = self.rows.get(self.selected) else { return };
        let max = row.history.iter().max().copied().unwrap_or(0);
        let title = format!("out, at most {}", bit_rate(max as f64));
        let block = Block::bordered().title(title).border_style(Style::new().fg(Color::DarkGray));
        let columns = usize::from(block.inner(area).width);
        let shown = row.history.iter().skip(row.history.len().saturating_sub(columns));
        let graph = Sparkline::default()
            .block(block)
            .data(shown.copied().collect::<Vec<_>>())
            .style(Style::new().fg(Color::Cyan));
        frame.render_widget(graph, area);
    }

    /// What is typed, what was said, or which keys there are.
    fn line(&self, frame: &mut Frame<'_>, area: Rect) {
        if let Some(typed) = &self.typed {
            frame.render_widget(Paragraph::new(format!("> {typed}")), area);
            let end = u16::try_from(typed.chars().count()).unwrap_or(u16::MAX);
            let last = area.right().saturating_sub(1);
            let x = area.x.saturating_add(2).saturating_add(end).min(last);
            frame.set_cursor_position((x, area.y));
            return;
        }
        let (text, style) = match &self.message {
            Some(message) => (message.as_str(), Style::new().fg(Color::Yellow)),
            None => (HELP, Style::new().fg(Color::DarkGray)),
        };
        frame.render_widget(Paragraph::new(text).style(style), area);
    }
}

impl Row {
    fn cells(&self) -> Vec<Cell<'static>> {
        let shown = &self.shown;
        let second = shown.second.as_ref();
        let time = |nanos: Option<u64>| nanos.map_or_else(|| "-".to_owned(), millis);
        let dropped = shown.counters.dropped_packets();
        let dropped = Cell::from(dropped.to_string()).style(match dropped {
            0 => Style::new(),
            _ => Style::new().fg(Color::Red),
        });
        vec![
            Cell::from(self.link.clone()),
            Cell::from(way(self.direction)),
            Cell::from(bit_rate(self.in_bps as f64)),
            Cell::from(bit_rate(self.out_bps as f64)),
            Cell::from(format!("{} p {}", shown.queue_packets, bytes(shown.queue_bytes))),
            Cell::from(time(second.and_then(|second| second.delay_p50_ns))),
            Cell::from(time(second.and_then(|second| second.delay_p99_ns))),
            dropped,
        ]
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

const HELP: &str =
    "up/down link  left/right rate or delay  +/- 10 %  type rate=2mbit and Enter  q quit";
