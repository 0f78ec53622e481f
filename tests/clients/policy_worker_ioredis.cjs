// The worker of policy_worker.py on ioredis.
"use strict";
const Redis = require("ioredis");
const [, , url, name] = process.argv;

async function main() {
  const client = new Redis(url);
  const failed = new Set();
  for (;;) {
    const reply = await client.xreadgroup("GROUP", "workers", name, "COUNT", 2, "BLOCK", 60000, "STREAMS", "jobs", ">");
    for (const [, entries] of reply ?? []) {
      for (const [id, [, kind, , customer, , n]] of entries) {
        await client.rpush("handled", `${name} ${kind} ${customer} ${n}`);
        if (kind === "poison" || (kind === "flaky" && !failed.has(id))) failed.add(id);
        else await client.xack("jobs", "workers", id);
      }
    }
  }
}

main();
