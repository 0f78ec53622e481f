"""Flask-Session: sessions of web clients held in the broker, with the times to live that it gives them."""

import datetime

import pytest
import redis

flask = pytest.importorskip("flask")
flask_session = pytest.importorskip("flask_session")


def application(connection: redis.Redis, **config: object) -> "flask.Flask":
    app = flask.Flask("shop")
    app.config.update(SECRET_KEY="x", SESSION_TYPE="redis", SESSION_REDIS=connection, **config)
    flask_session.Session(app)

    @app.post("/basket/<item>")
    def put(item: str) -> str:
        flask.session.permanent = True
        flask.session["basket"] = [*flask.session.get("basket", []), item]
        return "put"

    @app.get("/basket")
    def show() -> list[str]:
        return flask.session.get("basket", [])

    @app.post("/leave")
    def leave() -> str:
        flask.session.clear()
        return "left"

    return app


@pytest.fixture(params=["msgpack", "json"])
def serialization(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("protocol", [2, 3], ids=["RESP2", "RESP3"])
def test_sessions(port: int, protocol: int, serialization: str) -> None:
    with redis.Redis(port=port, protocol=protocol) as connection:
        lifetime = datetime.timedelta(minutes=5)
        app = application(connection, PERMANENT_SESSION_LIFETIME=lifetime, SESSION_SERIALIZATION_FORMAT=serialization)
        one, other = app.test_client(), app.test_client()
        for item in ("apples", "pears"):
            assert one.post(f"/basket/{item}").status_code == 200
        other.post("/basket/nuts")
        assert one.get("/basket").json == ["apples", "pears"]
        assert other.get("/basket").json == ["nuts"]
        keys = list(connection.scan_iter("session:*"))
        assert len(keys) == 2
        assert all(290 <= connection.ttl(key) <= 300 for key in keys)
        # a session that the broker has lost begins again
        connection.delete(*keys)
        assert one.get("/basket").json == []
        one.post("/basket/figs")
        one.post("/leave")
        assert connection.dbsize() == 0
        assert one.get("/basket").json == []
