// node-redis's client-side cache against the broker at the URL in argv[2]; prints what it saw as JSON.
"use strict";
const { createClient, createClientPool } = require("redis");

async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function main() {
  const options = { url: process.argv[2], RESP: 3 };
  const client = await createClient({ ...options, clientSideCache: { ttl: 0, maxEntries: 0 } }).connect();
  const other = await createClient(options).connect();
  const seen = {};

  await other.set("k", "1");
  seen.first = await client.get("k");
  seen.again = await client.get("k");
  seen.hits = client.clientSideCache.stats().hitCount;
  await other.set("k", "2");
  await until(async () => (await client.get("k")) === "2");
  seen.changed = await client.get("k");
  await client.set("k", "3");
  seen.own = await client.get("k");
  await client.mGet(["k", "l"]);
  await other.flushAll();
  await until(async () => (await client.get("k")) === null);
  seen.flushed = await client.mGet(["k", "l"]);

  const pool = await createClientPool(options, { clientSideCache: { ttl: 0, maxEntries: 0 } }).connect();
  await Promise.all(Array.from({ length: 50 }, () => pool.get("p")));
  await other.set("p", "1");
  await until(async () => (await pool.get("p")) === "1");
  seen.pooled = await pool.get("p");
  await pool.close();
  for (const one of [client, other]) one.destroy();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
