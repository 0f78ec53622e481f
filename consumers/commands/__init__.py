"""The client side's subcommands of `trimaran`: one module each, with `main(words) -> exit status`.

They are found as entry points of the group `trimaran.commands` (pyproject.toml), so a new one takes a module here and a
line there. running.py has what they share: options, signals, exit statuses, output.
"""
