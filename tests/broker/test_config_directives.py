"""The table of directives."""

from broker.config import Config
from broker.config.directives import BY_NAME, FORGOTTEN, TABLE


def test_names_are_attributes_with_dashes() -> None:
    config = Config()
    for name, directive in TABLE.items():
        assert name == directive.attribute.replace("_", "-")
        assert hasattr(config, directive.attribute)


def test_aliases_name_other_directives() -> None:
    for name, directive in BY_NAME.items():
        assert name in (directive.name, directive.alias)
    assert BY_NAME["slave-read-only"] is BY_NAME["replica-read-only"]
    assert len(BY_NAME) == len(TABLE) + sum(1 for directive in TABLE.values() if directive.alias)


def test_forgotten_directives_are_not_in_the_table() -> None:
    assert not FORGOTTEN & set(BY_NAME)


def test_every_default_reads_back_from_its_own_text() -> None:
    for name, directive in TABLE.items():
        text = directive.text(directive.default)
        if name in ("dir", "replicaof"):
            continue
        words = text.split() if directive.several else [text]
        words = words or [b""]
        assert directive.parse(words, directive.default) == directive.default, name
