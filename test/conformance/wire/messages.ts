// Messages as the loader of proto/ gives them, as far as the suite reads them.

export interface RamBlockMessage {
  readonly block_id: string;
  readonly size_bytes: string;
  readonly host_page_size_bytes: string;
}

export interface PageRunMessage {
  readonly pgoff: number;
  readonly page_count: number;
  readonly encoding: string;
  readonly fill_value: number;
}

export interface PageBatchMessage {
  readonly block_id: string;
  readonly runs: readonly PageRunMessage[];
  readonly data: Buffer;
}

export interface UmemReplyMessage {
  readonly reply?: 'pages' | 'eos';
  readonly pages?: PageBatchMessage | null;
}

export interface PageBitmapMessage {
  readonly block_id: string;
  readonly bits: Buffer;
}

export interface InitMessage {
  readonly migration_id: string;
  readonly lane_kind: string;
  readonly target_page_size_bytes: number;
  readonly blocks: readonly RamBlockMessage[];
  readonly received: readonly PageBitmapMessage[];
  readonly generation: string;
}

export interface PageListMessage {
  readonly block_id: string;
  readonly pgoffs: readonly number[];
}

export interface UmemRequestMessage {
  readonly command?: 'init' | ListCommand | ContCommand | 'eoc' | 'placed';
  readonly init?: InitMessage | null;
  readonly on_demand?: PageListMessage | null;
  readonly on_demand_cont?: Pick<PageListMessage, 'pgoffs'> | null;
  readonly background?: PageListMessage | null;
  readonly background_cont?: Pick<PageListMessage, 'pgoffs'> | null;
  readonly remove?: PageListMessage | null;
  readonly placed?: PageRangesMessage | null;
}

export interface PageRangesMessage {
  readonly block_id: string;
  readonly ranges: readonly { readonly pgoff: number; readonly page_count: number }[];
}

/** Commands that name a block. */
export type ListCommand = 'on_demand' | 'background' | 'remove';
/** Commands that continue one of those. */
export type ContCommand = 'on_demand_cont' | 'background_cont';

export interface LaneTargetMessage {
  readonly migration_id: string;
  readonly token: string;
  readonly demand_address: string;
  readonly background_addresses: readonly string[];
}

export interface TransferStatsMessage {
  readonly total_pages: string;
  readonly demand_pages: string;
  readonly background_pages: string;
  readonly fill_pages: string;
  readonly duplicate_pages: string;
  readonly removed_pages: string;
  readonly remaining_pages: string;
  readonly faults: string;
  readonly recoveries: string;
  readonly wire_bytes: string;
  readonly fault_latency: {
    readonly count: string;
    readonly p50_us: string;
    readonly p99_us: string;
    readonly max_us: string;
    readonly power_of_two_buckets: readonly string[];
  } | null;
  readonly blocked_threads: readonly { readonly thread_id: number; readonly faults: string }[];
  readonly touch_requests: string;
  readonly touched_pages: string;
}

export interface UmemMessage {
  readonly name: string;
  readonly state: string;
  readonly handoff_socket_path: string;
  readonly lanes_connected: boolean;
  readonly stats: TransferStatsMessage | null;
  readonly error: string;
  readonly migration_id: string;
}

export interface ControlErrorMessage {
  readonly message: string;
  readonly missing_pages: string;
}

export interface UmemdCommandMessage {
  readonly command?: 'ready' | 'quit' | 'trigger_page_fault' | 'error';
  readonly ready?: { readonly state: string } | null;
  readonly trigger_page_fault?: PageListMessage | null;
  readonly error?: ControlErrorMessage | null;
}

export interface MigrationMessage {
  readonly migration_id: string;
  readonly state: string;
  readonly options: {
    readonly no_background: boolean;
    readonly max_bandwidth_bytes_per_second: string;
  } | null;
  readonly error: string;
  readonly error_reason: string;
  readonly guest_recoverable: boolean;
}

export interface VmMessage {
  readonly name: string;
  readonly blocks: readonly RamBlockMessage[];
  readonly run_state: string;
}
