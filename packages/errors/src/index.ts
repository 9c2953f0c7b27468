export * from './classes.js';
export { messageOf } from './message.js';
export { UmemError, type ErrorMetadata, type ErrorOptions } from './umem-error.js';
