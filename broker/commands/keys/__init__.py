"""Commands on keys of any type: existence, deadlines, scanning, sorting, serialisation."""
