//! From planes of samples to RGB pixels: chroma is brought to full size with libjpeg's triangle filter ("fancy
//! upsampling"), then the colour space is converted with its fixed-point constants.

use super::{Colour, Component, Frame, Problem};

/// Pixels converted together.
const CHUNK: usize = 32;

/// The frame as RGB bytes `[height, width, 3]`.
#[inline(always)]
pub fn to_rgb(frame: &Frame, colour: Colour) -> Result<Vec<u8>, Problem> {
    let mut pixels = vec![0; frame.width * frame.height * 3];
    let mut enlarged =
        frame.components.iter().map(|component| Enlarged::new(frame, component)).collect::<Result<Vec<_>, _>>()?;
    for (y, out) in pixels.chunks_exact_mut(frame.width * 3).enumerate() {
        // A loop and not a closure: closures are not compiled for wide vectors.
        for plane in &mut enlarged {
            plane.make_row(y);
        }
        let rows: Vec<&[u8]> = enlarged.iter().map(|plane| plane.row(y, frame.width)).collect();
        match (colour, rows.as_slice()) {
            (Colour::Grey, [grey, ..]) => out.chunks_exact_mut(3).zip(*grey).for_each(|(out, &grey)| out.fill(grey)),
            (Colour::YCbCr, [y, cb, cr, ..]) => convert_row(y, cb, cr, out),
            (Colour::Rgb, [r, g, b, ..]) => {
                for (index, out) in out.chunks_exact_mut(3).enumerate() {
                    out.copy_from_slice(&[r[index], g[index], b[index]]);
                }
            }
            (Colour::Cmyk, [c, m, y, k]) => {
                for (index, out) in out.chunks_exact_mut(3).enumerate() {
                    out.copy_from_slice(&ink([c[index], m[index], y[index]], k[index]));
                }
            }
            (Colour::Ycck, [y, cb, cr, k]) => {
                convert_row(y, cb, cr, out);
                for (out, &k) in out.chunks_exact_mut(3).zip(*k) {
                    let inverted = ink([255 - out[0], 255 - out[1], 255 - out[2]], k);
                    out.copy_from_slice(&inverted);
                }
            }
            _ => return Err(super::damaged("its colour channels do not fit its colour space")),
        }
    }
    Ok(pixels)
}

/// CMYK as Adobe stores it (inverted, which Pillow takes all CMYK JPEGs for) to RGB by Pillow's product.
fn ink(colours: [u8; 3], black: u8) -> [u8; 3] {
    colours.map(|value| {
        let product = u32::from(255 - value) * u32::from(black) + 128;
        black - ((product + (product >> 8)) >> 8) as u8
    })
}

/// JFIF's YCbCr to RGB with 16 bits after the point.
#[inline(always)]
fn convert_row(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    let rows = y.chunks(CHUNK).zip(cb.chunks(CHUNK).zip(cr.chunks(CHUNK)));
    for (out, (y, (cb, cr))) in out.chunks_mut(CHUNK * 3).zip(rows) {
        let mut planes = [[0_u8; CHUNK]; 3];
        let [red, green, blue] = &mut planes;
        for index in 0..y.len().min(CHUNK) {
            let (y, cb, cr) = (i32::from(y[index]), i32::from(cb[index]) - 128, i32::from(cr[index]) - 128);
            red[index] = (y + ((91_881 * cr + 32_768) >> 16)).clamp(0, 255) as u8;
            green[index] = (y + ((-22_554 * cb - 46_802 * cr + 32_768) >> 16)).clamp(0, 255) as u8;
            blue[index] = (y + ((116_130 * cb + 32_768) >> 16)).clamp(0, 255) as u8;
        }
        for (index, out) in out.chunks_exact_mut(3).enumerate() {
            out.copy_from_slice(&[planes[0][index], planes[1][index], planes[2][index]]);
        }
    }
}

/// How a plane is brought to full size.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    /// It has full size already.
    Copy,
    /// Triangle filter along rows, columns, or both.
    TriangleRows,
    TriangleColumns,
    TriangleBoth,
    /// Each sample repeated.
    Repeat {
        across: usize,
        down: usize,
    },
}

/// A component that yields rows at full size.
struct Enlarged<'a> {
    component: &'a Component,
    method: Method,
    buffer: Vec<u8>,
    /// The weighted sum of two rows, in quarters.
    sums: Vec<u16>,
}

