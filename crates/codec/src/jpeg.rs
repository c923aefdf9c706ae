//! JPEG (ITU-T T.81): pictures into images and back.

use bytes::Bytes;
use jpeg_encoder::{ImageBuffer, JpegColorType, SamplingFactor};
use weir_media::{Codec, Frame, KeyKind, Track, TrackId, jpeg};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::{Decoded, Error, Picture, Plane, Range, Stamp, VideoDecoder, VideoEncoder, scale};

/// An encoder of JPEG: baseline, 4:2:0, the standard Huffman tables, one quality.
pub struct Encoder {
    quality: u8,
    track: Track,
}

impl Encoder {
    /// An encoder of pictures of this size, with a quality from 1 to 100 (the IJG's scale).
    ///
    /// # Errors
    /// When the size or the quality is none.
    pub fn new(
        track: TrackId,
        width: usize,
        height: usize,
        quality: u8,
        clock_rate_hz: u32,
    ) -> Result<Self, Error> {
        let image = encode(&Picture::new(width, height), quality)?;
        let config = jpeg::Config::from_image(&image)?;
        Ok(Encoder {
            quality,
            track: Track { id: track, codec: Codec::Jpeg(config), clock_rate_hz },
        })
    }
}

impl VideoEncoder for Encoder {
    fn track(&self) -> &Track {
        &self.track
    }

    fn encode(&mut self, picture: &Picture, stamp: &Stamp) -> Result<Frame, Error> {
        Ok(Frame {
            track: self.track.id,
            pts: stamp.pts,
            dts: Some(stamp.pts),
            duration: stamp.duration,
            key: KeyKind::Key,
            capture: stamp.capture,
            arrival: stamp.arrival,
            discontinuity: false,
            payload: Bytes::from(encode(picture, self.quality)?),
        })
    }
}

/// One image, from SOI to EOI, with a quality from 1 to 100.
///
/// # Errors
/// When the picture has no pixel or more than 65,535 in a row or column, or the quality is none.
pub fn encode(picture: &Picture, quality: u8) -> Result<Vec<u8>, Error> {
    let (width, height) = (picture.width(), picture.height());
    let fits = |side: usize| (1..=usize::from(u16::MAX)).contains(&side);
    if !fits(width) || !fits(height) {
        let expected = "each side has 1 to 65535 pixels".to_owned();
        return Err(Error::Size { width, height, expected });
    }
    if !(1..=100).contains(&quality) {
        let reason = format!("quality {quality}, 1 to 100 expected");
        return Err(Error::NotEncoded { codec: NAME, reason });
    }
    let mut out = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let encoded = encoder.encode_image(Rows(picture));
    encoded.map_err(|error| Error::encode(NAME, error))?;
    Ok(out)
}

/// One image of at most `bytes_max` bytes: of the first of some falling qualities that fits, and
/// if none does, of a smaller picture, down to an eighth of the size. With it comes the quality,
/// and by how much width and height were divided. `None` when nothing fits.
///
/// # Errors
/// As of [`encode`].
pub fn encode_within(picture: &Picture, bytes_max: usize) -> Result<Option<Fitted>, Error> {
    for divisor in [1, 2, 4, 8] {
        let smaller;
        let source = if divisor == 1 {
            picture
        } else {
            let side = |pixels: usize| (pixels / divisor).max(1);
            smaller = scale(picture, side(picture.width()), side(picture.height()))?;
            &smaller
        };
        for quality in QUALITIES {
            let image = encode(source, quality)?;
            if image.len() <= bytes_max {
                return Ok(Some(Fitted { image, quality, divisor }));
            }
        }
    }
    Ok(None)
}

/// An image that was made to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// The image, from SOI to EOI.
    pub image: Vec<u8>,
    /// Its quality, 1 to 100.
    pub quality: u8,
    /// What its width and height were divided by: 1, 2, 4 or 8.
    pub divisor: usize,
}

/// Qualities that are tried; with less than the last, a smaller picture looks better.
const QUALITIES: [u8; 5] = [75, 60, 45, 32, 20];

/// Decodes one image, grey or in colours.
///
/// # Errors
/// When it is no image, or has too many pixels.
pub fn decode(image: &[u8]) -> Result<Picture, Error> {
    let failed = |reason: String| Error::decode(NAME, image.len(), reason);
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::YCbCr);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(image), options);
    decoder.decode_headers().map_err(|error| failed(error.to_string()))?;
    let info = decoder.info().ok_or_else(|| failed("it says no size".to_owned()))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    if width * height > PIXELS_MAX {
        return Err(failed(format!("{width}x{height} pixels, at most {PIXELS_MAX}")));
    }
    if decoder.input_colorspace() == Some(ColorSpace::Luma) {
        let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma);
        decoder = JpegDecoder::new_with_options(ZCursor::new(image), options);
    }
    let pixels = decoder.decode().map_err(|error| failed(error.to_string()))?;
    let channels = if pixels.len() >= width * height * 3 { 3 } else { 1 };
    if pixels.len() < width * height * channels {
        return Err(failed(format!("{} samples for {width}x{height} pixels", pixels.len())));
    }
    Ok(planes(&pixels, width, height, channels))
}

/// A decoder of a JPEG track.
pub struct Decoder;

impl VideoDecoder for Decoder {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Decoded>) -> Result<(), Error> {
        out.push(Decoded { pts: frame.pts, picture: decode(&frame.payload)? });
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<Decoded>) {}
}

