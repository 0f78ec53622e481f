"""redis.conf files and the command line."""

import io
from pathlib import Path

import pytest

from broker.config import Config, ConfigFileError, load
from broker.config.syntaxes import SavePoint


def read(*arguments: str, stdin: bytes = b"") -> Config:
    config = Config()
    load(config, [argument.encode() for argument in arguments], io.BytesIO(stdin))
    return config


def read_file(folder: Path, text: str, *arguments: str) -> Config:
    path = folder / "redis.conf"
    path.write_text(text)
    return read(str(path), *arguments)


def refused(*arguments: str, stdin: bytes = b"") -> str:
    with pytest.raises(ConfigFileError) as caught:
        read(*arguments, stdin=stdin)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_arguments_are_the_defaults() -> None:
    config = read()
    assert config.port == 6379
    assert config.file is None
    assert config.save == (SavePoint(3600, 1), SavePoint(300, 100), SavePoint(60, 10000))


def test_a_file(tmp_path: Path) -> None:
    config = read_file(
        tmp_path,
        "# a comment\n\n   PORT 7000\r\nrequirepass \"a b\\x41\"\nlogfile ''\nmaxmemory 1gb\n"
        "save 60 1\nsave 30 2 20 3\n",
    )
    assert config.port == 7000
    assert config.requirepass == b"a bA"
    assert config.maxmemory == 1024**3
    assert config.save == (SavePoint(60, 1), SavePoint(30, 2), SavePoint(20, 3))
    assert config.file == str(tmp_path / "redis.conf")


def test_arguments_win_over_the_file(tmp_path: Path) -> None:
    config = read_file(tmp_path, "port 7000\nappendonly no\n", "--port", "7001", "--appendonly", "yes")
    assert config.port == 7001
    assert config.appendonly is True


def test_stdin_stands_between_file_and_arguments(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text("port 1\ntimeout 1\nhz 1\n")
    config = read(str(path), "--hz", "3", "-", stdin=b"timeout 2\nhz 2\n")
    assert (config.port, config.timeout, config.hz) == (1, 2, 3)
    assert read("-", "--port", "9", stdin=b"port 8\n").port == 9


@pytest.mark.parametrize(
    ("arguments", "points"),
    [
        (["--save", ""], ()),
        (["--save"], ()),
        (["--save", "--port", "1"], ()),
        (["--save", "3600", "1", "300", "10"], ((3600, 1), (300, 10))),
        (["--save", "3600 1 300 10"], ((3600, 1), (300, 10))),
        (["--save 3600 1", "--save 60 2"], ((3600, 1), (60, 2))),
    ],
)
def test_save_as_an_argument(arguments: list[str], points: tuple[tuple[int, int], ...]) -> None:
    assert read(*arguments).save == points


def test_a_value_may_look_like_an_option() -> None:
    config = read("--requirepass", "--secret", "--port", "7000")
    assert config.requirepass == b"--secret"
    assert config.port == 7000


def test_name_and_value_in_one_argument() -> None:
    assert read("--port 7000", "--timeout 5").timeout == 5


def test_an_argument_can_not_start_another_line() -> None:
    assert read("--requirepass", "a\nport 1").port == 6379


def test_include_with_a_pattern_and_order(tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "1.conf").write_text("port 1\ntimeout 1\n")
    (folder / "2.conf").write_text("port 2\n")
    config = read_file(tmp_path, f"port 3\ninclude {folder}/*.conf\ninclude {folder}/*.none\ntimeout 9\n")
    assert (config.port, config.timeout) == (2, 9)


def test_a_relative_include_counts_from_dir(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("port 5\n")
    assert read_file(tmp_path, f"dir {tmp_path}\ninclude more.conf\n").port == 5


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text(f"include {path}\n")
    assert "include nested too deeply" in refused(str(path))


def test_lines_that_are_no_directives(tmp_path: Path) -> None:
    config = read_file(
        tmp_path,
        'rename-command CONFIG ""\nrename-command GET FETCH\nio-threads-do-reads yes\n',
    )
    assert config.renamed_commands == [(b"CONFIG", b""), (b"GET", b"FETCH")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("port\n", ":1: 'port': wrong number of arguments"),
        ("port 1 2\n", ":1: 'port 1 2': wrong number of arguments"),
        ("\n\nport x\n", ":3: 'port x': argument couldn't be parsed into an integer"),
        ('port "1\n', ":1: 'port \"1': Unbalanced quotes in configuration line"),
        ("nonsense yes\n", ":1: 'nonsense yes': Bad directive or wrong number of arguments"),
        ("maxmemry 5mb\n", ":1: 'maxmemry 5mb': Bad directive or wrong number of arguments; did you mean maxmemory?"),
        ("nonsense\n", ":1: 'nonsense': Bad directive or wrong number of arguments"),
        ("loadmodule x.so\n", ":1: 'loadmodule x.so': modules can't be loaded: this is not redis-server"),
        ("sentinel\n", ":1: 'sentinel': sentinel mode is not supported"),
        ("sentinel monitor a\n", ":1: 'sentinel monitor a': sentinel mode is not supported"),
        ("rename-command GET\n", ":1: 'rename-command GET': Bad directive or wrong number of arguments"),
        ("port \x1b[2J\n", ":1: 'port \\x1b[2J': argument couldn't be parsed into an integer"),
        ("cluster-enabled yes\n", "cluster-enabled: cluster mode is not supported"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigFileError) as caught:
        read_file(tmp_path, text)
    assert str(caught.value).startswith("*** FATAL CONFIG FILE ERROR *** ")
    assert str(caught.value).endswith(reason)
    assert "\n" not in str(caught.value)


def test_mistakes_elsewhere(tmp_path: Path) -> None:
    assert refused("--port", "x").endswith("command line: 'port \"x\"': argument couldn't be parsed into an integer")
    assert refused("-", stdin=b"\nport x").endswith(
        "standard input:2: 'port x': argument couldn't be parsed into an integer"
    )
    assert refused(str(tmp_path / "none")).endswith("none: can't open config file: No such file or directory")
    assert refused("--logfile", str(tmp_path)).endswith("Can't open the log file: Is a directory")
    assert refused("word").endswith("can't open config file: No such file or directory")
    assert refused("-x").endswith("Bad directive or wrong number of arguments")
