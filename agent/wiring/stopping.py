"""How long a stop may take: known without what it takes to run, for who only starts an agent has no use for that."""

from agent.config.settings import Settings

SLACK = 60.0
"""Seconds that a stop may take beside what the settings allow: Consul away, the relay's last batch, our calls."""

INBOX = 14.0
"""Seconds more for an inbox, which waits for what the service works on."""


def stop_time(settings: Settings) -> float:
    """Seconds that the whole of a stop may take with these settings, everything going wrong."""
    inbox = INBOX if settings.inbox.topics else 0.0
    return (
        settings.registry.spread + settings.proxy.drain_time + settings.service.stop_timeout + inbox + SLACK
    )
