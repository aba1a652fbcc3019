//! Files that are no pictures, or too large ones.

use std::fs;
use std::path::Path;

use super::Fault;
use crate::support::folders;

/// Files that are no pictures, or would be too large ones; each error names the file.
pub fn images(parent: &Path) -> Vec<Fault> {
    let folder = folders::create(&parent.join("images"));
    let tile = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/towers/tiles/River_2299.png");
    let sound = fs::read(tile).expect("a picture of this repository");
    let mut flipped = sound.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let cases: [(&str, &str, Vec<u8>); 7] = [
        ("image: text", "text.jpg", b"This is a letter, not a picture.\n".repeat(40)),
        ("image: empty", "empty.png", vec![]),
        ("image: cut", "cut.png", sound[..sound.len() / 3].to_vec()),
        ("image: a bit flipped", "flipped.png", flipped),
        ("image: only a JPEG's first bytes", "start.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00".to_vec()),
        ("image: 60,000 x 60,000", "huge.png", png(60_000, 60_000)),
        ("image: no pixels", "zero.png", png(0, 0)),
    ];
    let mut faults: Vec<_> = cases
        .into_iter()
        .map(|(name, file, bytes)| {
            fs::write(folder.join(file), bytes).expect("a bad picture");
            Fault::new(name, &folder.join(file), &[file])
        })
        .collect();
    faults.push(Fault::new("image: absent", &folder.join("absent.jpg"), &["absent.jpg"]));
    let directory = folders::create(&folder.join("folder.jpg"));
    faults.push(Fault::new("image: a folder", &directory, &["folder.jpg"]));
    faults
}

/// A PNG with a valid header of that size and a body of a few bytes.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = [&size[..], &[8, 2, 0, 0, 0]].concat();
    // The data of an empty zlib stream.
    let body = [0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01];
    [b"\x89PNG\r\n\x1a\n", &chunk(*b"IHDR", &header)[..], &chunk(*b"IDAT", &body), &chunk(*b"IEND", &[])].concat()
}

fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind, data].concat();
    [&(data.len() as u32).to_be_bytes(), &body[..], &crc32(&body).to_be_bytes()].concat()
}

/// The checksum of PNG and zip, bit by bit.
pub(super) fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |state, &byte| {
        (0..8).fold(state ^ u32::from(byte), |state, _| (state >> 1) ^ (0xEDB8_8320 & (state & 1).wrapping_neg()))
    })
}
