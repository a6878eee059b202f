"""The commands, a module each. Only here is printed, exited, ``os.environ`` read, a signal handled.

A command's module is imported when that command is called for (or its help), so that one does not pay for
all."""

import gc
import importlib
import sys
from collections.abc import Mapping
from difflib import get_close_matches

import click

from agent.cli.errors import ended
from agent.runtime.errors import Misconfigured, Problem
from agent.runtime.lean import without

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("agent.cli.run:command", "Run the agent beside a service, and start the service too."),
    "agent": ("agent.cli.agent:command", ""),
    "gateway": ("agent.cli.gateway:command", "One address in front of all services."),
    "injector": (
        "agent.cli.injector:command",
        "The Kubernetes admission webhook that adds the sidecar to pods.",
    ),
    "demo": ("agent.cli.demo:command", "A whole small system on this machine, on real servers."),
    "status": ("agent.cli.status:command", "What a running agent says of itself."),
    "explain": (
        "agent.cli.explain:command",
        "What a request would meet: route, version, instances, and why.",
    ),
    "doctor": ("agent.cli.doctor:command", "What does not work, and what to do about it."),
    "config": ("agent.cli.config:command", "The settings: show, check, schema."),
    "envoy": ("agent.cli.envoy:command", "What Envoy would be given: render, validate, bootstrap."),
    "trace": (
        "agent.cli.trace:command",
        "One request's path through the services, with where its time went.",
    ),
    "bottlenecks": ("agent.cli.bottlenecks:command", "The operations in which most time is spent."),
    "outbox": ("agent.cli.outbox:command", "The outbox in the service's database: init, sql, status."),
    "inbox": ("agent.cli.inbox:command", "The inbox in the consumer's database: init, status, dead letters."),
    "inject": (
        "agent.cli.inject:command",
        "Kubernetes manifests with a sidecar in every pod that is to have one.",
    ),
    "uninject": ("agent.cli.uninject:command", "The manifests as they were before."),
    "wait": ("agent.cli.wait:command", "Wait until the agent is ready."),
    "drain": ("agent.cli.drain:command", "Take the instance out of traffic before it stops."),
}
"""Name, where the command is, what the list of commands says of it; without words it is not listed."""


EXTRAS = {"asyncpg": "postgres", "cryptography": "kubernetes"}
"""Libraries that commands need from their first line on, each with the extra that brings it."""


class Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with the command most like an unknown one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The listed names, in the order of the table."""
        return [name for name, (_, words) in COMMANDS.items() if words]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command = getattr(_imported(module), attribute)
        except ModuleNotFoundError as error:
            extra = EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None:
                raise
            wrong = f"needs {error.name}, which is not installed: pip install 'pillion[{extra}]'"
            raise Misconfigured([Problem(f"pillion {cmd_name}", wrong)]) from error
        assert isinstance(command, click.Command)
        if "structlog" in sys.modules:
            importlib.import_module("agent.cli.logs").aside()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _imported(module: str) -> object:
    """The module with all that it imports, which stays: looking for garbage in it, now and later, would only
    take time, now a tenth of an agent's start."""
    gc.disable()
    try:
        # structlog would load rich (4 MB, beside each service) for tracebacks that logs.py does not have it make, and
        # greenlet (1 MB) where a service beside us has it.
        with without(*(["rich", "greenlet"] if module == "agent.cli.agent" else [])):
            return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


@click.command(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option("--debug", is_flag=True, help="Show the trace of an error.")
@click.version_option(package_name="pillion", prog_name="pillion")
def group(debug: bool) -> None:
    """An agent beside each service: Envoy, Consul, events, traces and API versions without a line in the
    service.

    \b
    Start here:
      pillion demo                                        see everything work on this machine
      pillion run --service-name orders -- flask run      run your own service in the mesh
      pillion run --help                                  every setting, its default and meaning
    """


def main() -> None:
    """The console script ``pillion``."""
    arguments = sys.argv[1:]
    sys.exit(ended(group, arguments))
