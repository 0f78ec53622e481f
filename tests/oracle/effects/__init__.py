"""What test_effects.py replays on other servers: `recording.py` does it, the others list commands by type."""
