"""Tokens at the gateway."""

import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agent.demo import backing
from agent.model.catalog import Service
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.pki import Issuer, coded, key_set
from tests.integration.proxy_plan.raw import request, send
from tests.integration.proxy_plan.rig import Door, catalog, echo, instance
from tests.waiting import until

ISSUER = "https://login.example"


def over(keys: str = "", **more: Any) -> dict[str, Any]:
    """Settings of a gateway that wants tokens."""
    jwt = {"issuer": ISSUER, "audiences": ["shop"], **({"jwks": keys} if keys else {}), **more}
    return {"gateway": {"jwt": jwt}}


async def ask(http: aiohttp.ClientSession, url: str, token: str = "", **headers: str) -> tuple[int, Any]:
    """Status and document."""
    given = {**({"Authorization": f"Bearer {token}"} if token else {}), **headers}
    async with http.get(url, headers=given) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.mark.parametrize("kind", ["RS256", "ES256"])
async def test_only_a_good_token_passes(
    folder: Path, start: Start, http: aiohttp.ClientSession, kind: str
) -> None:
    """Signed by the issuer, for us, and not yet over."""
    issuer, stranger = Issuer(kind), Issuer(kind)
    now = int(time.time())
    reached: list[str] = []
    async with echo("orders", lambda request: reached.append(request.path) or 200) as port:
        door = start(Door(folder, catalog(orders=[instance(port)]), over(key_set(issuer))))
        good = issuer.token()
        head, body, signature = good.split(".")
        other = coded(json.dumps({"iss": ISSUER, "aud": "shop", "sub": "root", "exp": now + 600}).encode())
        none = ".".join([coded(b'{"alg":"none","typ":"JWT"}'), body, ""])
        # A public key is no secret: a check by HMAC with it would take anybody's token.
        told = ".".join([coded(b'{"alg":"HS256","typ":"JWT","kid":"k1"}'), body])
        forged = f"{told}.{coded(hmac.digest(key_set(issuer).encode(), told.encode(), hashlib.sha256))}"
        for bad in (
            "", "x", "a.b.c", good[:-8], f"{head}.{other}.{signature}", none, f"{none}{signature}", forged,
            stranger.token(), issuer.token(exp=now - 120), issuer.token(exp=None), issuer.token(nbf=now + 3600),
            issuer.token(iss="https://evil.example"),
            issuer.token(iss=None), issuer.token({"alg": "HS256"}), issuer.token({"kid": "other"}),
            stranger.token({"jwk": stranger.public}),
        ):  # fmt: skip
            status, got = await ask(http, f"{door.url}/orders/x", bad)
            assert (status, got["status"]) == (401, 401), bad
        for bad in (issuer.token(aud="other"), issuer.token(aud=None), issuer.token(aud=["other"])):
            assert (await ask(http, f"{door.url}/orders/x", bad))[0] == 403  # good, but for somebody else
        assert reached == []
        assert (await ask(http, f"{door.url}/orders/x", good))[0] == 200
        assert (await ask(http, f"{door.url}/orders/x", issuer.token(aud=["a", "shop"])))[0] == 200


async def test_a_refusal_is_a_problem_document_that_says_how(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    door = start(Door(folder, catalog(orders=[instance(1)]), over(key_set(Issuer("ES256")))))
    async with http.get(f"{door.url}/orders/x") as answer:
        assert answer.status == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await answer.json(content_type=None))["detail"] == "Jwt is missing"
    assert (await door.counters("jwt_authn.denied"))["http.gateway.jwt_authn.denied"] == 1


