/** A PageBitmap's `bits`: page 0 in the lowest bit of byte 0. */
export function toBits(pageCount: number, has: (pgoff: number) => boolean): Buffer {
  const bits = Buffer.alloc(Math.ceil(pageCount / 8));
  for (let pgoff = 0; pgoff < pageCount; pgoff++)
    if (has(pgoff)) bits[pgoff >> 3] = (bits[pgoff >> 3] ?? 0) | (1 << (pgoff & 7));
  return bits;
}

/** Pages of a PageBitmap, ascending. */
export function fromBits(bits: Buffer): number[] {
  const pages: number[] = [];
  bits.forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) pages.push(index * 8 + bit);
  });
  return pages;
}
