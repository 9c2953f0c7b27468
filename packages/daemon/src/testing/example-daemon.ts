#!/usr/bin/env node
import { runDaemon } from '../run-daemon.js';
import { exampleDaemon } from './example-service.js';

await runDaemon(exampleDaemon);
