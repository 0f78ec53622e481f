"""Commands about the broker itself: INFO, LOLWUT, ROLE, TIME."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.server.info_sections import info_text
from broker.table.arguments import integer
from broker.table.command import FAST, LOADING, READONLY, STALE, command
from broker.version import REDIS_VERSION, VERSION
from protocol.replies import bulks

TRIMARAN: Final = r"""
                    /|
                   / |
                  /  |\
                 /   | \
                /    |  \
               /_____|___\
      ___            |            ___
   __/___\___________|___________/___\__
     \___/        \_____/        \___/
  ~~~  ~~~~~~  ~~~~~~~~~~~  ~~~~~~~  ~~~~
"""

# The versions for which Redis has a drawing, and how many integers each takes as its size; ours has one size.
_SIZES_OF_DRAWINGS: Final = {5: 3, 6: 2, 8: 0}


@command("INFO", arity=-1, flags=LOADING | STALE, group="server", since="1.0.0",
         syntax="[section ...]",
         summary="Returns information and statistics about the broker.", complexity="O(1)", categories=("dangerous",),
         tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"))  # fmt: skip
def info(session: Client, args: list[bytes]) -> bytes:
    session.last_active = session.broker.clock.now  # the client that asks is an active one
    names = [argument.decode(errors="replace") for argument in args[1:]]
    return session.resp.verbatim(info_text(session.broker, names))


@command("TIME", arity=1, flags=LOADING | STALE | FAST, group="server", since="2.6.0",
         summary="Returns the broker's time: seconds and microseconds.", complexity="O(1)",
         tips=("nondeterministic_output",))  # fmt: skip
def time(session: Client, args: list[bytes]) -> bytes:
    run = session.broker.scripting.interruption.current
    now = session.broker.clock.microseconds() if run is None else run.microseconds()
    seconds = now // 1_000_000
    return bulks([b"%d" % seconds, b"%d" % (now - seconds * 1_000_000)])


@command("LOLWUT", arity=-1, flags=READONLY | FAST, group="server", since="5.0.0",
         syntax="[VERSION version]", summary="Draws a ship and returns the version.", complexity="")  # fmt: skip
def lolwut(session: Client, args: list[bytes]) -> bytes:
    text = f"{TRIMARAN}\nTrimaran {VERSION}. Redis ver. {REDIS_VERSION}\n"
    if len(args) >= 3 and args[1].upper() == b"VERSION":
        version = integer(args[2]) & 0xFFFFFFFF
        sizes = _SIZES_OF_DRAWINGS.get(version)
        if sizes is None:
            text = f"Redis ver. {REDIS_VERSION}\n"
        else:
            for argument in args[3 : 3 + sizes]:
                integer(argument)
    return session.resp.verbatim(text.encode())
