//! Pictures as red, green and blue, for those who show or store them.

use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgb, yuv420_to_rgba};

use crate::{Picture, Range};

/// Red, green and blue of each pixel, row by row.
pub fn to_rgb(picture: &Picture) -> Vec<u8> {
    let width = picture.width() as u32;
    let mut out = vec![0; picture.width() * picture.height() * 3];
    let (image, range) = planar(picture);
    yuv420_to_rgb(&image, &mut out, width * 3, range, YuvStandardMatrix::Bt601)
        .expect("a picture's planes fit each other, and the buffer fits the picture");
    out
}

/// Red, green, blue and full opacity of each pixel, row by row.
pub fn to_rgba(picture: &Picture) -> Vec<u8> {
    let width = picture.width() as u32;
    let mut out = vec![0; picture.width() * picture.height() * 4];
    let (image, range) = planar(picture);
    yuv420_to_rgba(&image, &mut out, width * 4, range, YuvStandardMatrix::Bt601)
        .expect("a picture's planes fit each other, and the buffer fits the picture");
    out
}

fn planar(picture: &Picture) -> (YuvPlanarImage<'_, u8>, YuvRange) {
    let [luma, cb, cr] = picture.planes();
    let image = YuvPlanarImage {
        y_plane: luma.samples(),
        y_stride: luma.stride() as u32,
        u_plane: cb.samples(),
        u_stride: cb.stride() as u32,
        v_plane: cr.samples(),
        v_stride: cr.stride() as u32,
        width: picture.width() as u32,
        height: picture.height() as u32,
    };
    let range = match picture.range() {
        Range::Limited => YuvRange::Limited,
        Range::Full => YuvRange::Full,
    };
    (image, range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_and_white_of_video_are_black_and_white() {
        let mut picture = Picture::new(4, 2);
        picture.planes_mut()[0].row_mut(0).fill(235);
        let rgb = to_rgb(&picture);
        assert_eq!(&rgb[..12], [255; 12]);
        assert_eq!(&rgb[12..], [0; 12]);
        assert_eq!(&to_rgba(&picture)[12..20], [255, 255, 255, 255, 0, 0, 0, 255]);
    }
}
