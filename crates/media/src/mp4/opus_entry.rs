//! Opus in MP4 ("Encapsulation of Opus in ISO Base Media File Format", section 4.3).

use bytes::{BufMut, BytesMut};

use super::boxes::BoxView;
use super::g711_entry::put_audio_fields;
use super::init::put_box;
use super::stsd::{AUDIO_BYTES, Description, data_reference, refused};
use crate::opus::{CLOCK_RATE_HZ, Config};
use crate::{Codec, Error};

/// Reads an `Opus` entry.
pub(super) fn read(entry: &BoxView<'_>) -> Result<Description, Error> {
    let data_reference = data_reference(entry)?;
    let Some(dops) = entry.child_behind(AUDIO_BYTES, b"dOps")? else {
        return Err(entry.error("has no dOps box"));
    };
    match Config::from_dops(dops.body) {
        Ok(config) => {
            let codec = Codec::Opus(config);
            Ok(Description::Carried { codec, length_bytes: 0, data_reference })
        }
        Err(error) => refused(entry, &dops, error),
    }
}

/// Writes an entry.
pub(super) fn put(out: &mut BytesMut, config: &Config) {
    put_box(out, b"Opus", |out| {
        put_audio_fields(out, config.channels.into(), CLOCK_RATE_HZ);
        put_box(out, b"dOps", |out| out.put_slice(&config.to_dops()));
    });
}
