"""Kubernetes' service links are no settings."""

from agent.config.sources import load
from tests.unit.config.memory import Memory

LINKS = {
    "PILLION_PORT": "tcp://10.0.0.7:443",
    "PILLION_SERVICE_HOST": "10.0.0.7",
    "PILLION_SERVICE_PORT": "443",
    "PILLION_SERVICE_PORT_HTTPS": "443",
    "PILLION_PORT_443_TCP": "tcp://10.0.0.7:443",
    "PILLION_PORT_443_TCP_PROTO": "tcp",
    "PILLION_PORT_443_TCP_PORT": "443",
    "PILLION_PORT_443_TCP_ADDR": "10.0.0.7",
    "PILLION_GATEWAY_PORT": "tcp://[fd00::7]:10000",
    "PILLION_GATEWAY_SERVICE_HOST": "fd00::7",
    "PILLION_GATEWAY_SERVICE_PORT": "10000",
    "PILLION_GATEWAY_PORT_10000_TCP_ADDR": "fd00::7",
}


def test_links_set_nothing_and_only_those_called_like_settings_are_reported():
    resolved = load({}, LINKS, None, Memory())
    assert resolved.settings.service.host == "127.0.0.1"
    assert resolved.settings.service.port == 0
    assert [one.key for one in resolved.warnings] == ["PILLION_SERVICE_HOST", "PILLION_SERVICE_PORT"]


def test_a_port_that_the_manifest_sets_replaces_the_links_and_counts():
    resolved = load({}, {**LINKS, "PILLION_SERVICE_PORT": "8000"}, None, Memory())
    assert resolved.settings.service.port == 8000


def test_without_links_the_variables_are_settings():
    environ = {"PILLION_SERVICE_HOST": "10.0.0.7", "PILLION_SERVICE_PORT": "443"}
    settings = load({}, environ, None, Memory()).settings
    assert (settings.service.host, settings.service.port) == ("10.0.0.7", 443)


def test_another_services_links_do_not_take_ours_away():
    environ = {
        "PILLION_GATEWAY_PORT": "tcp://10.0.0.7:443",
        "PILLION_SERVICE_PORT": "443",
        "PILLION_GATEWAY_LISTEN": "127.0.0.1:1",
    }
    resolved = load({}, environ, None, Memory())
    assert resolved.settings.service.port == 443
    assert resolved.settings.gateway.listen == "127.0.0.1:1"
