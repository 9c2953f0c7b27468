#!/usr/bin/env node
import { runDaemon } from '@umem/daemon';
import { pageServerDaemon } from './server.js';

await runDaemon(pageServerDaemon);
