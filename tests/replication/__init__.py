"""Replication between whole processes: this broker, Redis 7.0 and 8.10, and Valkey 9 as masters and replicas of each
other.

nodes       a server of any kind as a process: start, kill, suspend, restart; its INFO and its links
proxy       a TCP proxy that cuts, holds and refuses, also after a number of bytes
writes      generated writes of every family
contents    what two servers must have in common
sentinels   a trio of redis-sentinels
sentinel_logs  the failovers in their logs
acknowledged  clients of a set under Sentinel that remember what was confirmed
losses      which of that may be lost, and the evidence
"""