impl<'a> Enlarged<'a> {
    fn new(frame: &Frame, component: &'a Component) -> Result<Self, Problem> {
        let (across, down) = (frame.horizontal / component.horizontal, frame.vertical / component.vertical);
        if across * component.horizontal != frame.horizontal || down * component.vertical != frame.vertical {
            return Err(
                "is a JPEG with fractional chroma sampling, which is not supported: save it again as an ordinary JPEG"
                    .into(),
            );
        }
        // libjpeg leaves planes of one or two columns to plain repetition.
        let wide = component.width > 2;
        let method = match (across, down) {
            (1, 1) => Method::Copy,
            (2, 1) if wide => Method::TriangleRows,
            (1, 2) => Method::TriangleColumns,
            (2, 2) if wide => Method::TriangleBoth,
            _ => Method::Repeat { across, down },
        };
        let length = if method == Method::Copy { 0 } else { component.width * across };
        Ok(Self { component, method, buffer: vec![0; length.max(frame.width)], sums: vec![0; component.width] })
    }

    fn samples(&self, row: usize) -> &'a [u8] {
        let start = row.min(self.component.height - 1) * self.component.stride();
        &self.component.samples[start..start + self.component.width]
    }

    /// The row above or below that the triangle reaches into for output row `y`; at the edges the row itself.
    fn neighbour(&self, y: usize) -> &'a [u8] {
        self.samples(if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { y / 2 + 1 })
    }

    fn row(&self, y: usize, width: usize) -> &[u8] {
        if self.method == Method::Copy { &self.samples(y)[..width] } else { &self.buffer[..width] }
    }

    /// Prepares output row `y`.
    #[inline(always)]
    fn make_row(&mut self, y: usize) {
        match self.method {
            Method::Copy => {}
            Method::Repeat { across, down } => {
                let near = self.samples(y / down);
                for (out, &sample) in self.buffer.chunks_mut(across).zip(near) {
                    out.fill(sample);
                }
            }
            Method::TriangleColumns => {
                let (near, far) = (self.samples(y / 2), self.neighbour(y));
                let bias = 1 + (y % 2) as u16;
                for (out, (&near, &far)) in self.buffer.iter_mut().zip(near.iter().zip(far)) {
                    *out = ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8;
                }
            }
            Method::TriangleRows => {
                for (sum, &near) in self.sums.iter_mut().zip(self.component.row_samples(y)) {
                    *sum = near.into();
                }
                spread::<1, 2, 2>(&self.sums, &mut self.buffer);
            }
            Method::TriangleBoth => {
                let (near, far) = (self.samples(y / 2), self.neighbour(y));
                for (sum, (&near, &far)) in self.sums.iter_mut().zip(near.iter().zip(far)) {
                    *sum = 3 * u16::from(near) + u16::from(far);
                }
                spread::<8, 7, 4>(&self.sums, &mut self.buffer);
            }
        }
    }
}

impl Component {
    fn row_samples(&self, row: usize) -> &[u8] {
        let start = row * self.stride();
        &self.samples[start..start + self.width]
    }
}

/// Two output samples from each sum: three quarters of it and a quarter of the neighbour on that side, with roundings
/// `LEFT` and `RIGHT` and a shift that takes all weights back out. The outermost samples have no neighbour but themselves.
#[inline(always)]
fn spread<const LEFT: u16, const RIGHT: u16, const SHIFT: u32>(sums: &[u16], out: &mut [u8]) {
    let last = sums.len() - 1;
    for (out, window) in out[2..].chunks_exact_mut(2).zip(sums.windows(3)) {
        out[0] = ((3 * window[1] + window[0] + LEFT) >> SHIFT) as u8;
        out[1] = ((3 * window[1] + window[2] + RIGHT) >> SHIFT) as u8;
    }
    out[0] = ((4 * sums[0] + LEFT) >> SHIFT) as u8;
    out[1] = ((3 * sums[0] + sums[1] + RIGHT) >> SHIFT) as u8;
    out[2 * last] = ((3 * sums[last] + sums[last - 1] + LEFT) >> SHIFT) as u8;
    out[2 * last + 1] = ((4 * sums[last] + RIGHT) >> SHIFT) as u8;
}
