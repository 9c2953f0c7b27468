#!/usr/bin/env node
import { runDaemon } from '@umem/daemon';
import { destinationAgentDaemon } from './server.js';

await runDaemon(destinationAgentDaemon);
