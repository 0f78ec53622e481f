"""Keys whatever they hold: existence, deadlines, scanning, sorting, serialisation."""
