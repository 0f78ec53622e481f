"""Memory in use, and what is removed when there is too much of it."""
