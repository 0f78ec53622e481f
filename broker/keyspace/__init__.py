"""The databases: values by key, deadlines, the one way to change a key, and the effects of a change."""
