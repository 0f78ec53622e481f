"""Brokers that are killed: what clients were told of is there again, whole, after the next start.

`test_kill` kills a real process at random moments under load; TRIMARAN_CRASH_ROUNDS says how often. What the clients
do is drawn from a seed that is printed (and taken from TRIMARAN_CRASH_SEED); when the process is at what point is not.
"""
