// node-redis against the broker at the URL in argv[2], with RESP version argv[3]; prints what it saw as JSON.
"use strict";
const { createClient, createClientPool } = require("redis");

async function main() {
  const options = { url: process.argv[2], RESP: Number(process.argv[3]) };
  const client = await createClient(options).connect();
  const blocked = await client.duplicate().connect();
  const subscriber = await client.duplicate().connect();
  const seen = {};

  await client.set("k", "v", { EX: 100 });
  seen.get = await client.get("k");
  await client.hSet("h", { f: "1", g: "2" });
  seen.hash = { ...(await client.hGetAll("h")) };
  await client.zAdd("z", [{ score: 1.5, value: "a" }, { score: 2, value: "b" }]);
  seen.sorted = await client.zRangeWithScores("z", 0, -1);
  seen.multi = await client.multi().incr("n").incr("n").get("n").exec();
  seen.wrong = await client.lPush("k", "x").catch((error) => error.message.split(" ")[0]);

  const popped = blocked.blPop("queue", 30);
  while (!(await client.info("clients")).includes("blocked_clients:1")) await new Promise((r) => setTimeout(r, 10));
  await client.rPush("queue", "job");
  seen.popped = await popped;

  const messages = [];
  await subscriber.subscribe("news", (message) => messages.push(message));
  await subscriber.pSubscribe("n*", (message) => messages.push(message));
  seen.receivers = await client.publish("news", "hello");
  while (messages.length < 2) await new Promise((r) => setTimeout(r, 10));
  seen.messages = messages;

  await client.xGroupCreate("jobs", "g", "0", { MKSTREAM: true });
  for (let n = 0; n < 10; n++) await client.xAdd("jobs", "*", { n: String(n) });
  const reply = await client.xReadGroup("g", "c", { key: "jobs", id: ">" }, { COUNT: 10 });
  // in RESP3 node-redis hands the map on as it came
  const entries = Array.isArray(reply)
    ? reply[0].messages
    : reply.jobs.map(([id, [name, value]]) => ({ id, message: { [name]: value } }));
  seen.entries = entries.map((entry) => entry.message.n);
  seen.acknowledged = await client.xAck("jobs", "g", entries.map((entry) => entry.id));

  const pool = await createClientPool(options).connect();
  await Promise.all(Array.from({ length: 500 }, () => pool.incr("count")));
  seen.count = await client.get("count");
  await pool.close();
  seen.scanned = 0;
  for await (const keys of client.scanIterator({ COUNT: 2 })) seen.scanned += keys.length;
  for (const one of [subscriber, blocked, client]) one.destroy();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
