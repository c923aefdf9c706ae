use ratatui::Terminal;
use ratatui::backend::TestBackend;
use weir_emulator::Recent;
use weir_emulator::control::{Run, Shown};
use weir_link::Counters;

use super::*;

fn direction(settings: &str, bytes: u64) -> ShownDirection {
    let counters = Counters {
        offered_packets: bytes / 1000,
        offered_bytes: bytes,
        delivered_packets: bytes / 1000,
        delivered_bytes: bytes,
        dropped_queue_packets: 7,
        ..Counters::default()
    };
    let second = Recent {
        span_ns: 1_000_000_000,
        delay_p50_ns: Some(41_250_000),
        delay_p99_ns: Some(55_000_000),
        ..Recent::default()
    };
    ShownDirection {
        settings: settings.to_owned(),
        queue_packets: 12,
        queue_bytes: 14_200,
        counters,
        second: Some(second),
    }
}

/// Figures after so many seconds of 8 Mbit/s up.
fn response(seconds: u64) -> Response {
    let run = Run {
        pid: 1,
        command: "weir link udp 5004 127.0.0.1:5005".into(),
        driver: "relay udp".into(),
        age_ns: seconds * 1_000_000_000,
    };
    let up = direction("rate=10mbit queue=1000p delay=40ms", seconds * 1_000_000);
    let down = direction("rate=unlimited queue=1000p delay=0ms", 0);
    let links = vec![Shown { name: "s1-s2".into(), up, down }];
    Response { run: Some(run), links, ..Response::default() }
}

fn screen(view: &View) -> String {
    let mut terminal = Terminal::new(TestBackend::new(100, 14)).expect("it takes any size");
    terminal.draw(|frame| view.draw(frame)).expect("it can be drawn");
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(100);
    let lines = lines.map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>());
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn press(view: &mut View, code: KeyCode) -> Step {
    view.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn view() -> View {
    let mut view = View::default();
    view.update(&response(1));
    view.update(&response(2));
    view
}

fn set(step: Step) -> (Direction, String) {
    match step {
        Step::Ask(Request::Set { link, direction: Some(direction), set }) => {
            assert_eq!(link.as_deref(), Some("s1-s2"));
            (direction, set)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn throughput_queue_delay_and_drops_are_shown_for_each_direction() {
    let screen = screen(&view());
    let up = screen.lines().find(|line| line.contains(" up ")).expect("there is a line");
    for part in ["s1-s2", "8.000 Mbit/s", "12 p 14.2 kB", "41.250 ms", "55.000 ms", "7"] {
        assert!(up.contains(part), "{part} in:\n{screen}");
    }
    assert!(screen.contains("down") && screen.contains("weir link udp 5004"), "{screen}");
    assert!(screen.contains("s1-s2 up: rate=10mbit queue=1000p delay=40ms"), "{screen}");
}

#[test]
fn plus_and_minus_change_the_chosen_setting_by_a_tenth() {
    let mut view = view();
    assert_eq!(set(press(&mut view, KeyCode::Char('+'))), (Direction::Up, "rate=11mbit".into()));
    press(&mut view, KeyCode::Right);
    assert_eq!(set(press(&mut view, KeyCode::Char('+'))), (Direction::Up, "delay=44ms".into()));
    press(&mut view, KeyCode::Down);
    assert_eq!(set(press(&mut view, KeyCode::Char('+'))), (Direction::Down, "delay=1ms".into()));
    press(&mut view, KeyCode::Left);
    assert_eq!(press(&mut view, KeyCode::Char('-')), Step::Stay);
    assert!(screen(&view).contains("there is no constant rate"));
}

#[test]
fn a_typed_line_is_sent_with_enter_and_dropped_with_escape() {
    let mut view = view();
    for letter in "rate=2mbit".chars() {
        assert_eq!(press(&mut view, KeyCode::Char(letter)), Step::Stay);
    }
    assert!(screen(&view).contains("> rate=2mbit"));
    assert_eq!(set(press(&mut view, KeyCode::Enter)), (Direction::Up, "rate=2mbit".into()));
    press(&mut view, KeyCode::Char('d'));
    press(&mut view, KeyCode::Esc);
    assert!(screen(&view).contains("q quit"));
    assert_eq!(press(&mut view, KeyCode::Char('q')), Step::Quit);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(view.key(control_c), Step::Quit);
}

#[test]
fn a_refusal_is_shown_and_any_terminal_size_is_drawn() {
    let mut view = view();
    view.say("rate: expected a number".into());
    assert!(screen(&view).contains("rate: expected a number"));
    for (width, height) in [(1, 1), (20, 3), (300, 80)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("any size");
        terminal.draw(|frame| view.draw(frame)).expect("it can be drawn");
        view.typed = Some("delay=5ms".into());
        terminal.draw(|frame| view.draw(frame)).expect("it can be drawn");
    }
}
