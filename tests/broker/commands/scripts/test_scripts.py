"""EVAL, EVALSHA and SCRIPT as a client sees them; what scripts do is told by the oracle's tests."""

from tests.broker.sessions import make_broker, make_session, run

ONE = b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"


def test_eval_and_evalsha() -> None:
    session = make_session(make_broker())
    assert run(session, [b"EVALSHA", ONE, b"0"]).startswith(b"-NOSCRIPT")
    assert (
        run(session, "EVAL 'return 1' 0", [b"EVALSHA", ONE.upper(), b"0"], [b"EVALSHA_RO", ONE, b"0"]) == b":1\r\n" * 3
    )
    assert run(session, "EVALSHA short 0") == b"-NOSCRIPT No matching script. Please use EVAL.\r\n"


def test_the_number_of_keys() -> None:
    session = make_session(make_broker())
    assert run(session, "EVAL 'return #KEYS' 2 a b c") == b":2\r\n"
    assert run(session, "EVAL 'return 1' 2 a") == b"-ERR Number of keys can't be greater than number of args\r\n"
    assert run(session, "EVAL 'return 1' -1") == b"-ERR Number of keys can't be negative\r\n"
    assert run(session, "EVAL 'return 1' x") == b"-ERR value is not an integer or out of range\r\n"


def test_script_subcommands() -> None:
    session = make_session(make_broker())
    assert run(session, "SCRIPT LOAD 'return 1'") == b"$40\r\n" + ONE + b"\r\n"
    assert run(session, [b"SCRIPT", b"SHOW", ONE]) == b"$8\r\nreturn 1\r\n"
    assert run(session, "SCRIPT SHOW x").startswith(b"-NOSCRIPT")
    assert run(session, [b"SCRIPT", b"EXISTS", ONE, b"x"]) == b"*2\r\n:1\r\n:0\r\n"
    assert run(session, "SCRIPT FLUSH SYNC", [b"SCRIPT", b"EXISTS", ONE]) == b"+OK\r\n*1\r\n:0\r\n"
    assert run(session, "SCRIPT FLUSH NOW") == b"-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"
    assert run(session, "SCRIPT KILL") == b"-NOTBUSY No scripts in execution right now.\r\n"
    assert run(session, "SCRIPT DEBUG NO") == b"+OK\r\n"
    assert run(session, "SCRIPT DEBUG YES") == b"+OK\r\n"
    assert run(session, "PING", "SCRIPT DEBUG YES").startswith(
        b"+PONG\r\n-ERR SCRIPT DEBUG must be called outside a pipeline"
    )
    assert run(session, "SCRIPT DEBUG NO") == b"+OK\r\n"
    assert run(session, "EVAL 'return 1' 0") == b":1\r\n"
    assert b"SHOW <sha1>" in run(session, "SCRIPT HELP")


def test_a_script_is_found_by_its_shas_letters_in_either_case() -> None:
    session = make_session(make_broker())
    run(session, "SCRIPT LOAD 'return 1'")
    assert run(session, [b"SCRIPT", b"EXISTS", ONE.upper()]) == b"*1\r\n:1\r\n"
