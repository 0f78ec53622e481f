"""Sockets: the tick that serves them all, one client's buffers, the listeners."""
