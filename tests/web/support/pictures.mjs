// Pictures made by hand, sound and otherwise.

import { crc32, deflateSync } from 'node:zlib';

/** A PNG of one colour. */
export function png(width, height, [red, green, blue]) {
  const row = Buffer.alloc(1 + 3 * width);
  for (let x = 0; x < width; x++) row.set([red, green, blue], 1 + 3 * x);
  const rows = Buffer.alloc(row.length * height);
  for (let y = 0; y < height; y++) row.copy(rows, y * row.length);
  return pngOf(width, height, rows);
}

/** A black PNG of any size; a small file, since a row is like the next. */
export function vast(width, height) {
  return pngOf(width, height, Buffer.alloc((1 + width) * height), 9, 0);
}

/** A PNG of noise, which takes about three bytes a pixel; another one for each `seed`. */
export function noise(width, height, seed) {
  const rows = Buffer.alloc((1 + 3 * width) * height);
  let state = seed * 2654435761 + 1;
  for (let at = 0; at < rows.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    rows[at] = at % (1 + 3 * width) === 0 ? 0 : state >>> 24;
  }
  return pngOf(width, height, rows, 0);
}

function pngOf(width, height, rows, level = 9, colourType = 2) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, colourType, 0, 0, 0], 8);
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', deflateSync(rows, { level })), chunk('IEND', Buffer.alloc(0))]);
}

/** A GIF whose frames are of one colour each, one after the other for ever. */
export function gif(width, height, colours) {
  const words = (...values) => Buffer.from(Uint16Array.from(values).buffer);
  const table = Buffer.alloc(12);
  colours.forEach((colour, index) => table.set(colour, 3 * index));
  const frames = colours.map((_, index) => {
    const control = Buffer.concat([Buffer.from([0x21, 0xf9, 4, 0]), words(10), Buffer.from([0, 0])]);
    const place = Buffer.concat([Buffer.from([0x2c]), words(0, 0, width, height), Buffer.from([0])]);
    return Buffer.concat([control, place, Buffer.from([2]), inBlocks(pixels(width * height, index)), Buffer.from([0])]);
  });
  const loop = Buffer.concat([Buffer.from([0x21, 0xff, 11]), Buffer.from('NETSCAPE2.0'), Buffer.from([3, 1, 0, 0, 0])]);
  return Buffer.concat([Buffer.from('GIF89a'), words(width, height), Buffer.from([0x81, 0, 0]), table, loop, ...frames, Buffer.from([0x3b])]);
}

/** So many pixels of one colour, three bits a code: the table is begun again before a code needs four. */
function pixels(count, colour) {
  const codes = [];
  for (let done = 0; done < count; done += 2) codes.push(4, colour, ...(done + 1 < count ? [colour] : []));
  codes.push(5);
  const bytes = Buffer.alloc(Math.ceil((codes.length * 3) / 8));
  codes.forEach((code, index) => {
    for (let bit = 0; bit < 3; bit++) if (code & (1 << bit)) bytes[(3 * index + bit) >> 3] |= 1 << ((3 * index + bit) & 7);
  });
  return bytes;
}

function inBlocks(bytes) {
  const blocks = [];
  for (let at = 0; at < bytes.length; at += 255) {
    const block = bytes.subarray(at, at + 255);
    blocks.push(Buffer.from([block.length]), block);
  }
  return Buffer.concat(blocks);
}

/** A JPEG as a camera writes it that was held otherwise: its EXIF says how it is to be turned (6: a quarter to the right). */
export function turned(jpeg, orientation) {
  const tiff = Buffer.from([0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]);
  const content = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]);
  const head = Buffer.from([0xff, 0xe1, 0, content.length + 2]);
  return Buffer.concat([jpeg.subarray(0, 2), head, content, jpeg.subarray(2)]);
}

/** A picture that the browser draws, as a file of the type: the left half of one colour, the right half of another. */
export async function drawn(page, type, width, height, left, right) {
  const base64 = await page.evaluate(
    async ([type, width, height, left, right]) => {
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext('2d');
      const fill = ([red, green, blue], from, to) => {
        context.fillStyle = `rgb(${red} ${green} ${blue})`;
        context.fillRect(from, 0, to - from, height);
      };
      fill(left, 0, width / 2);
      fill(right, width / 2, width);
      const blob = await canvas.convertToBlob({ type, quality: 0.95 });
      const bytes = new Uint8Array(await blob.arrayBuffer());
      return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
    },
    [type, width, height, left, right],
  );
  return Buffer.from(base64, 'base64');
}
