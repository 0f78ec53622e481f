"""What the comparisons of CLIENT TRACKING have in common."""

import re

from tests.oracle.harness import AnyCommand, Client, Each, Masked, Pair


def ids(reply: bytes) -> bytes:
    """A mask for the IDs of the clients that messages are redirected to."""
    return re.sub(rb"(redir-broken\r\n|redirect\r\n):[1-9]\d*", rb"\1:<id>", reply)


def redirected(to: Client, options: str = "") -> Each:
    """CLIENT TRACKING on, with another client as the receiver."""
    theirs, ours = to.ids
    return Each(f"CLIENT TRACKING on REDIRECT {theirs} {options}", f"CLIENT TRACKING on REDIRECT {ours} {options}")


def totals(client: Client) -> None:
    """Compare what INFO says about tracking."""

    def chosen(reply: bytes) -> bytes:
        return b" ".join(re.findall(rb"tracking_\w+:\d+", reply))

    client.do(Masked("INFO clients stats", chosen))


def states(client: Client) -> None:
    """Compare what the client is told of its own tracking."""
    client.do(Masked("CLIENT TRACKINGINFO", ids))

    def chosen(line: bytes) -> bytes:
        return re.sub(rb"redir=[1-9]\d*", b"redir=<id>", b" ".join(re.findall(rb"flags=\w+|redir=\S+", line)))

    client.do(Masked("CLIENT INFO", chosen))


def tell(p: Pair, *commands: AnyCommand) -> None:
    """Have a client that tracks nothing execute commands."""
    other = p.client()
    for command in commands:
        other.do(command)
    other.close()
