"""Memory limits: measuring what is in use, and evicting keys and clients when it is too much."""
