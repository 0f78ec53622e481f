"""What operators see of the requests: slow ones, latency spikes and percentiles, and all of them as they come.

- histogram: how long a command's calls took, in few counters
- latency, graph, doctor: spikes by event, and what to make of them
- slowlog, command_log: the last commands that took long, or whose request or reply was large
- hotkeys: which keys cost most, while an operator measures it (HOTKEYS)
- monitor: the clients that watch every request (MONITOR)
- redaction: what of a request must not be shown
- observer: gets the time of every command from the executor, and tells the others
"""
