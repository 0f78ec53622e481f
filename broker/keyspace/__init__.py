"""The databases: values by key, deadlines, the one way to change a key, and what a change leaves behind."""
