//! MPEG transport streams (ISO/IEC 13818-1), as files: packets of 188 bytes, of 192 with a time
//! stamp before (M2TS), or of 204 with parity behind.
//!
//! Carried are H.264, H.265 and AAC with ADTS headers. A sample's bytes are spread over packets
//! among those of other streams; [`crate::movie::Movie::frame`] takes them out.

mod packet;
mod pes;
mod place;
mod psi;
mod reader;
mod sound;
mod stream;

pub(crate) use packet::grid;
pub(crate) use place::PacketPlace;
pub(crate) use reader::Reader;
