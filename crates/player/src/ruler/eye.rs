//! Decoders and detectors: what is in the frames. Does not wait for anything, but takes its time.

use std::collections::BTreeMap;

use weir_codec::timecode::{self, TimeCode};
use weir_codec::{Decoded, SoundDecoder, VideoDecoder, sound_decoder, video_decoder};
use weir_codec::{beep, flash};
use weir_media::{Kind, MediaTime, Track};

use super::Job;

/// Looks at pictures and listens to sound.
#[derive(Default)]
pub(super) struct Eye {
    tracks: BTreeMap<usize, Sense>,
    decoded: Vec<Decoded>,
}

enum Sense {
    Sight { decoder: Box<dyn VideoDecoder>, flash: flash::Detector },
    Hearing { decoder: Box<dyn SoundDecoder>, beep: Option<beep::Detector> },
}

/// What was found.
pub(super) enum Seen {
    /// A picture's time code.
    Code(MediaTime, TimeCode),
    /// A picture without one.
    Blank,
    /// A frame that could not be decoded.
    Failed,
    /// A flash begins.
    Flash(MediaTime),
    /// A beep begins.
    Beep(MediaTime),
}

impl Eye {
    pub(super) fn look(&mut self, job: Job, seen: &mut Vec<Seen>) {
        match job {
            Job::Track(number, track) => self.begin(number, &track),
            Job::Frame(number, frame) => match self.tracks.get_mut(&number) {
                None => {}
                Some(Sense::Sight { decoder, flash }) => {
                    if decoder.decode(&frame, &mut self.decoded).is_err() {
                        seen.push(Seen::Failed);
                        flash.restart();
                    }
                    self.decoded.drain(..).for_each(|picture| see(&picture, flash, seen));
                }
                Some(Sense::Hearing { decoder, beep }) => {
                    let Ok(pcm) = decoder.decode(&frame) else { return };
                    let beep = beep.get_or_insert_with(|| beep::Detector::new(pcm.rate_hz));
                    seen.extend(beep.push(frame.pts, &pcm.mono()).into_iter().map(Seen::Beep));
                }
            },
        }
    }

    /// A track whose codec cannot be decoded is passed over.
    fn begin(&mut self, number: usize, track: &Track) {
        let sense = match track.codec.kind() {
            Kind::Video => video_decoder(track)
                .map(|decoder| Sense::Sight { decoder, flash: flash::Detector::new() })
                .ok(),
            Kind::Audio => {
                sound_decoder(track).map(|decoder| Sense::Hearing { decoder, beep: None }).ok()
            }
        };
        match sense {
            Some(sense) => drop(self.tracks.insert(number, sense)),
            None => drop(self.tracks.remove(&number)),
        }
    }

    /// What still waited for others.
    pub(super) fn finish(&mut self, seen: &mut Vec<Seen>) {
        for sense in self.tracks.values_mut() {
            if let Sense::Sight { decoder, flash } = sense {
                decoder.finish(&mut self.decoded);
                self.decoded.drain(..).for_each(|picture| see(&picture, flash, seen));
            }
        }
    }
}

fn see(decoded: &Decoded, flash: &mut flash::Detector, seen: &mut Vec<Seen>) {
    let luma = decoded.picture.luma();
    seen.push(match timecode::read(luma) {
        Some(code) => Seen::Code(decoded.pts, code),
        None => Seen::Blank,
    });
    seen.extend(flash.push(luma, decoded.pts).map(Seen::Flash));
}
