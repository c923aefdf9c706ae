//! `weir pattern`: a movie of the test pattern.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde_json::json;
use weir_codec::pattern::{self, FrameRate, Moment, ParseFrameRateError, Pattern};
use weir_codec::{SoundEncoder, Stamp, VideoEncoder, aac, h264, jpeg, opus};
use weir_media::{Frame, MediaTime, Track, TrackId, flv, mjpeg, mp4};
use weir_server::PatternSettings;
use weir_time::Instant;

use crate::log;

/// Make a movie of the test pattern: a moving scene with a clock, a machine-readable time code
/// at the top of each picture, and a beep with a flash at each whole second.
///
/// The time code says recorded: players read the media time from it, and no age.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The movie to write; its ending says how: .mp4, .flv or .mjpeg
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// How long the movie is
    #[arg(long, value_name = "N", default_value = "20")]
    pub seconds: Seconds,
    /// Width and height [default: 1280x720; 640x360 for .mjpeg]
    #[arg(long, value_name = "WxH")]
    pub size: Option<Size>,
    /// Pictures a second, as in 30, 29.97 or 30000/1001 [default: 30; 20 for .mjpeg]
    #[arg(long, value_name = "N")]
    pub fps: Option<FrameRate>,
    /// Thousands of bits a second of the picture [default: a tenth of a bit for each pixel]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(20..=100_000))]
    pub bitrate_kbps: Option<u32>,
    /// What the sound is coded in
    #[arg(long, value_enum, default_value_t = Sound::Aac)]
    pub sound: Sound,
    /// A name to show in the picture [default: the file's]
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
    /// Print what was made as JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  weir pattern -o test.mp4
  weir pattern --seconds 60 --size 1920x1080 --fps 25 -o long.mp4
  weir pattern --bitrate-kbps 300 --sound opus -o thin.mp4
  weir pattern --seconds 20 -o lab.mjpeg     for the classroom: images that fit a datagram
  weir pattern -o test.mp4 && weir serve test.mp4

The time code in each picture says recorded: readers take the media time from it, and no age. Beeps
and flashes begin together at each whole second. See docs/timecode.md.";

/// What the sound of the movie is coded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sound {
    /// AAC, which every player has.
    Aac,
    /// Opus; .mp4 alone.
    Opus,
    /// No sound.
    None,
}

/// A length of time in seconds, more than none and at most a day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(MediaTime);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(seconds) if seconds > 0.0 && seconds <= DAY_SECONDS => {
                Ok(Seconds(MediaTime::from_nanos((seconds * 1e9) as i64)))
            }
            _ => Err(format!("expected seconds, more than 0 and at most {DAY_SECONDS}")),
        }
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides = text.split_once(['x', 'X']);
        let sides = sides.and_then(|(w, h)| w.parse().ok().zip(h.parse().ok()));
        let (width, height) = sides.ok_or("expected width and height, as in 1280x720")?;
        Ok(Size { width, height })
    }
}

/// Size and rate of the live pattern, as in `1280x720@30`; the rate may be left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PatternArg(pub(crate) PatternSettings);

impl FromStr for PatternArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (size, rate) = match text.split_once('@') {
            Some((size, rate)) => (size, Some(rate)),
            None => (text, None),
        };
        let Size { width, height } =
            size.parse().map_err(|_| "expected size and rate, as in 1280x720@30".to_owned())?;
        let usual = PatternSettings::default();
        let frame_rate = match rate {
            Some(rate) => rate.parse().map_err(|error: ParseFrameRateError| error.to_string())?,
            None => usual.frame_rate,
        };
        Ok(PatternArg(PatternSettings { width, height, frame_rate, ..usual }))
    }
}

/// Makes the movie.
///
/// # Errors
/// When the file cannot be written, or what is asked cannot be made.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(args)?;
    let name = args.output.display();
    if args.output.exists() && !args.force {
        bail!("{name} is there already: name another file, or write over it with --force");
    }
    let made = write_movie(&plan, &args.output)?;
    log::print(&plan.told(args, &made))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a movie with what is usual, and says nothing. Blocks.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn make_movie(path: &Path, seconds: &str, size: &str) -> anyhow::Result<()> {
    let args = Args {
        output: path.to_owned(),
        seconds: seconds.parse().map_err(anyhow::Error::msg)?,
        size: Some(size.parse().map_err(anyhow::Error::msg)?),
        fps: None,
        bitrate_kbps: None,
        sound: Sound::Aac,
        name: None,
        force: true,
        json: false,
    };
    let plan = Plan { is_quiet: true, ..Plan::new(&args)? };
    write_movie(&plan, path).map(|_| ())
}

