export { isName, NAME_RULE } from './name.js';
export {
  MAX_PGOFFS_PER_MESSAGE,
  MAX_RAW_PAGES_PER_BATCH,
  TARGET_PAGE_SIZE,
  toRanges,
  type PageRange,
} from './page.js';
export { PageBitmap } from './page-bitmap.js';
export { findBlockMismatch, findBlockProblem, pagesIn, totalPages, type RamBlock } from './ram-block.js';
export { formatBytes, parseBytes } from './size.js';
