//! A JPEG's markers (T.81 annex B): tables, the frame's header, scans' headers, and what is done at each.

use super::frame::{Coefficients, Colour, Component, Frame};
use super::huffman::{Class, HuffmanTable};
use super::planes::Planes;
use super::{Problem, Sink, damaged, lacks_channel, scan, truncated};
use crate::clip::wide::Set;

/// Everything that markers have set so far.
#[derive(Default)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    position: usize,
    frame: Option<Frame>,
    /// In zigzag order.
    quantisation: [Option<[u16; 64]>; 4],
    dc_tables: [Option<HuffmanTable>; 4],
    ac_tables: [Option<HuffmanTable>; 4],
    restart_interval: usize,
    jfif: bool,
    /// The transform byte of Adobe's marker.
    adobe: Option<u8>,
    /// Whether all rows were handed on with the picture's only scan.
    done: bool,
}

impl<'a> Decoder<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 2, ..Self::default() }
    }

    /// Decodes the picture and hands its rows to `sink`.
    pub fn run(&mut self, limit: u64, sink: &mut dyn Sink, set: Set) -> Result<(), Problem> {
        loop {
            match self.next_marker()? {
                0xd8 | 0x01 | 0xd0..=0xd7 => {}
                0xd9 => break,
                0xc0..=0xc2 => self.read_frame(limit)?,
                0xc4 => self.read_huffman_tables()?,
                0xdb => self.read_quantisation_tables()?,
                0xdd => self.restart_interval = self.segment()?.get(..2).map_or(0, |b| usize::from(pair(b))),
                0xda => self.read_scan(sink, set)?,
                0xe0 => self.jfif |= self.segment()?.starts_with(b"JFIF\0"),
                0xee => {
                    let segment = self.segment()?;
                    if segment.len() >= 12 && segment.starts_with(b"Adobe") {
                        self.adobe = Some(segment[11]);
                    }
                }
                0xc9..=0xcb | 0xcd..=0xcf => {
                    return Err(
                        "is an arithmetic-coded JPEG, which is not supported: save it again as an ordinary JPEG".into(),
                    );
                }
                0xc3 | 0xc5..=0xc7 | 0xf7 => {
                    return Err(
                        "is a lossless or hierarchical JPEG, which is not supported: save it again as an ordinary JPEG"
                            .into(),
                    );
                }
                _ => {
                    self.segment()?;
                }
            }
        }
        if self.done {
            return Ok(());
        }
        let colour = self.colour();
        let frame = self.frame.as_ref().ok_or("is a JPEG without a picture: fetch or export it again")?;
        if frame.components.iter().any(|component| component.quantisation.is_none()) {
            return Err(lacks_channel());
        }
        Planes::new(frame, colour, sink, set)?.finish(&frame.components)
    }

    /// Finds the next marker, passing over bytes that belong to none, as libjpeg does.
    fn next_marker(&mut self) -> Result<u8, Problem> {
        loop {
            let rest = self.bytes.get(self.position..).unwrap_or_default();
            let at = rest.iter().position(|&byte| byte == 0xff).ok_or_else(truncated)?;
            let code = *rest.get(at + 1).ok_or_else(truncated)?;
            self.position += at + if code == 0xff { 1 } else { 2 };
            if code != 0 && code != 0xff {
                return Ok(code);
            }
        }
    }

    /// The content of the marker segment at hand.
    fn segment(&mut self) -> Result<&'a [u8], Problem> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let length = usize::from(pair(rest.get(..2).ok_or_else(truncated)?));
        let content = rest.get(2..length.max(2)).ok_or_else(truncated)?;
        self.position += length.max(2);
        Ok(content)
    }

    fn read_frame(&mut self, limit: u64) -> Result<(), Problem> {
        let progressive = self.bytes[self.position - 1] == 0xc2;
        let segment = self.segment()?;
        if self.frame.is_some() {
            return Err(damaged("it holds two pictures in one"));
        }
        let [precision, h1, h0, w1, w0, count, rest @ ..] = segment else {
            return Err(damaged("its frame is too short"));
        };
        let (height, width) = (usize::from(pair(&[*h1, *h0])), usize::from(pair(&[*w1, *w0])));
        if *precision != 8 {
            return Err(format!(
                "is a JPEG of {precision} bits a sample, only 8 are supported: save it again as an ordinary JPEG"
            ));
        }
        if width == 0 || height == 0 {
            return Err(format!("is a JPEG of {width} × {height} pixels: fetch or export it again"));
        }
        crate::data::decode::check_size(width as u64, height as u64, limit)?;
        if !matches!(count, 1 | 3 | 4) || rest.len() < 3 * usize::from(*count) {
            return Err(format!(
                "is a JPEG of {count} colour channels, only 1, 3 and 4 are supported: save it again as an ordinary JPEG"
            ));
        }
        let mut components = Vec::new();
        for entry in rest.chunks_exact(3).take((*count).into()) {
            let (horizontal, vertical, table) =
                (usize::from(entry[1] >> 4), usize::from(entry[1] & 15), usize::from(entry[2]));
            if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) || table > 3 {
                return Err(damaged("its sampling factors or table numbers are impossible"));
            }
            components.push(Component {
                id: entry[0],
                horizontal,
                vertical,
                quantisation_table: table,
                ..Component::default()
            });
        }
        if let [only] = components.as_mut_slice() {
            // With nothing to be sampled against, blocks come one by one whatever the factors are.
            (only.horizontal, only.vertical) = (1, 1);
        }
        let largest = |factor: fn(&Component) -> usize| components.iter().map(factor).max().unwrap_or(1);
        let (horizontal, vertical) = (largest(|c| c.horizontal), largest(|c| c.vertical));
        let mut frame = Frame { progressive, width, height, horizontal, vertical, components };
        let (across, down) = frame.units();
        for component in &mut frame.components {
            component.width = (width * component.horizontal).div_ceil(horizontal);
            component.height = (height * component.vertical).div_ceil(vertical);
            component.blocks_wide = across * component.horizontal;
            component.blocks_high = down * component.vertical;
        }
        self.frame = Some(frame);
        Ok(())
    }

    fn read_quantisation_tables(&mut self) -> Result<(), Problem> {
        let mut rest = self.segment()?;
        while let [head, values @ ..] = rest {
            let (wide, slot) = (head >> 4 != 0, usize::from(head & 15));
            let length = if wide { 128 } else { 64 };
            if slot > 3 || values.len() < length {
                return Err(damaged("a quantisation table is malformed"));
            }
            let mut table = [0; 64];
            for (index, value) in table.iter_mut().enumerate() {
                *value = if wide { pair(&values[index * 2..]) } else { values[index].into() };
            }
            self.quantisation[slot] = Some(table);
            rest = &values[length..];
        }
        Ok(())
    }

    fn read_huffman_tables(&mut self) -> Result<(), Problem> {
        let mut rest = self.segment()?;
        while let [head, values @ ..] = rest {
            let slot = usize::from(head & 15);
            let wrong = || damaged("a Huffman table is malformed");
            let counts: &[u8; 16] = values.first_chunk().ok_or_else(wrong)?;
            let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let symbols = values.get(16..16 + total).ok_or_else(wrong)?;
            let (class, tables) =
                if head >> 4 == 0 { (Class::Dc, &mut self.dc_tables) } else { (Class::Ac, &mut self.ac_tables) };
            let table = HuffmanTable::new(class, counts, symbols).ok_or_else(wrong)?;
            *tables.get_mut(slot).ok_or_else(wrong)? = Some(table);
            rest = &values[16 + total..];
        }
        Ok(())
    }

    /// Reads a scan's header, then its blocks.
    fn read_scan(&mut self, sink: &mut dyn Sink, set: Set) -> Result<(), Problem> {
        let segment = self.segment()?;
        if self.done {
            return Err(damaged("a scan follows the whole picture"));
        }
        let colour = self.colour();
        let wrong = || damaged("a scan's header is malformed");
        let frame = self.frame.as_mut().ok_or_else(|| damaged("a scan comes before the frame"))?;
        let count = usize::from(*segment.first().ok_or_else(wrong)?);
        if !(1..=frame.components.len()).contains(&count) || segment.len() < 4 + 2 * count {
            return Err(wrong());
        }
        // A sequential picture with all its channels in one scan has no other: its rows can be made as they come.
        let only = !frame.progressive && count == frame.components.len();
        let mut parts = Vec::new();
        for entry in segment[1..=2 * count].chunks_exact(2) {
            let index = frame.components.iter().position(|c| c.id == entry[0]).ok_or_else(wrong)?;
            let (dc, ac) = (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
            if dc > 3 || ac > 3 || parts.iter().any(|part: &scan::Part| part.component == index) {
                return Err(wrong());
            }
            let component = &mut frame.components[index];
            if component.quantisation.is_none() {
                let table = self.quantisation[component.quantisation_table];
                component.quantisation = Some(table.ok_or_else(|| damaged("a quantisation table is missing"))?);
                if !only {
                    component.coefficients = Coefficients::new(component.blocks_wide, component.blocks_high);
                }
            }
            parts.push(scan::Part { component: index, dc, ac, prediction: 0 });
        }
        let [first, last, approximation] = [segment[1 + 2 * count], segment[2 + 2 * count], segment[3 + 2 * count]];
        let mut band =
            scan::Band { first: first.into(), last: last.into(), high: approximation >> 4, low: approximation & 15 };
        if !frame.progressive {
            band = scan::Band { first: 0, last: 63, high: 0, low: 0 };
        } else if band.first > band.last
            || band.last > 63
            || band.low > 13
            || (band.first == 0) != (band.last == 0)
            || band.first > 0 && count > 1
        {
            return Err(wrong());
        }
        let tables = scan::Tables { dc: &self.dc_tables, ac: &self.ac_tables };
        let data = self.bytes.get(self.position..).unwrap_or_default();
        self.position += if only {
            let mut planes = Planes::new(frame, colour, sink, set)?;
            self.done = true;
            scan::decode_whole(frame, &mut parts, &tables, self.restart_interval, data, &mut planes)?
        } else {
            scan::decode(frame, &mut parts, band, &tables, self.restart_interval, data)?
        };
        Ok(())
    }

    /// libjpeg's rules for what the channels mean.
    fn colour(&self) -> Colour {
        let ids: Vec<u8> = self.frame.iter().flat_map(|frame| frame.components.iter().map(|c| c.id)).collect();
        match (ids.len(), self.adobe) {
            (1, _) => Colour::Grey,
            (4, None | Some(0)) => Colour::Cmyk,
            (4, Some(_)) => Colour::Ycck,
            (_, Some(0)) if !self.jfif => Colour::Rgb,
            (_, None) if !self.jfif && ids == *b"RGB" => Colour::Rgb,
            _ => Colour::YCbCr,
        }
    }
}

/// Two bytes as a number, most significant first.
fn pair(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}
