"""The process around a broker: time, timers, the log, the poller, memory, statistics. It knows no key and no client."""
