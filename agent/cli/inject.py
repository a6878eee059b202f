"""``pillion inject``: manifests with a sidecar in every pod that is to have one."""

import click

from agent.cli import manifests
from agent.cli.options import SettingsCommand, settings_options
from agent.config import sources
from agent.inject.manifests.offline import File, describes_none, injected
from agent.runtime.errors import Misconfigured, Problem


@click.command(cls=SettingsCommand)
@click.argument("where", metavar="FILE|DIR|-")
@click.option(
    "--namespace-manifest",
    "described",
    multiple=True,
    metavar="FILE|DIR",
    help="Manifests of the namespaces, whose label opts in and whose annotations are defaults. Those that are among "
    "the manifests themselves count too.",
)
@settings_options(("injector",))
def command(resolved: sources.Resolved, where: str, described: tuple[str, ...]) -> int:
    """Print the manifests with a sidecar in every pod that is to have one.

    A pod asks for it by the label pillion.dev/inject: "true", or its namespace by pillion.dev/inject: enabled. Other
    documents are printed as they are, byte for byte. What became of each resource is told on standard error. Ends
    with 2, and prints nothing, when an annotation is wrong or a document invalid.

    \b
    pillion inject deployment.yaml | kubectl apply -f -
    helm template orders charts/orders | pillion inject --namespace-manifest namespace.yaml -
    """
    spaces = [one for name in described for one in _spaces(name)]
    return manifests.ended(injected(manifests.files(where), spaces, resolved.settings), "injected")


def _spaces(name: str) -> list[File]:
    found = manifests.files(name)
    if describes_none(found):
        raise Misconfigured(
            [Problem(name, "holds no Namespace", "manifests of namespaces, for --namespace-manifest")]
        )
    return found
