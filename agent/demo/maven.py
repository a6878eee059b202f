"""A Java program from Maven Central: each file of a list with check sums, and a script that runs a class."""

import hashlib
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from agent.demo.components import Component, JavaProgram, data
from agent.demo.report import Report
from agent.runtime.errors import Permanent

CENTRAL = "https://repo1.maven.org/maven2/"
AT_ONCE = 4
_PATIENCE = 60.0


def from_maven(
    component: Component, program: JavaProgram, java: Path, folder: Path, report: Report, *, at: str = CENTRAL
) -> Path:
    """Fetch the files that ``servers/NAME/jars.sha256`` lists into the folder; the script's path there.

    Raises Permanent where one can't be had or has another check sum.
    """
    wanted = listed((data() / "servers" / component.name / "jars.sha256").read_text())
    jars = folder / "jars"
    jars.mkdir()
    what = f"{component.title}: downloading {len(wanted)} files from Maven Central"
    with report.working(what) as progress, ThreadPoolExecutor(AT_ONCE) as pool:

        def fetch(path: str) -> None:
            _fetch(what, at + path, jars / PurePosixPath(path).name, wanted[path])
            progress(path)

        for _ in pool.map(fetch, wanted):
            pass
    script = folder / program.program
    script.write_text(_script(java))
    script.chmod(0o755)
    return script


def listed(text: str) -> dict[str, str]:
    """The check sum by path, from lines as ``sha256sum`` writes them."""
    pairs = (line.split("  ", 1) for line in text.splitlines())
    return {path: digest for digest, path in pairs}


def _script(java: Path) -> str:
    return (
        "#!/bin/sh\n"
        "# JAVA_OPTS, then a class and its arguments. A Java that was removed since is looked for on PATH.\n"
        f"java='{java}'\n"
        '[ -x "$java" ] || java=java\n'
        'exec "$java" $JAVA_OPTS -cp "$(dirname "$0")/jars/*" "$@"\n'
    )


def _fetch(what: str, url: str, file: Path, digest: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as response:
            content = response.read()
    except urllib.error.HTTPError as error:
        raise Permanent(f"{what} failed: {url} answers {error.code}") from error
    except OSError as error:
        raise Permanent(
            f"{what} failed: the network could not be reached: look at the proxy settings, or put the "
            f"program on PATH yourself ({error})"
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise Permanent(f"{what} failed: {url} has another check sum than the one known, so it was not used")
    file.write_bytes(content)
