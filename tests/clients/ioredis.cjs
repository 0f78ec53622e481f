// ioredis against the broker at the URL in argv[2]; prints what it saw as JSON. Unlike node-redis it speaks RESP2 only.
"use strict";
const Redis = require("ioredis");

async function main() {
  const client = new Redis(process.argv[2]);
  const blocked = client.duplicate();
  const subscriber = client.duplicate();
  const seen = {};

  await client.set("k", "v", "EX", 100);
  seen.get = await client.get("k");
  await client.hset("h", { f: "1", g: "2" });
  seen.hash = await client.hgetall("h");
  await client.zadd("z", 1.5, "a", 2, "b");
  seen.sorted = await client.zrange("z", 0, -1, "WITHSCORES");
  seen.multi = (await client.multi().incr("n").incr("n").get("n").exec()).map(([, value]) => value);
  seen.wrong = await client.lpush("k", "x").catch((error) => error.message.split(" ")[0]);

  const popped = blocked.blpop("queue", 30);
  while (!(await client.info("clients")).includes("blocked_clients:1")) await new Promise((r) => setTimeout(r, 10));
  await client.rpush("queue", "job");
  seen.popped = await popped;

  const messages = [];
  subscriber.on("message", (channel, message) => messages.push(message));
  subscriber.on("pmessage", (pattern, channel, message) => messages.push(message));
  await subscriber.subscribe("news");
  await subscriber.psubscribe("n*");
  seen.receivers = await client.publish("news", "hello");
  while (messages.length < 2) await new Promise((r) => setTimeout(r, 10));
  seen.messages = messages;

  await client.xgroup("CREATE", "jobs", "g", "0", "MKSTREAM");
  for (let n = 0; n < 10; n++) await client.xadd("jobs", "*", "n", n);
  const [[, entries]] = await client.xreadgroup("GROUP", "g", "c", "COUNT", 10, "STREAMS", "jobs", ">");
  seen.entries = entries.map(([, fields]) => fields[1]);
  seen.acknowledged = await client.xack("jobs", "g", ...entries.map(([id]) => id));

  const pipeline = client.pipeline();
  for (let n = 0; n < 500; n++) pipeline.incr("count");
  await pipeline.exec();
  seen.count = await client.get("count");
  seen.scanned = 0;
  for await (const keys of client.scanStream({ count: 2 })) seen.scanned += keys.length;
  for (const one of [subscriber, blocked, client]) one.disconnect();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
