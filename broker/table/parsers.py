"""Parsers of options, generated from the declared syntax of a command.

    _OPTIONS: Final = Parser[tuple[int, int | None, int]]("LPOS", defaults={"RANK": 1, "MAXLEN": 0})
    rank, count, maxlen = _OPTIONS.parse(args, 3)

The line that COMMAND DOCS prints (`syntax=`, broker/table/syntax.py) is the only grammar. From its optional parts,
`Parser` generates a specialised Python function that reads those options in any order and any case, and compiles it on
the first use of `parse`: a loop over the arguments, one dict lookup per token, results in local variables. SET's parser
takes 0.3 us, where a loop over a table of options takes 1.6 us. Compiling all parsers at import would delay every start
by 20 ms, though most are never used; instead, the first use of an option takes 0.5 ms longer (and once 2 ms, for the
reader of syntax lines). A test compiles all parsers and compares the number of values they return with their types.

`parse(args, at)` returns a tuple to unpack, in the order of the syntax line:

- for a bare token: whether it was given
- for a token with values: each value, or None (or its default) if not given; a converter of several values returns one
- for alternatives that are bare tokens: the token given, in capitals, or b""
- for alternatives some of which have values: the token given, and its value (each b"" if there is none, or the default
  that is declared by the name of the alternatives)
- for a token that may be repeated: the list of its values
- for a token with a number of arguments: the list of those arguments

Values are converted on the spot, left to right, as in Redis, so the first of several errors is reported. By default, an
argument of type integer or unix-time becomes an int and one of type double a float; others stay bytes. Whatever differs
from command to command in Redis is not part of the syntax, but declared in addition to it:

- `values`: a token's converter, which is passed the token's arguments and raises CommandError; `bytes` leaves an
  argument as it is, so that its errors can be raised after those of all other options
- `context`: tokens whose converter is also passed the third argument of `parse`; without a converter, the token is
  followed by that many arguments (WEIGHTS)
- `error`: the error for anything that is not an option or lacks values, or a function that makes it from the arguments
  and the position of the token
- `refused`: tokens of related commands, with the names of their values, and the specific error they get here
- `last`: alternatives of which the last one wins; all others are mutually exclusive
- `free`: alternatives that may be combined; the result says whether each was given
- `once`: tokens, or alternatives, that may not be repeated, and the error
- `together`: tokens that are alternatives in Redis's code but not in its documentation, by the group's name
- `collect`: tokens of which earlier occurrences count, too; the result is a list of the values
- `also`: the syntax of options that Redis reads but does not document
- `required`: arguments that must be given, but may come anywhere among the options
- `leading`: the options precede other arguments; parsing stops at the first non-option, and the result begins with its
  position

Write a loop by hand where an option's error depends on the value of another, or where the order of tokens is a program
(BITFIELD).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import takewhile
from typing import Any, Final, Generic, NamedTuple, TypeVar

from broker.table.command import DECLARED
from broker.table.syntax import BLOCK, ONE_OF, TOKEN, Argument, arguments_of
from protocol.errors import NOT_FLOAT, NOT_INTEGER, SYNTAX, CommandError
from protocol.numbers import parse_double, parse_integer

_CONSECUTIVE: Final = 4

T = TypeVar("T", bound=tuple[Any, ...])

Refusal = Callable[[list[bytes], int], CommandError]

_NUMBERS: Final = {
    "integer": ("parse_integer", "NOT_INTEGER"),
    "unix-time": ("parse_integer", "NOT_INTEGER"),
    "double": ("parse_double", "NOT_FLOAT"),
}
"""The types converted by default: the parser, which returns None for an error, and the error."""

_GLOBALS: Final = {
    "CommandError": CommandError,
    "NOT_FLOAT": NOT_FLOAT,
    "NOT_INTEGER": NOT_INTEGER,
    "SYNTAX": SYNTAX,
    "parse_double": parse_double,
    "parse_integer": parse_integer,
}


class Parser(Generic[T]):
    """The options of a declared command; see the module. The first use raises ValueError if the syntax lacks a name."""

    def __init__(
        self,
        command: str,
        *,
        values: Mapping[str, Callable[..., object]] | None = None,
        context: Collection[str] = (),
        defaults: Mapping[str, object] | None = None,
        error: bytes | Refusal = SYNTAX,
        refused: Mapping[str, bytes] | None = None,
        last: Collection[str] = (),
        free: Collection[str] = (),
        once: Mapping[str, bytes] | None = None,
        together: Mapping[str, Collection[str]] | None = None,
        required: Collection[str] = (),
        collect: Collection[str] = (),
        also: str = "",
        leading: bool = False,
    ) -> None:
        self.command = command
        self.values = values or {}
        self.context = context
        self.defaults = defaults or {}
        self.error = error
        self.refused = refused or {}
        self.last = last
        self.free = free
        self.once = once or {}
        self.together = together or {}
        self.required = required
        self.collect = collect
        self.also = also
        self.leading = leading

    @cached_property
    def parse(self) -> Callable[..., T]:
        """Parses `(args, at)` or `(args, at, context)` into the options from `args[at]` on; raises CommandError."""
        writer = _Writer(self)
        code = compile(writer.source(), f"<options of {self.command}>", "exec")
        exec(code, writer.globals)
        made: Callable[..., T] = writer.globals["parse"]
        return made

    @property
    def source(self) -> str:
        """The source of the generated function, for people."""
        return _Writer(self).source()


class _Option(NamedTuple):
    """A token with the arguments that follow it; `repeated` if all its occurrences count."""

    token: str
    operands: tuple[Argument, ...]
    repeated: bool


class _Group(NamedTuple):
    """Alternative options; a single one if there is no alternative."""

    name: str
    options: tuple[_Option, ...]
    exclusive: bool = True


def _options_of(argument: Argument) -> Iterator[tuple[str, list[_Option]]]:
    """Yields the options in an optional argument, alternatives together; nothing for one without a token."""
    if argument.token:
        yield argument.name, [_option(argument)]
    elif argument.type == ONE_OF:
        choices = [list(_options_of(choice)) for choice in argument.arguments]
        if argument.multiple or any(len(choice) != 1 for choice in choices):
            for choice in choices:
                yield from choice
        else:
            yield argument.name, [option for [(_, options)] in choices for option in options]
    elif argument.type == BLOCK:
        first, *others = argument.arguments
        own = list(takewhile(lambda other: not (other.optional or other.token), others)) if first.token else []
        if first.token:
            option = _option(first)
            yield argument.name, [option._replace(operands=(*option.operands, *own))]
        for other in others[len(own) :]:
            yield from _options_of(other)


def _option(argument: Argument) -> _Option:
    if argument.type == TOKEN:
        operands: tuple[Argument, ...] = ()
    else:
        operands = argument.arguments if argument.type == BLOCK else (argument,)
    return _Option(argument.token, operands, argument.repeats_token)


class _Writer:
    """Generates one parser; `globals` are the globals of its function."""

    def __init__(self, parser: Parser[Any]) -> None:
        self._parser = parser
        self.globals: dict[str, Any] = {**_GLOBALS}
        self._names: set[str] = set()
        self._arguments = arguments_of(f"{DECLARED[parser.command.lower().encode()].syntax} {parser.also}")
        self._groups = self._grouped()
        self._check_names()

    def _grouped(self) -> list[_Group]:
        """The command's options, grouped as declared."""
        parser = self._parser
        found: list[_Group] = []
        partners = {token: name for name, tokens in parser.together.items() for token in tokens}
        for argument in filter(self._among_options, self._arguments):
            for name, found_options in _options_of(argument):
                options = [
                    option._replace(repeated=option.repeated or option.token in parser.collect)
                    for option in found_options
                ]
                own = partners.get(options[0].token, name)
                if name in parser.free:
                    found += [_Group(option.token.lower(), (option,)) for option in options]
                elif found and own in [group.name for group in found] and own in parser.together:
                    at = [group.name for group in found].index(own)
                    found[at] = found[at]._replace(options=(*found[at].options, *options))
                else:
                    found.append(_Group(own, tuple(options), own not in parser.last))
        return found

    def _among_options(self, argument: Argument) -> bool:
        return argument.optional or argument.name in self._parser.required

    def _tokens_behind(self) -> list[str]:
        return [other.token for other in self._arguments if other.token and not self._among_options(other)]

    def _check_names(self) -> None:
        """Raise ValueError for names in the declaration that the syntax does not have."""
        parser = self._parser
        tokens = {option.token for group in self._groups for option in group.options}
        names = {group.name for group in self._groups}
        declared = {argument.name for argument in self._arguments}
        unknown = {*parser.values, *parser.context, *parser.collect} - tokens
        unknown |= {token for group in parser.together.values() for token in group} - tokens
        unknown |= {*parser.once, *parser.defaults} - tokens - names
        unknown |= {*parser.last, *parser.together} - names
        unknown |= {*parser.free, *parser.required} - declared
        if unknown:
            raise ValueError(f"the syntax of {parser.command} has no {', '.join(sorted(unknown))}")

    def source(self) -> str:
        """The source of the function."""
        slots: list[str] = ["at"] if self._parser.leading else []
        branches: list[tuple[str, list[str]]] = []
        head: list[str] = []
        for group in self._groups:
            if len(group.options) > 1:
                self._write_alternatives(group, slots, head, branches)
            else:
                self._write_single(group, slots, head, branches)
        for words, error in self._parser.refused.items():
            token, *operands = words.split()
            check = self._missing(len(operands)) if operands else []
            branches.append((token, [*check, f"raise CommandError({error!r})"]))
        otherwise = [self._raise_error()]
        if self._parser.leading:
            otherwise = ["break"]
            # Tokens that end the options; listed here, they are found without trying them in upper case.
            branches += [(token, ["break"]) for token in self._tokens_behind()]
        numbers = {}
        for number, (token, _) in enumerate(branches, 1):
            numbers[token.encode()] = numbers[token.lower().encode()] = number
        self.globals["find"] = numbers.get
        lines = [
            "def parse(args, at, context=None):",
            *_indented(head, 1),
            "    end = len(args)",
            "    while at < end:",
        ]
        lines += ["        word = args[at]", "        which = find(word) or find(word.upper(), 0)"]
        lines += _indented(_choose([body for _, body in branches], otherwise), 2)
        return "\n".join([*lines, f"    return {', '.join(slots)}{',' if len(slots) == 1 else ''}"]) + "\n"

    def _write_single(
        self, group: _Group, slots: list[str], head: list[str], branches: list[tuple[str, list[str]]]
    ) -> None:
        """Generate an option without alternatives."""
        [option] = group.options
        parser = self._parser
        names, body, step = self._read(option, [self._name(name) for name in self._slot_names(option)])
        once = self._once(option.token, group.name)
        seen = []
        if once:
            given = names[0] if not option.operands else self._name("given-" + option.token)
            if option.operands:
                head.append(f"{given} = False")
                seen = [f"{given} = True"]
            once = [f"if {given}:", f"    {once[0]}"]
        default = parser.defaults.get(option.token, None if option.operands else False)
        values = default if isinstance(default, tuple) and len(names) > 1 else (default,) * len(names)
        for name, value in zip(names, values, strict=True):
            head.append(f"{name} = {'[]' if option.repeated else self._constant(name, value)}")
        if not option.operands:
            body = [f"{names[0]} = True"]
        check = self._missing_of(option)
        branches.append((option.token, [*check, *once, *seen, *body, *step]))
        slots += names

    def _write_alternatives(
        self, group: _Group, slots: list[str], head: list[str], branches: list[tuple[str, list[str]]]
    ) -> None:
        """Generate options that share one result: the token, and the value if any of them has one."""
        chosen = self._name(group.name)
        slots.append(chosen)
        head.append(f"{chosen} = b''")
        value = no_value = ""
        if any(option.operands for option in group.options):
            value = self._name(group.name + "-value")
            slots.append(value)
            no_value = f"{value} = {self._constant(value, self._parser.defaults.get(group.name, b''))}"
            head.append(no_value)
        for option in group.options:
            token = option.token.encode()
            once = self._once(option.token, group.name)
            body = self._missing_of(option)
            if once:
                body += [f"if {chosen}:", f"    {once[0]}"]
            elif group.exclusive:
                body += [f"if {chosen} and {chosen} != {token!r}:", f"    {self._raise_error()}"]
            _, reading, step = self._read(option, [value])
            if not option.operands and value and not group.exclusive:
                reading = [no_value]
            body += [f"{chosen} = {token!r}", *reading, *step]
            branches.append((option.token, body))

    def _slot_names(self, option: _Option) -> list[str]:
        """The results of an option: one value per argument, unless a converter combines them into one."""
        operands = option.operands
        if len(operands) < 2 or option.token in self._parser.values or operands[-1].multiple:
            return [option.token]
        return [operand.name for operand in operands]

    def _read(self, option: _Option, names: list[str]) -> tuple[list[str], list[str], list[str]]:
        """The variables for an option's values, the lines that convert them, and those that advance past it."""
        operands, token = option.operands, option.token
        if operands and operands[-1].multiple and not option.repeated:
            return names, *self._read_counted(option, names[0])
        convert = self._parser.values.get(token)
        step = [f"at += {1 + len(operands)}"]
        texts = [f"args[at + {i + 1}]" for i in range(len(operands))]
        if convert is not None and convert is not bytes:
            called = self._global("convert", token, convert)
            more = ", context" if token in self._parser.context else ""
            return names, self._stored(option, names[0], f"{called}({', '.join(texts)}{more})"), step
        lines: list[str] = []
        if len(names) == 1 and len(texts) > 1:  # alternatives share one value
            raise ValueError(f"{self._parser.command}: {token} has several values and no converter")
        for name, text, operand in zip(names, texts, operands, strict=False):
            lines += self._converted(option, name, text, operand, raw=convert is bytes)
        return names, lines, step

    def _converted(self, option: _Option, name: str, text: str, operand: Argument, *, raw: bool) -> list[str]:
        """The lines that store an argument in a variable, converted by its declared type."""
        if raw:
            return self._stored(option, name, text)
        if operand.type == ONE_OF:
            choices = self._global("choices", option.token, frozenset(c.token.encode() for c in operand.arguments))
            return [f"{name} = {text}.upper()", f"if {name} not in {choices}:", f"    {self._raise_error()}"]
        if operand.type not in _NUMBERS:
            return self._stored(option, name, text)
        parse, error = _NUMBERS[operand.type]
        return [
            f"value = {parse}({text})",
            "if value is None:",
            f"    raise CommandError({error})",
            *self._stored(option, name, "value"),
        ]

    def _stored(self, option: _Option, name: str, value: str) -> list[str]:
        return [f"{name}.append({value})"] if option.repeated else [f"{name} = {value}"]

    def _read_counted(self, option: _Option, name: str) -> tuple[list[str], list[str]]:
        """Generate a token with a list of arguments, whose length is the context or precedes it."""
        parser, token = self._parser, option.token
        if token in parser.context:
            lines = ["if context >= end - at:", f"    {self._raise_error()}"]
            taken = "args[at + 1 : at + 1 + context]"
            convert = parser.values.get(token)
            if convert is not None and convert is not bytes:
                taken = f"[{self._global('convert', token, convert)}(text) for text in {taken}]"
            return [*lines, f"{name} = {taken}"], ["at += 1 + context"]
        # The converter is passed the text of the number, and the number of arguments that follow it.
        called = self._global("convert", token, parser.values[token])
        lines = [f"count = {called}(args[at + 1], end - at - 2)", f"{name} = args[at + 2 : at + 2 + count]"]
        return lines, ["at += 2 + count"]

    def _missing_of(self, option: _Option) -> list[str]:
        """The check that an option's values are present."""
        if not option.operands:
            return []
        counted = option.operands[-1].multiple and not option.repeated
        if not counted:
            return self._missing(len(option.operands))
        return [] if option.token in self._parser.context else self._missing(1)

    def _missing(self, count: int) -> list[str]:
        behind = "at + 1" if count == 1 else f"at + {count}"
        return [f"if {behind} >= end:", f"    {self._raise_error()}"]

    def _once(self, token: str, group: str) -> list[str]:
        error = self._parser.once.get(token) or self._parser.once.get(group)
        return [f"raise CommandError({error!r})"] if error else []

    def _raise_error(self) -> str:
        error = self._parser.error
        if error == SYNTAX:
            return "raise CommandError(SYNTAX)"
        if isinstance(error, bytes):
            return f"raise CommandError({error!r})"
        self.globals["error_at"] = error
        return "raise error_at(args, at)"

    def _name(self, name: str) -> str:
        """Returns a variable named after `name` that clashes with no keyword and no other variable."""
        plain = "".join(c if c.isalnum() else "_" for c in name.lower()) + "_"
        while plain in self._names:
            plain += "_"
        self._names.add(plain)
        return plain

    def _constant(self, name: str, value: object) -> str:
        if value is None or isinstance(value, int | bytes):
            return repr(value)
        return self._global("default", name, value)

    def _global(self, kind: str, token: str, value: object) -> str:
        name = f"{kind}_{''.join(c if c.isalnum() else '_' for c in token.lower())}"
        self.globals[name] = value
        return name


def _choose(bodies: list[list[str]], otherwise: list[str] | None, first: int = 1) -> list[str]:
    """Generate code that runs the body whose number is `which`: binary search, then a few consecutive comparisons.

    `otherwise` is the body for 0, which is no option's number; None on branches that can't see a 0.
    """
    if len(bodies) > _CONSECUTIVE:
        middle = len(bodies) // 2
        return [
            f"if which >= {first + middle}:",
            *_indented(_choose(bodies[middle:], None, first + middle), 1),
            "else:",
            *_indented(_choose(bodies[:middle], otherwise, first), 1),
        ]
    ways = [(f"which == {number}", body) for number, body in enumerate(bodies, first)]
    *tested, (_, rest) = ways if otherwise is None else [*ways, ("", otherwise)]
    if not tested:
        return rest
    lines: list[str] = []
    for test, body in tested:
        lines += [f"{'elif' if lines else 'if'} {test}:", *_indented(body, 1)]
    return [*lines, "else:", *_indented(rest, 1)]


def _indented(lines: Iterable[str], levels: int) -> list[str]:
    return [f"{'    ' * levels}{line}" for line in lines]
