//! The scene below the strip: colours that stay, a ball and a band that move, a clock, the box
//! that flashes.

use weir_media::MediaTime;

use super::{Moment, SECOND_NANOS, Settings, font, is_lit};
use crate::picture::{Area, BLACK, NEUTRAL, WHITE};
use crate::timecode::{COLUMNS, cell};
use crate::{Picture, flash};

/// All that the pictures have in common.
#[derive(Debug)]
pub(super) struct Scene {
    background: Picture,
    info: String,
    width: usize,
    height: usize,
    /// Samples on each side of a dot of the clock.
    dot: usize,
    ball: Ball,
}

/// A disc: how far each of its rows reaches from the middle.
#[derive(Debug)]
struct Ball {
    radius: usize,
    reach: Vec<usize>,
}

impl Scene {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings { width, height, frame_rate, .. } = *settings;
        let panel = panel(width, height);
        let line = CLOCK_CHARACTERS * font::ADVANCE;
        let fits = (panel.right - panel.left) * 15 / 16 / line;
        // Even, where there is room, for then the font is rounded off.
        let dot = if fits >= 2 { fits / 2 * 2 } else { 1 };
        let radius = (cell(width, height, 16, 0).bottom - cell(width, height, 13, 0).top) / 3;
        let mut scene = Scene {
            background: Picture::new(width, height),
            info: format!("{width}x{height} {frame_rate} fps"),
            width,
            height,
            dot,
            ball: Ball::new(radius.max(2)),
        };
        scene.paint_sky();
        scene.paint_bars();
        scene.paint_panel(&settings.name);
        scene
    }

    pub(super) fn background(&self) -> &Picture {
        &self.background
    }

    /// Draws a moment over all that was in the picture below the strip.
    pub(super) fn draw(&self, picture: &mut Picture, moment: &Moment) {
        picture.clone_from(&self.background);
        self.draw_band(picture, moment.pts);
        self.draw_ball(picture, moment.pts);
        self.draw_flash(picture, moment.pts);
        self.draw_text(picture, moment);
    }

    /// A wash of colours behind everything.
    fn paint_sky(&mut self) {
        let (width, height) = (self.width as f32, self.height as f32);
        for y in 0..self.height {
            let down = y as f32 / height;
            self.background.planes[0].row_mut(y).fill((78.0 - 26.0 * down) as u8);
        }
        for y in 0..self.height.div_ceil(2) {
            for x in 0..self.width.div_ceil(2) {
                let (across, down) = (2.0 * x as f32 / width, 2.0 * y as f32 / height);
                let turn = (across * 0.7 + down * 0.35) * std::f32::consts::TAU;
                self.background.planes[1].row_mut(y)[x] = (140.0 + 26.0 * turn.sin()) as u8;
                self.background.planes[2].row_mut(y)[x] = (122.0 + 26.0 * turn.cos()) as u8;
            }
        }
    }

    /// The colour bars at the bottom: 75 %, as of SMPTE EG 1.
    fn paint_bars(&mut self) {
        let top = cell(self.width, self.height, 20, 0).top & !1;
        for (number, colour) in BARS.into_iter().enumerate() {
            let left = (number * self.width / BARS.len()) & !1;
            let right = ((number + 1) * self.width / BARS.len()) & !1;
            self.background.fill(Area { left, top, right, bottom: self.height }, colour);
        }
    }

    /// The dark panel with what does not change on it, and the dark box of the flash.
    fn paint_panel(&mut self, name: &str) {
        let panel = panel(self.width, self.height);
        self.background.fill(panel, PANEL);
        let dot = (self.dot / 2).max(1);
        let room = (panel.right - panel.left) / (font::ADVANCE * dot);
        let name: String = name.chars().take(room.saturating_sub(1)).collect();
        let (left, top) = (self.text_left(), self.line_top(0));
        font::write(&mut self.background.planes[0], &name, left, top, dot, WHITE);
        let (dot, top) = (self.small_dot(), self.line_top(2));
        font::write(&mut self.background.planes[0], &self.info, left, top, dot, GREY);
        let area = flash::area(self.width, self.height);
        let rim = Area {
            left: (area.left - self.width / 160) & !1,
            top: (area.top - self.height / 90) & !1,
            right: (area.right + self.width / 160).next_multiple_of(2).min(self.width),
            bottom: (area.bottom + self.height / 90).next_multiple_of(2),
        };
        self.background.fill(rim, [GREY, NEUTRAL, NEUTRAL]);
        self.background.fill(area, PANEL);
    }

    /// Blocks of colour that wander to the left, a picture's width in four seconds.
    fn draw_band(&self, picture: &mut Picture, pts: MediaTime) {
        let top = cell(self.width, self.height, 18, 0).top & !1;
        let bottom = cell(self.width, self.height, 19, 0).bottom & !1;
        let block = self.width.div_ceil(10);
        let offset = along(pts, 4 * SECOND_NANOS, 5 * block * 2) & !1;
        for number in 0..22 {
            let right = ((number + 1) * block).saturating_sub(offset) & !1;
            let left = (number * block).saturating_sub(offset) & !1;
            if left < self.width && right > 0 {
                let right = right.min(self.width);
                picture.fill(Area { left, top, right, bottom }, BLOCKS[number % BLOCKS.len()]);
            }
        }
    }

    /// A ball that crosses the picture and comes back, bouncing.
    fn draw_ball(&self, picture: &mut Picture, pts: MediaTime) {
        let radius = self.ball.radius;
        let room = self.width - 2 * radius;
        let across = along(pts, 6 * SECOND_NANOS, 2 * room);
        let x = radius + if across < room { across } else { 2 * room - across };
        let ground = cell(self.width, self.height, 18, 0).top - radius;
        let turn = along(pts, SECOND_NANOS, 1_000) as f32 / 1_000.0;
        let high = 4.0 * turn * (1.0 - turn);
        let rise = cell(self.width, self.height, 2, 0).bottom as f32 * 0.7;
        let y = ground - (high * rise) as usize;
        self.ball.draw(picture, x, y);
    }

    fn draw_flash(&self, picture: &mut Picture, pts: MediaTime) {
        let area = flash::area(self.width, self.height);
        if is_lit(pts) {
            picture.fill(area, [WHITE, NEUTRAL, NEUTRAL]);
        }
        // Below it a bar that fills over the second.
        let below = cell(self.width, self.height, 10, 0);
        let length = along(pts, SECOND_NANOS, area.right - area.left) & !1;
        let (top, bottom) = (below.top & !1, below.bottom & !1);
        picture.fill(Area { left: area.left, top, right: area.right, bottom }, PANEL);
        let right = area.left + length;
        picture.fill(Area { left: area.left, top, right, bottom }, [180, NEUTRAL, NEUTRAL]);
    }

    fn draw_text(&self, picture: &mut Picture, moment: &Moment) {
        let clock = match moment.now {
            Some(now) => clock_of(now.as_millis() % DAY_MS),
            None => clock_of(moment.pts.to_duration().as_millis() as u64),
        };
        let left = self.text_left();
        let luma = &mut picture.planes[0];
        font::write(luma, &clock, left, self.line_top(1), self.dot, WHITE);
        let kind = if moment.now.is_some() { "live UTC" } else { "recorded" };
        let text = format!("{kind} #{}", moment.frame);
        let dot = self.small_dot();
        let used = (self.info.len() + 2) * font::ADVANCE * dot;
        let left = self.text_left() + used;
        font::write(luma, &text, left, self.line_top(2), dot, GREY);
    }

    /// Where all lines of the panel begin.
    fn text_left(&self) -> usize {
        panel(self.width, self.height).left + 2 * self.dot
    }

    fn small_dot(&self) -> usize {
        (self.dot / 3).max(1)
    }

    /// Where a line of the panel begins: name, clock, what else is to say.
    fn line_top(&self, line: usize) -> usize {
        let panel = panel(self.width, self.height);
        let dots = [(self.dot / 2).max(1), self.dot, self.small_dot()];
        let text: usize = dots.iter().sum::<usize>() * font::HEIGHT;
        let gap = (panel.bottom - panel.top).saturating_sub(text) / 4;
        let above: usize = dots[..line].iter().sum::<usize>() * font::HEIGHT;
        panel.top + gap * (line + 1) + above
    }
}

