"""The process around a broker: time, timers, log, poller, memory, statistics. It knows nothing of keys and clients."""
