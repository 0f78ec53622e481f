"""A worker of ten lines on redis-py: what it can't handle it leaves alone, and the group's policy does the rest."""

import sys

import redis

client = redis.Redis.from_url(sys.argv[1], decode_responses=True)
failed = set()
while True:
    for _, entries in client.xreadgroup("workers", sys.argv[2], {"jobs": ">"}, count=2, block=60_000):
        for id, job in entries:
            client.rpush("handled", f"{sys.argv[2]} {job['kind']} {job['customer']} {job['n']}")
            if job["kind"] == "poison" or (job["kind"] == "flaky" and id not in failed):
                failed.add(id)
            else:
                client.xack("jobs", "workers", id)