impl Ball {
    fn new(radius: usize) -> Self {
        let reach = |row: usize| {
            let up = (row as f32 + 0.5) - radius as f32;
            ((radius * radius) as f32 - up * up).max(0.0).sqrt() as usize
        };
        Ball { radius, reach: (0..2 * radius).map(reach).collect() }
    }

    fn draw(&self, picture: &mut Picture, x: usize, y: usize) {
        for (row, &reach) in self.reach.iter().enumerate() {
            let y = y + row - self.radius;
            let (left, right) = (x - reach, x + reach);
            // Lighter towards the top.
            let luma = 205 - (row * 70 / (2 * self.radius)) as u8;
            let area = Area { left, top: y, right, bottom: y + 1 };
            picture.planes[0].fill(area, luma);
            if y.is_multiple_of(2) {
                let half = Area { left: left / 2, top: y / 2, right: right / 2, bottom: y / 2 + 1 };
                picture.planes[1].fill(half, 60);
                picture.planes[2].fill(half, 170);
            }
        }
    }
}

/// How far something has come that goes `distance` in each `period`.
fn along(pts: MediaTime, period_nanos: i64, distance: usize) -> usize {
    let within = i128::from(pts.as_nanos().rem_euclid(period_nanos));
    (within * distance as i128 / i128::from(period_nanos)) as usize
}

/// The panel of the text: the left three quarters, rows 4 to 11.
fn panel(width: usize, height: usize) -> Area {
    let (first, last) = (cell(width, height, 4, 1), cell(width, height, 11, COLUMNS * 3 / 4));
    Area {
        left: first.left & !1,
        top: first.top & !1,
        right: last.right & !1,
        bottom: last.bottom & !1,
    }
}

/// `HH:MM:SS.mmm`.
fn clock_of(ms: u64) -> String {
    let (hours, minutes) = (ms / 3_600_000 % 100, ms / 60_000 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}", ms / 1_000 % 60, ms % 1_000)
}

const CLOCK_CHARACTERS: usize = 12;
const DAY_MS: u64 = 86_400_000;
const PANEL: [u8; 3] = [24, NEUTRAL, NEUTRAL];
const GREY: u8 = 150;
/// White, yellow, cyan, green, magenta, red, blue of 75 %, and black.
const BARS: [[u8; 3]; 8] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
    [BLACK, NEUTRAL, NEUTRAL],
];
const BLOCKS: [[u8; 3]; 2] = [[100, 160, 110], [150, 100, 150]];