const NAME: &str = "JPEG";
/// 8192x4096, which is 100 MB decoded.
const PIXELS_MAX: usize = 1 << 25;

/// Takes pixels of one or three samples apart; chroma is the mean of each four.
fn planes(pixels: &[u8], width: usize, height: usize, channels: usize) -> Picture {
    let at = |x: usize, y: usize, channel: usize| {
        u32::from(pixels[(y.min(height - 1) * width + x.min(width - 1)) * channels + channel])
    };
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut planes = [
        Plane::new(width, height, 0),
        Plane::new(half_width, half_height, crate::picture::NEUTRAL),
        Plane::new(half_width, half_height, crate::picture::NEUTRAL),
    ];
    for y in 0..height {
        let row = &pixels[y * width * channels..][..width * channels];
        let samples = planes[0].row_mut(y).iter_mut();
        samples.zip(row.iter().step_by(channels)).for_each(|(to, from)| *to = *from);
    }
    for (channel, plane) in planes.iter_mut().enumerate().take(channels).skip(1) {
        for y in 0..half_height {
            for (x, to) in plane.row_mut(y).iter_mut().enumerate() {
                let pair = |y| at(2 * x, y, channel) + at(2 * x + 1, y, channel);
                *to = ((pair(2 * y) + pair(2 * y + 1) + 2) / 4) as u8;
            }
        }
    }
    Picture::from_planes(planes, Range::Full).expect("the planes have a picture's sizes")
}

/// A picture as the encoder takes it: full range, row by row.
struct Rows<'a>(&'a Picture);

impl ImageBuffer for Rows<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.0.width() as u16
    }

    fn height(&self) -> u16 {
        self.0.height() as u16
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let y = usize::from(y);
        let [luma, cb, cr] = self.0.planes();
        let (lumas, chromas) = match self.0.range() {
            Range::Full => (&SAME, &SAME),
            Range::Limited => (&FULL_LUMA, &FULL_CHROMA),
        };
        buffers[0].extend(luma.row(y).iter().map(|&sample| lumas[usize::from(sample)]));
        for (plane, buffer) in [cb, cr].into_iter().zip(&mut buffers[1..]) {
            let twice = plane.row(y / 2).iter().flat_map(|&sample| {
                let sample = chromas[usize::from(sample)];
                [sample, sample]
            });
            buffer.extend(twice.take(self.0.width()));
        }
    }
}

const SAME: [u8; 256] = table(0, 1, 1, 0);
/// From limited to full range (ITU-R BT.601, JFIF 1.02).
const FULL_LUMA: [u8; 256] = table(16, 255, 219, 0);
const FULL_CHROMA: [u8; 256] = table(128, 255, 224, 128);

/// `(value - zero) * times / by + offset`, rounded and kept within a byte.
const fn table(zero: i32, times: i32, by: i32, offset: i32) -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let scaled = (at as i32 - zero) * times * 2 + by;
        let value = scaled.div_euclid(2 * by) + offset;
        table[at] = if value < 0 {
            0
        } else if value > 255 {
            255
        } else {
            value as u8
        };
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Area;

    fn squares(width: usize, height: usize) -> Picture {
        let mut picture = Picture::new(width, height);
        picture.fill(Area { left: 0, top: 0, right: width / 2, bottom: height }, [180, 90, 200]);
        picture
    }

    #[test]
    fn a_picture_comes_back_nearly_the_same_in_full_range() {
        let picture = squares(70, 45);
        let back = decode(&encode(&picture, 90).unwrap()).unwrap();
        assert_eq!((back.width(), back.height(), back.range()), (70, 45, Range::Full));
        let [luma, cb, cr] = back.planes();
        let near = |came: u8, expected: i32| (i32::from(came) - expected).abs() <= 3;
        assert!(near(luma.row(20)[10], 191) && near(luma.row(44)[60], 0), "{:?}", luma.row(20));
        assert!(near(cb.row(10)[5], 85) && near(cr.row(10)[5], 210), "{:?}", cr.row(10));
    }

    #[test]
    fn an_image_is_made_to_fit_by_quality_first_and_then_by_size() {
        let mut random = weir_time::Random::new(7);
        let mut noise = Picture::new(320, 240);
        for y in 0..240 {
            let row = noise.planes_mut()[0].row_mut(y);
            row.iter_mut().for_each(|sample| *sample = random.next_u64() as u8);
        }
        let fit = |bytes_max| encode_within(&noise, bytes_max).unwrap();
        let best = fit(100_000).unwrap();
        assert_eq!((best.quality, best.divisor), (75, 1));
        let lower = fit(40_000).unwrap();
        assert!(lower.quality < 75 && lower.divisor == 1 && lower.image.len() <= 40_000);
        let smaller = fit(8_000).unwrap();
        assert_eq!(smaller.divisor, 2);
        assert_eq!(decode(&smaller.image).unwrap().width(), 160);
        assert_eq!(fit(100), None);
    }

    #[test]
    fn what_is_no_image_is_an_error() {
        assert!(decode(b"").is_err());
        assert!(decode(&[0xff, 0xd8, 0xff, 0xd9]).is_err());
        let image = encode(&squares(64, 64), 50).unwrap();
        let _ = decode(&image[..image.len() / 2]);
        assert!(encode(&Picture::new(0, 4), 50).is_err());
        assert!(encode(&Picture::new(4, 4), 0).is_err());
    }
}
