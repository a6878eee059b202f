"""Errors of the system and of libraries are told as a person would."""

import socket
import urllib.error

import aiohttp
import pytest

from agent.runtime.words import words


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (OSError(111, "Connect call failed ('127.0.0.1', 8500)"), "Connection refused (127.0.0.1:8500)"),
        (OSError(111, "Connect call failed ('::1', 8500, 0, 0)"), "Connection refused ([::1]:8500)"),
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 5432, 0, 0), "
                "[Errno 111] Connect call failed ('127.0.0.1', 5432)"
            ),
            "Connection refused ([::1]:5432, 127.0.0.1:5432)",
        ),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (TimeoutError(), "no answer in time"),
        (KeyError(), "KeyError"),
        (ValueError("[Errno 5] odd"), "odd"),
    ],
)
def test_what_went_wrong_is_said_without_decoration(error: Exception, said: str) -> None:
    assert words(error) == said


async def test_what_aiohttp_says_of_a_refused_connection_names_place_and_reason() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError) as refused:
                await session.get(f"http://127.0.0.1:{port}/")
    assert words(refused.value) == f"Connection refused (127.0.0.1:{port})"
