//! Pictures: three planes of samples.

/// A picture in I420: a plane of luma, and two of chroma with half the width and half the height,
/// rounded up. Eight bits a sample; colours as of ITU-R BT.601.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub(crate) planes: [Plane; 3],
    range: Range,
}

/// What the samples' values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Luma from 16 to 235, chroma from 16 to 240: video.
    Limited,
    /// All from 0 to 255: JPEG.
    Full,
}

impl Picture {
    /// A black picture in limited range.
    pub fn new(width: usize, height: usize) -> Self {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let planes = [
            Plane::new(width, height, BLACK),
            Plane::new(half_width, half_height, NEUTRAL),
            Plane::new(half_width, half_height, NEUTRAL),
        ];
        Picture { planes, range: Range::Limited }
    }

    /// A picture of these planes: luma, Cb, Cr. `None` where the sizes of the chroma planes do
    /// not follow from that of luma, or their strides differ.
    pub fn from_planes(planes: [Plane; 3], range: Range) -> Option<Self> {
        let [luma, cb, cr] = &planes;
        let half = (luma.width.div_ceil(2), luma.height.div_ceil(2));
        let fits = [cb, cr].iter().all(|plane| (plane.width, plane.height) == half);
        (fits && cb.stride == cr.stride).then_some(Picture { planes, range })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.planes[0].width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.planes[0].height
    }

    /// What the values mean.
    pub fn range(&self) -> Range {
        self.range
    }

    /// The plane of luma.
    pub fn luma(&self) -> &Plane {
        &self.planes[0]
    }

    /// The planes: luma, Cb, Cr.
    pub fn planes(&self) -> &[Plane; 3] {
        &self.planes
    }

    /// The planes, to be drawn on.
    pub fn planes_mut(&mut self) -> &mut [Plane; 3] {
        &mut self.planes
    }

    /// Fills a rectangle with one colour. In chroma it covers what its pixels lie in; what is
    /// outside of the picture is left out.
    pub fn fill(&mut self, area: Area, colour: [u8; 3]) {
        let Area { left, top, right, bottom } = area;
        let chroma = Area {
            left: left / 2,
            top: top / 2,
            right: right.div_ceil(2),
            bottom: bottom.div_ceil(2),
        };
        for (number, (plane, value)) in self.planes.iter_mut().zip(colour).enumerate() {
            plane.fill(if number == 0 { area } else { chroma }, value);
        }
    }
}

/// A rectangle of samples: from `left` to before `right`, from `top` to before `bottom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The first column.
    pub left: usize,
    /// The first row.
    pub top: usize,
    /// The column behind the last.
    pub right: usize,
    /// The row behind the last.
    pub bottom: usize,
}

impl Area {
    /// The central half in each direction, of one sample at least.
    pub(crate) fn centre(self) -> Area {
        let (width, height) = (self.right - self.left, self.bottom - self.top);
        let (left, top) = (self.left + width / 4, self.top + height / 4);
        Area { left, top, right: left + width.div_ceil(2), bottom: top + height.div_ceil(2) }
    }
}

/// One plane of samples, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    samples: Vec<u8>,
    width: usize,
    height: usize,
    stride: usize,
}

impl Plane {
    /// A plane of one value, without gaps between its rows.
    pub fn new(width: usize, height: usize, value: u8) -> Self {
        Plane { samples: vec![value; width * height], width, height, stride: width }
    }

    /// A plane of these samples, whose rows begin `stride` samples after one another. `None`
    /// where there are fewer samples than that needs.
    pub fn from_samples(
        samples: Vec<u8>,
        width: usize,
        height: usize,
        stride: usize,
    ) -> Option<Self> {
        let needed = height.checked_sub(1).map_or(Some(0), |rows| {
            rows.checked_mul(stride).and_then(|before| before.checked_add(width))
        })?;
        let fits = stride >= width && samples.len() >= needed;
        fits.then_some(Plane { samples, width, height, stride })
    }

    /// Samples in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Samples from the beginning of a row to that of the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All samples, with those between the rows.
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// The samples of a row; empty outside of the plane.
    pub fn row(&self, y: usize) -> &[u8] {
        if y >= self.height {
            return &[];
        }
        self.samples.get(y * self.stride..).and_then(|row| row.get(..self.width)).unwrap_or(&[])
    }

    /// The samples of a row, to be written; empty outside of the plane.
    pub fn row_mut(&mut self, y: usize) -> &mut [u8] {
        if y >= self.height {
            return &mut [];
        }
        let from = y * self.stride;
        self.samples.get_mut(from..from + self.width).unwrap_or(&mut [])
    }

    /// Fills a rectangle; what is outside of the plane is left out.
    pub fn fill(&mut self, area: Area, value: u8) {
        let right = area.right.min(self.width);
        for y in area.top..area.bottom.min(self.height) {
            if let Some(cells) = self.row_mut(y).get_mut(area.left..right) {
                cells.fill(value);
            }
        }
    }

    /// The mean of a rectangle; `None` where nothing of it is in the plane.
    pub fn mean(&self, area: Area) -> Option<f32> {
        let (mut sum, mut count) = (0u64, 0u64);
        let right = area.right.min(self.width);
        for y in area.top..area.bottom.min(self.height) {
            let cells = self.row(y).get(area.left..right).unwrap_or(&[]);
            sum += cells.iter().map(|&sample| u64::from(sample)).sum::<u64>();
            count += cells.len() as u64;
        }
        (count > 0).then(|| sum as f32 / count as f32)
    }
}

/// Black of limited range.
pub(crate) const BLACK: u8 = 16;
/// White of limited range.
pub(crate) const WHITE: u8 = 235;
/// Chroma without colour.
pub(crate) const NEUTRAL: u8 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_sizes_round_chroma_up() {
        let picture = Picture::new(5, 3);
        let sizes = picture.planes().each_ref().map(|plane| (plane.width(), plane.height()));
        assert_eq!(sizes, [(5, 3), (3, 2), (3, 2)]);
    }

    #[test]
    fn planes_that_do_not_fit_one_another_or_their_samples_are_refused() {
        assert!(Plane::from_samples(vec![0; 7], 2, 3, 3).is_none());
        assert!(Plane::from_samples(vec![0; 8], 2, 3, 3).is_some());
        assert!(Plane::from_samples(vec![0; 8], 4, 2, 3).is_none());
        assert!(Plane::from_samples(vec![0; 8], 1, usize::MAX, usize::MAX).is_none());
        let plane = |width, height| Plane::new(width, height, 0);
        let planes = [plane(4, 4), plane(2, 2), plane(2, 1)];
        assert!(Picture::from_planes(planes, Range::Full).is_none());
    }

    #[test]
    fn a_rectangle_is_cut_at_the_edge() {
        let mut picture = Picture::new(4, 4);
        let area = Area { left: 2, top: 2, right: 90, bottom: 90 };
        picture.fill(area, [200, 1, 2]);
        assert_eq!(picture.luma().mean(area), Some(200.0));
        assert_eq!(picture.luma().row(1), [BLACK; 4]);
        assert_eq!(picture.planes()[2].row(1), [NEUTRAL, 2]);
        let outside = Area { left: 9, top: 0, right: 10, bottom: 10 };
        assert_eq!(picture.luma().mean(outside), None);
    }
}