async def test_tokens_count_in_the_authorization_header_only(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A query would stand in every log on the way."""
    issuer = Issuer("ES256")
    async with echo("orders") as port:
        door = start(Door(folder, catalog(orders=[instance(port)]), over(key_set(issuer))))
        token = issuer.token()
        assert (await ask(http, f"{door.url}/orders/x?access_token={token}"))[0] == 401
        assert (await ask(http, f"{door.url}/orders/x", Authorization=token))[0] == 401
        assert (await ask(http, f"{door.url}/orders/x", Cookie=f"access_token={token}"))[0] == 401


async def test_services_learn_claims_that_no_client_can_set(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Neither with a token that lacks the claim, nor at a public path, nor by naming the header in Connection."""
    issuer = Issuer("ES256")
    claims = {"sub": "x-user", "realm.role": "x-role", "email": "x-email"}
    async with echo("orders") as port:
        known = catalog(orders=Service("orders", (instance(port),), ("/orders", "/open")))
        door = start(Door(folder, known, over(key_set(issuer), claims=claims, public=["/open"])))
        lies = {"X-User": "root", "X-Role": "admin", "x-email": "evil@example"}
        token = issuer.token(realm={"role": "buyer"})
        _, got = await ask(http, f"{door.url}/orders/x", token, **lies)
        assert (got["headers"]["x-user"], got["headers"]["x-role"]) == ("u-1", "buyer")
        assert "x-email" not in got["headers"]
        assert sorted(name for name, _ in got["all"] if name.startswith(("x-user", "x-role"))) == [
            "x-role",
            "x-user",
        ]
        status, got = await ask(http, f"{door.url}/open/x", **lies)
        assert status == 200
        assert not got["headers"].keys() & {"x-user", "x-role", "x-email"}
        reply = await send(
            door.address,
            request(
                "/orders/x",
                "Connection: x-user",
                "X-User: root",
                "x_user: root",
                f"Authorization: Bearer {token}",
            ),
        )
        assert [value for name, value in reply.json["all"] if name in ("x-user", "x_user")] == ["u-1"]


async def test_the_token_itself_can_be_kept_from_services(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    issuer = Issuer("ES256")
    async with echo("orders") as port:
        for forward in (True, False):
            given = over(key_set(issuer), forward=forward)
            door = start(Door(folder / str(forward), catalog(orders=[instance(port)]), given))
            _, got = await ask(http, f"{door.url}/orders/x", issuer.token())
            assert ("authorization" in got["headers"]) is forward


async def test_public_paths_need_no_token_and_their_neighbours_do(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """However the path is spelled."""
    async with echo("site") as port:
        known = catalog(site=Service("site", (instance(port),), ("/",)))
        door = start(Door(folder, known, over(key_set(Issuer("ES256")), public=["/health", "/api/versions"])))
        for path in ("/health", "/health/x", "/health?x=1", "/api/versions", "//health", "/a/../health"):
            assert (await send(door.address, request(path))).status == 200, path
        for path in (
            "/", "/healthy", "/HEALTH", "/health/../x", "/health/%2e%2e/x", "/nothing",
            "/health\\..\\x", "/x?/health", "/x#/health", "/x;/health",
        ):  # fmt: skip
            assert (await send(door.address, request(path))).status in (400, 401), path
        assert (await send(door.address, request("/health/..%2fx"))).status == 400


async def test_preflights_need_no_token(folder: Path, start: Start, http: aiohttp.ClientSession) -> None:
    """Browsers send none with them; a page can read why its request was refused."""
    given = over(key_set(Issuer("ES256")))
    given["gateway"]["cors"] = [{"origins": ["https://shop.example"]}]
    async with echo("orders") as port:
        door = start(Door(folder, catalog(orders=[instance(port)]), given))
        headers = {"Origin": "https://shop.example", "Access-Control-Request-Method": "PUT"}
        async with http.options(f"{door.url}/orders/x", headers=headers) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (
                200,
                "https://shop.example",
            )
        async with http.get(f"{door.url}/orders/x", headers=headers) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (
                401,
                "https://shop.example",
            )


async def test_fetched_keys_rotate(folder: Path, start: Start, http: aiohttp.ClientSession) -> None:
    """The new key counts when the keys were fetched again; while the issuer is away the known ones do."""
    old, new = Issuer("RS256", "k1"), Issuer("ES256", "k2")
    published = [key_set(old)]
    fetched: list[str] = []
    former = old.token()  # the very same all the time: none is remembered beyond its key

    def keys(request: web.Request) -> web.Response:
        fetched.append(request.path)
        return web.Response(text=published[0], status=200 if published[0] else 503)

    async with echo("orders") as port, echo("login", keys) as login:
        url = f"http://127.0.0.1:{login}/keys.json"
        door = start(Door(folder, catalog(orders=[instance(port)]), over(jwks_url=url, jwks_cache=1)))
        await until(lambda: fetched)
        await until(lambda: answered(http, door, former, 200), within=60)
        assert await answered(http, door, new.token(), 401)
        published[0] = key_set(old, new)
        await until(lambda: answered(http, door, new.token(), 200), within=60)
        assert await answered(http, door, former, 200)
        published[0] = ""
        seen = len(fetched)
        await until(lambda: len(fetched) >= seen + 3, within=60)
        assert await answered(http, door, new.token(), 200)
        published[0] = key_set(new)
        await until(lambda: answered(http, door, former, 401), within=60)
        assert await answered(http, door, new.token(), 200)


async def answered(http: aiohttp.ClientSession, door: Door, token: str, status: int) -> bool:
    """Whether the gateway answers a token so."""
    return (await ask(http, f"{door.url}/orders/x", token))[0] == status


async def test_an_issuer_that_is_away_does_not_hold_up_what_is_public(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    url = f"http://127.0.0.1:{backing.free_port()}/keys.json"
    async with echo("site") as port:
        known = catalog(site=Service("site", (instance(port),), ("/",)))
        door = start(Door(folder, known, over(jwks_url=url, public=["/health"])))
        assert (await ask(http, f"{door.url}/health"))[0] == 200
        assert (await ask(http, f"{door.url}/x", Issuer("ES256").token()))[0] in (401, 503)
