import { HostPrecondition } from '@umem/errors';

/** The VMM refused a QMP command. */
export class QmpError extends HostPrecondition {
  constructor(
    readonly command: string,
    /** QMP's error class, for example GenericError or CommandNotFound. */
    readonly qmpClass: string,
    /** QMP's own words. */
    readonly qmpDesc: string,
  ) {
    super(`The VMM refused QMP command ${command}: ${qmpDesc} (${qmpClass})`, {
      reason: 'QMP_ERROR',
      metadata: { command, qmpClass, qmpDesc },
    });
  }

  get isCommandNotFound(): boolean {
    return this.qmpClass === 'CommandNotFound';
  }
}
