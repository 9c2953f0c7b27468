export { sourceAgentDaemon } from './server.js';
