/** Photos in formats that the core does not decode but the browser may: AVIF, JPEG XL where it is known, HEIC in Safari. */

/** The side that is decoded at most: what a canvas can hold everywhere. */
const LARGEST_SIDE = 8192;

/** How files of these formats begin: from which byte, and with what. */
const BEGINNINGS: readonly (readonly [number, string])[] = [
  [4, 'ftypavi'],
  [4, 'ftyphei'],
  [4, 'ftyphev'],
  [4, 'ftypmif1'],
  [4, 'ftypmsf1'],
  [4, 'JXL \r\n'],
  [0, '\xff\x0a'],
];

/** The picture as a PNG file; nothing where it is of another format. Rejects where the browser cannot open it either. */
export async function openBrowserFormat(photo: Blob): Promise<Uint8Array | undefined> {
  const start = String.fromCharCode(...new Uint8Array(await photo.slice(0, 16).arrayBuffer()));
  if (!BEGINNINGS.some(([at, text]) => start.startsWith(text, at))) return undefined;
  const bitmap = await createImageBitmap(photo);
  try {
    const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
    const context = canvas.getContext('2d');
    if (!context) return undefined;
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return new Uint8Array(await (await canvas.convertToBlob({ type: 'image/png' })).arrayBuffer());
  } finally {
    bitmap.close();
  }
}
