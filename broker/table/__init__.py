"""The command table: what a command declares (@command), its grammar, its keys, and the arguments that all share."""
