"""The client side of Trimaran: workers and consumers for Trio programs, over RESP.

Nothing is here yet: this version is the broker alone, which every Redis client and worker library can use.
"""
