"""What the action's command and the values of KV must not reach."""

import msgspec

from agent.config.settings import Settings
from agent.wiring import changes


def settings(**sections: object) -> Settings:
    return msgspec.convert(sections, Settings)


def test_the_agents_own_files_of_secrets_are_its_own() -> None:
    found = changes.own_files(
        settings(
            registry={"token_file": "/run/secrets/consul"},
            outbox={"broker": {"url_file": "/run/secrets/nats"}},
        ),
        "/var/lib/pillion",
    )
    assert {"/run/secrets/consul", "/run/secrets/nats", "/var/lib/pillion"} <= set(found)
    assert "/var/run/secrets/kubernetes.io/serviceaccount/token" in found
    assert "" not in found


def test_a_commands_environment_is_the_operators_without_secrets() -> None:
    own = {
        "PATH": "/bin",
        "PILLION_REGISTRY_TOKEN": "x",
        "CONSUL_HTTP_TOKEN": "x",
        "DSN": "x",
        "REGION": "eu",
    }
    assert changes.environ(own, ("DSN",)) == {"PATH": "/bin", "REGION": "eu"}
