"""Bad input and bad clients: each limit, each malformed request, clients that stall, never read, or vanish.

Every test ends with the same question: does the broker answer the next client as before?
"""
