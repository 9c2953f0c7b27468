#!/usr/bin/env node
import { runDaemon } from '@umem/daemon';
import { sourceAgentDaemon } from './server.js';

await runDaemon(sourceAgentDaemon);
