//! Pictures in other sizes.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::{Error, Picture, Plane};

/// The picture in another size; each pixel is weighed over the area that it stands for.
///
/// # Errors
/// When one of the sizes has no pixel.
pub fn scale(picture: &Picture, width: usize, height: usize) -> Result<Picture, Error> {
    for (width, height) in [(width, height), (picture.width(), picture.height())] {
        if width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX {
            let expected = format!("each side has 1 to {SIDE_MAX} pixels");
            return Err(Error::Size { width, height, expected });
        }
    }
    let mut scaled = Picture::new(width, height);
    let mut planes = Vec::with_capacity(3);
    for (from, to) in picture.planes().iter().zip(scaled.planes()) {
        planes.push(scale_plane(from, to.width(), to.height()));
    }
    let planes: [Plane; 3] = planes.try_into().expect("a picture has three planes");
    scaled = Picture::from_planes(planes, picture.range()).expect("they have a new picture's size");
    Ok(scaled)
}

/// Pixels of a side that is scaled, at most.
const SIDE_MAX: usize = 16_384;

fn scale_plane(plane: &Plane, width: usize, height: usize) -> Plane {
    let packed: Vec<u8>;
    let samples = if plane.stride() == plane.width() {
        plane.samples()
    } else {
        packed = (0..plane.height()).flat_map(|y| plane.row(y).iter().copied()).collect();
        &packed
    };
    let from = ImageRef::new(plane.width() as u32, plane.height() as u32, samples, PixelType::U8)
        .expect("a plane without gaps has a sample for each pixel");
    let mut to = Image::new(width as u32, height as u32, PixelType::U8);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&from, &mut to, &options).expect("both have one kind of samples");
    Plane::from_samples(to.into_vec(), width, height, width).expect("it has the size asked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_size_has_the_mean_of_each_four() {
        let mut picture = Picture::new(8, 8);
        for y in 0..8 {
            for (x, sample) in picture.planes_mut()[0].row_mut(y).iter_mut().enumerate() {
                *sample = if x < 4 { 40 } else { 200 };
            }
        }
        let half = scale(&picture, 4, 4).unwrap();
        assert_eq!((half.width(), half.height()), (4, 4));
        assert_eq!((half.luma().row(2)[0], half.luma().row(2)[3]), (40, 200));
        assert!(scale(&picture, 0, 4).is_err());
    }
}
