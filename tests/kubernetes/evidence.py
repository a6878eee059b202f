"""What a failed test leaves to be read: all pods' states and logs, and the events."""

from pathlib import Path
from typing import TextIO

from tests.commands import CommandError
from tests.kubernetes.install import NAMESPACES
from tests.kubernetes.kube import Kube, containers


def keep(kube: Kube, folder: Path, name: str) -> Path:
    """Write it to ``build/kubernetes-NAME.txt``; logs of containers that ended before too."""
    folder.mkdir(exist_ok=True)
    file = folder / f"kubernetes-{name}.txt"
    with file.open("w") as out:
        for namespace in NAMESPACES:
            out.write(f"==== {namespace}\n{_try(kube, 'get', 'all,pvc', '-n', namespace, '--output=wide')}\n")
            out.write(_try(kube, "get", "events", "-n", namespace, "--sort-by=.lastTimestamp"))
            for pod in kube.every("pods", namespace):
                _pod(
                    kube,
                    namespace,
                    pod["metadata"]["name"],
                    [one["name"] for one in containers(pod["spec"])],
                    out,
                )
    return file


def _pod(kube: Kube, namespace: str, pod: str, names: list[str], out: TextIO) -> None:
    write = out.write
    write(f"\n==== {namespace}/{pod}\n{_try(kube, 'describe', 'pod', pod, '-n', namespace)}\n")
    for name in names:
        log = ("logs", "-n", namespace, pod, "-c", name, "--tail=300")
        write(f"\n---- {pod} {name}\n{_try(kube, *log)}\n")
        before = _try(kube, *log, "--previous")
        if "previous terminated container" not in before:
            write(f"\n---- {pod} {name}, before it started again\n{before}\n")


def _try(kube: Kube, *argv: str) -> str:
    try:
        return kube(*argv, within=30, both=True)
    except CommandError as error:
        return f"{error}\n"
