"""The broker as a whole: INFO, CONFIG, COMMAND, DEBUG, MEMORY, saving, shutdown."""
