export { pageServerDaemon } from './server.js';
