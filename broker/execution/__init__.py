"""The one place where a request becomes a command that is executed."""