/// Makes a movie at its place once it is whole: whoever serves the folder sees no part of one.
fn write_movie(plan: &Plan, path: &Path) -> anyhow::Result<Made> {
    let part = part_path(path);
    let file = File::create(&part).with_context(|| format!("cannot write {}", part.display()))?;
    let made = plan.make(&mut Output { file: BufWriter::new(file), bytes: 0 });
    let made = made.and_then(|made| {
        std::fs::rename(&part, path)?;
        Ok(made)
    });
    made.map_err(|error| {
        let _ = std::fs::remove_file(&part);
        error.context(format!("cannot make {}", path.display()))
    })
}

/// What is to be made.
struct Plan {
    is_quiet: bool,
    kind: Kind,
    name: String,
    size: Size,
    rate: FrameRate,
    frames: u64,
    bitrate_kbps: Option<u32>,
    sound: Sound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mp4,
    Flv,
    Mjpeg,
}

/// What was made.
struct Made {
    bytes: u64,
    /// Images that were coded with less quality, so that they fit a datagram.
    images_lowered: u64,
}

impl Plan {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let ending = args.output.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let kind = match ending.as_str() {
            "mp4" | "m4v" => Kind::Mp4,
            "flv" => Kind::Flv,
            "mjpeg" | "mjpg" => Kind::Mjpeg,
            _ => bail!(
                "{}: expected a name that ends in .mp4, .flv or .mjpeg",
                args.output.display()
            ),
        };
        if kind == Kind::Flv && args.sound == Sound::Opus {
            bail!("FLV does not hold Opus here: take --sound aac, or an .mp4");
        }
        if kind == Kind::Mjpeg && args.bitrate_kbps.is_some() {
            bail!("--bitrate-kbps is for .mp4 and .flv: images of .mjpeg fit a datagram each");
        }
        let (size, fps) = match kind {
            Kind::Mjpeg => ((640, 360), MJPEG_FPS),
            _ => ((1_280, 720), 30),
        };
        let usual = Size { width: size.0, height: size.1 };
        let rate = args.fps.or(FrameRate::new(fps, 1)).context("no frame rate")?;
        if kind == Kind::Mjpeg && Some(rate) != FrameRate::new(MJPEG_FPS, 1) {
            log::say(&format!(
                "weir: an .mjpeg has no times: players show it with {MJPEG_FPS} pictures a second"
            ));
        }
        let stem = args.output.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Plan {
            is_quiet: false,
            kind,
            name: args.name.clone().unwrap_or_else(|| stem.into_owned()),
            size: args.size.unwrap_or(usual),
            rate,
            frames: rate.frame_at(args.seconds.0).max(1),
            bitrate_kbps: args.bitrate_kbps,
            sound: if kind == Kind::Mjpeg { Sound::None } else { args.sound },
        })
    }

    fn make(&self, out: &mut Output) -> anyhow::Result<Made> {
        let Size { width, height } = self.size;
        let shown =
            pattern::Settings { name: self.name.clone(), width, height, frame_rate: self.rate };
        let mut pattern = Pattern::new(&shown)?;
        match self.kind {
            Kind::Mjpeg => self.make_images(&mut pattern, out),
            Kind::Mp4 | Kind::Flv => self.make_movie(&mut pattern, out),
        }
    }

    fn make_movie(&self, pattern: &mut Pattern, out: &mut Output) -> anyhow::Result<Made> {
        let Size { width, height } = self.size;
        let usual = h264::Settings::new(width, height, self.rate.as_f64() as f32);
        let bitrate_bps = self.bitrate_kbps.map_or(usual.bitrate_bps, |kbps| kbps * 1_000);
        let mut video = h264::Encoder::new(h264::Settings { bitrate_bps, ..usual })?;
        let mut sound = SoundTrack::new(self.sound)?;
        let tracks: Vec<Track> =
            [Some(video.track()), sound.track()].into_iter().flatten().cloned().collect();
        let mut file = Container::new(self.kind, &tracks)?;
        out.write(&file.head())?;
        let mut progress = Progress::new(self.frames, self.is_quiet);
        let end = self.rate.time_of(self.frames);
        for number in 0..self.frames {
            let stamp = self.stamp(number);
            for frame in sound.until(stamp.pts.min(end), end)? {
                out.write(&file.push(&frame)?)?;
            }
            let frame = video.encode(pattern.draw(&self.moment(number)), &stamp)?;
            out.write(&file.push(&frame)?)?;
            progress.show(number);
        }
        for frame in sound.until(end, end)? {
            out.write(&file.push(&frame)?)?;
        }
        out.write(&file.finish())?;
        progress.end();
        Ok(Made { bytes: out.finish()?, images_lowered: 0 })
    }

    fn make_images(&self, pattern: &mut Pattern, out: &mut Output) -> anyhow::Result<Made> {
        let Size { width, height } = self.size;
        let like = jpeg::Encoder::new(TrackId(0), width, height, 75, 1_000)?;
        let mut file = mjpeg::Writer::new(like.track())?;
        let mut progress = Progress::new(self.frames, self.is_quiet);
        let mut images_lowered = 0;
        for number in 0..self.frames {
            let picture = pattern.draw(&self.moment(number));
            let Some(fitted) = jpeg::encode_within(picture, DATAGRAM_IMAGE_BYTES_MAX)? else {
                bail!("a picture does not fit a datagram: take a smaller --size");
            };
            if fitted.divisor > 1 {
                bail!(
                    "a picture of {width}x{height} does not fit the {DATAGRAM_IMAGE_BYTES_MAX} \
                     bytes of a datagram: take a smaller --size"
                );
            }
            images_lowered += u64::from(fitted.quality < 75);
            let frame = Frame {
                track: TrackId(0),
                pts: self.rate.time_of(number),
                dts: None,
                duration: None,
                key: weir_media::KeyKind::Key,
                capture: None,
                arrival: Instant::ZERO,
                discontinuity: false,
                payload: fitted.image.into(),
            };
            out.write(&file.push(&frame)?)?;
            progress.show(number);
        }
        progress.end();
        Ok(Made { bytes: out.finish()?, images_lowered })
    }

    fn moment(&self, number: u64) -> Moment {
        Moment { frame: number as u32, pts: self.rate.time_of(number), now: None }
    }

    fn stamp(&self, number: u64) -> Stamp {
        let pts = self.rate.time_of(number);
        let duration = Some(self.rate.time_of(number + 1) - pts);
        Stamp { pts, duration, capture: None, arrival: Instant::ZERO, is_key: false }
    }

    fn told(&self, args: &Args, made: &Made) -> String {
        let Size { width, height } = self.size;
        let seconds = self.rate.time_of(self.frames).as_secs_f64();
        let (video, sound) = match (self.kind, self.sound) {
            (Kind::Mjpeg, _) => ("JPEG", None),
            (_, Sound::Aac) => ("H.264", Some("AAC")),
            (_, Sound::Opus) => ("H.264", Some("Opus")),
            (_, Sound::None) => ("H.264", None),
        };
        if args.json {
            let told = json!({
                "file": args.output.display().to_string(), "bytes": made.bytes,
                "duration_s": seconds, "frames": self.frames, "width": width, "height": height,
                "frame_rate": self.rate.as_f64(), "video": video, "audio": sound,
                "images_lowered": made.images_lowered,
            });
            return format!("{told}\n");
        }
        let name = args.output.display();
        let sound = sound.map_or(String::from("no sound"), |codec| format!("{codec} sound"));
        let mut text = format!(
            "{name}: {seconds:.1} s, {} pictures of {width}x{height}, {video}, {sound}, {}\n",
            self.frames,
            in_bytes(made.bytes),
        );
        if made.images_lowered > 0 {
            let count = made.images_lowered;
            text += &format!("  {count} images have less quality, so that they fit a datagram\n");
        }
        text
    }
}

