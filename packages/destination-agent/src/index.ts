export type { AgentConfig } from './config.js';
export { destinationAgentDaemon } from './server.js';
