"""The broker's configuration, from redis.conf and the command line to CONFIG SET.

kinds.py       kinds of directives: text forms, bounds and error texts
syntaxes.py    directives with a syntax of their own
directives.py  every directive, declared once
live.py        Config: the values, CONFIG GET, CONFIG SET and change listeners
reading.py     redis.conf syntax and redis-server's command line
rewriting.py   CONFIG REWRITE
valkey.py      what Valkey 9 has and Redis does not
page.py        docs/configuration.md

Redis's own names, defaults and error texts are kept so that a redis.conf file works unchanged.
"""

from broker.config.live import Config
from broker.config.reading import ConfigFileError, load
from broker.config.rewriting import rewrite

__all__ = ["Config", "ConfigFileError", "load", "rewrite"]