/// The sound of the movie, as far as it was made.
struct SoundTrack {
    encoder: Option<Box<dyn SoundEncoder>>,
    rate_hz: u32,
    next_sample: i64,
    waiting: Vec<Frame>,
}

impl SoundTrack {
    fn new(sound: Sound) -> anyhow::Result<Self> {
        let (track, start) = (TrackId(1), MediaTime::ZERO);
        let encoder: Option<Box<dyn SoundEncoder>> = match sound {
            Sound::None => None,
            Sound::Aac => {
                Some(Box::new(aac::Encoder::new(track, SOUND_RATE_HZ, 1, SOUND_BPS, start)?))
            }
            Sound::Opus => Some(Box::new(opus::Encoder::new(track, 1, SOUND_BPS, start)?)),
        };
        Ok(SoundTrack { encoder, rate_hz: SOUND_RATE_HZ, next_sample: 0, waiting: Vec::new() })
    }

    fn track(&self) -> Option<&Track> {
        self.encoder.as_ref().map(|encoder| encoder.track())
    }

    /// The frames that begin up to a time, and before the end of the movie. What begins before
    /// the movie's start is left out: a file has no such times.
    fn until(&mut self, time: MediaTime, end: MediaTime) -> anyhow::Result<Vec<Frame>> {
        let Some(encoder) = &mut self.encoder else { return Ok(Vec::new()) };
        while self.waiting.last().is_none_or(|last| last.pts <= time) {
            let mut samples = pattern::sound(self.rate_hz, self.next_sample, SOUND_BLOCK);
            // The last frame lasts beyond the end: a beep that begins there is not for this movie.
            let left = (end.to_ticks(self.rate_hz) - self.next_sample).max(0) as usize;
            samples.iter_mut().skip(left).for_each(|sample| *sample = 0.0);
            self.next_sample += SOUND_BLOCK as i64;
            encoder.encode(&samples, Instant::ZERO, &mut self.waiting)?;
        }
        let due = self.waiting.iter().take_while(|frame| frame.pts <= time).count();
        let due = self.waiting.drain(..due);
        Ok(due.filter(|frame| frame.pts >= MediaTime::ZERO && frame.pts < end).collect())
    }
}

