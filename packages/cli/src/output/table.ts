import Table from 'cli-table3';

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '   ',
};
const STYLE = { head: [], border: [], 'padding-left': 0, 'padding-right': 0 };

/** Rows under a head, in columns; without a head for facts about one thing. */
export function formatTable(head: readonly string[] | null, rows: readonly (readonly string[])[]): string {
  const table = new Table({ head: head ? [...head] : [], chars: NO_BORDERS, style: STYLE });
  for (const row of rows) table.push([...row]);
  const lines = table.toString().split('\n');
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}
