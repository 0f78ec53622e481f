"""INFO commandstats and latencystats: their lines; what is counted is tests/broker/execution's."""

from tests.broker.sessions import StoppedClock, make_broker, make_session, run


def test_percentiles() -> None:
    broker = make_broker(StoppedClock())
    session = make_session(broker)
    run(session, "GET a")
    assert b"\r\nlatency_percentiles_usec_get:p50=0.001,p99=0.001,p99.9=0.001\r\n" in run(session, "INFO latencystats")
    broker.config.set([(b"latency-tracking-info-percentiles", b"12.5 100")])
    assert b"\r\nlatency_percentiles_usec_get:p12.5=0.001,p100=0.001\r\n" in run(session, "INFO latencystats")
    broker.config.set([(b"latency-tracking", b"no")])
    assert run(session, "INFO latencystats").endswith(b"# Latencystats\r\n\r\n")


def test_counts() -> None:
    clock = StoppedClock()
    broker = make_broker(clock, slowlog_log_slower_than=-1)
    session = make_session(broker)
    run(session, "GET a")
    run(session, "GET")
    run(session, "LPUSH l a")
    run(session, "GET l")
    broker.commands.by_name[b"get"].seconds = 0.00025
    lines = run(session, "INFO commandstats")
    assert b"\r\ncmdstat_get:calls=2,usec=250,usec_per_call=125.00,rejected_calls=1,failed_calls=1\r\n" in lines
    assert b"cmdstat_set" not in lines
