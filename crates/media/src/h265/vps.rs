//! The video parameter set, as far as weir looks into it.

use super::profile::Profile;
use super::sps::{rate, skip_sub_layer_ordering};
use crate::{Error, bits::BitReader};

/// Pictures a second, if the video parameter set says so (ISO/IEC 23008-2 section 7.3.2.1);
/// `rbsp` is without NAL unit header.
pub(super) fn frame_rate(rbsp: &[u8]) -> Result<Option<f64>, Error> {
    let mut r = BitReader::new("VPS", rbsp);
    r.skip(4 + 2 + 6)?;
    let sub_layers_less_one = r.bits(3)? as u8;
    r.skip(1 + 16)?;
    Profile::read(&mut r, sub_layers_less_one)?;
    skip_sub_layer_ordering(&mut r, sub_layers_less_one)?;
    let layer_id_max = r.bits(6)? as usize;
    let layer_sets = r.ue()?;
    for _ in 0..layer_sets {
        r.skip(layer_id_max + 1)?;
    }
    if !r.flag()? {
        return Ok(None);
    }
    Ok(rate(r.bits(32)?, r.bits(32)?))
}