/// The file's form.
enum Container {
    Mp4(mp4::FragmentWriter),
    Flv(flv::Writer),
}

impl Container {
    fn new(kind: Kind, tracks: &[Track]) -> anyhow::Result<Self> {
        Ok(match kind {
            Kind::Flv => Container::Flv(flv::Writer::new(tracks)?),
            Kind::Mp4 | Kind::Mjpeg => Container::Mp4(mp4::FragmentWriter::new(tracks)?),
        })
    }

    fn head(&self) -> bytes::Bytes {
        match self {
            Container::Mp4(writer) => writer.init_segment(),
            Container::Flv(writer) => writer.header(),
        }
    }

    fn push(&mut self, frame: &Frame) -> anyhow::Result<bytes::Bytes> {
        Ok(match self {
            Container::Mp4(writer) => writer.push(frame)?.unwrap_or_default(),
            Container::Flv(writer) => writer.push(frame)?,
        })
    }

    fn finish(&mut self) -> bytes::Bytes {
        match self {
            Container::Mp4(writer) => writer.finish(),
            Container::Flv(_) => bytes::Bytes::new(),
        }
    }
}

/// The file as it grows.
struct Output {
    file: BufWriter<File>,
    bytes: u64,
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.bytes += bytes.len() as u64;
        Ok(self.file.write_all(bytes)?)
    }

    fn finish(&mut self) -> anyhow::Result<u64> {
        self.file.flush()?;
        Ok(self.bytes)
    }
}

/// How far it is, on a terminal.
struct Progress {
    frames: u64,
    shown: Option<u64>,
    is_terminal: bool,
}

impl Progress {
    fn new(frames: u64, is_quiet: bool) -> Self {
        let is_terminal = !is_quiet && std::io::stderr().is_terminal();
        Progress { frames, shown: None, is_terminal }
    }

    fn show(&mut self, number: u64) {
        let percent = (number + 1) * 100 / self.frames;
        if self.is_terminal && self.shown != Some(percent) {
            log::show(&format!("\r{percent:3} %  picture {} of {}", number + 1, self.frames));
            self.shown = Some(percent);
        }
    }

    fn end(&self) {
        if self.is_terminal {
            log::show("\r\u{1b}[K");
        }
    }
}

/// A file beside the movie, hidden, and of no ending that is served.
fn part_path(output: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(output.file_name().unwrap_or_default());
    name.push(".part");
    output.with_file_name(name)
}

fn in_bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

const DAY_SECONDS: f64 = 86_400.0;
/// What players take for a file without times.
const MJPEG_FPS: u32 = 20;
/// What the classroom's clients receive.
const DATAGRAM_IMAGE_BYTES_MAX: usize = 20_480;
const SOUND_RATE_HZ: u32 = 48_000;
const SOUND_BPS: u32 = 64_000;
const SOUND_BLOCK: usize = 960;
