const PROCESS = '../packages/vmm/process';
const JSON_SOURCES = [`${PROCESS}/json.c`, `${PROCESS}/text.c`];

/** What each fuzz target is built from; paths from native/. */
export const TARGETS = [
  { name: 'preload_config', sources: ['preload/config.c', 'preload/message.c', ...JSON_SOURCES] },
  { name: 'preload_match' },
  // Whoever answers nothing has closed: nobody waits.
  { name: 'preload_answer', defines: ['-DUMEM_TIMEOUT_MS=1000'] },
  { name: 'handoff_socket', sources: ['src/os/unix_socket.cc', 'src/os/file.cc'] },
  { name: 'received_uffd', sources: ['src/uffd/open.cc', 'src/os/file.cc'] },
  { name: 'uffd_events', sources: ['src/uffd/event.cc'] },
  {
    name: 'guest_ram',
    sources: [
      'src/ram/ram_reader.cc',
      'src/ram/data_extents.cc',
      'src/ram/constant_page.cc',
      'src/ram/constant_page_avx2.cc',
      'src/ram/constant_page_portable.cc',
      'src/ram/constant_page_sse2.cc',
      'src/os/file.cc',
    ],
  },
  { name: 'process_json', sources: JSON_SOURCES },
  {
    name: 'process_qmp',
    sources: [`${PROCESS}/commands.c`, `${PROCESS}/machine.c`, `${PROCESS}/pattern.c`, ...JSON_SOURCES],
  },
  { name: 'process_state', sources: [`${PROCESS}/state.c`] },
  { name: 'process_options' },
  { name: 'process_page', sources: [`${PROCESS}/pattern.c`] },
].map(complete);

/** Targets with a mistake in them, which must be found: they show that finding works. */
export const PLANTED = ['overflow', 'leak', 'hang', 'property']
  .map((mistake) => ({
    name: `planted_${mistake}`,
    source: 'fuzz/targets/planted.c',
    defines: [`-DPLANTED_${mistake.toUpperCase()}`],
  }))
  .map(complete);

function complete({ name, source, sources = [], defines = [] }) {
  const isCpp = sources.some((path) => path.endsWith('.cc'));
  const own = source ?? `fuzz/targets/${name}.${isCpp ? 'cc' : 'c'}`;
  return { name, sources: [own, ...sources], includes: ['src', 'preload', PROCESS], defines };
}
