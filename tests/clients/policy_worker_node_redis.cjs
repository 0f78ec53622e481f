// The worker of policy_worker.py on node-redis.
"use strict";
const { createClient } = require("redis");
const [, , url, name] = process.argv;

async function main() {
  const client = await createClient({ url }).connect();
  const failed = new Set();
  for (;;) {
    const reply = await client.xReadGroup("workers", name, { key: "jobs", id: ">" }, { COUNT: 2, BLOCK: 60000 });
    for (const { messages } of reply ?? []) {
      for (const { id, message: job } of messages) {
        await client.rPush("handled", `${name} ${job.kind} ${job.customer} ${job.n}`);
        if (job.kind === "poison" || (job.kind === "flaky" && !failed.has(id))) failed.add(id);
        else await client.xAck("jobs", "workers", id);
      }
    }
  }
}

main();
