"""The commands: ``make``, ``consul``, ``show NAME``, ``rotate NAME``."""

import sys
from pathlib import Path

from access import consumers, passwords, tokens
from access.values import UnknownError, Values

ROOT = Path("/secrets")
USAGE = f"""usage: make | consul | show NAME | rotate NAME

make         make the secrets that are missing and write each consumer's files; again is no change
consul       make Consul's policies and tokens what they are to be
show NAME    print one: {", ".join(consumers.VALUES)}
rotate NAME  replace one in use: {", ".join(consumers.ROTATED)}"""


def main(arguments: list[str]) -> int:
    """Run one command; its exit code."""
    values = Values(ROOT / "operator", consumers.VALUES)
    try:
        match arguments:
            case ["make"]:
                values.complete()
                consumers.own(Path("/volumes"))
                print(f"{consumers.write(ROOT, values)} files written")
            case ["consul"]:
                print(tokens.ensure(values))
            case ["show", name]:
                print(values.read(name))
            case ["rotate", name] if name in consumers.ROTATED:
                _rotate(name, values)
            case _:
                print(USAGE, file=sys.stderr)
                return 2
    except (OSError, UnknownError, passwords.RefusedError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _rotate(name: str, values: Values) -> None:
    def publish() -> None:
        values.adopt(name)
        consumers.write(ROOT, values)

    change = tokens.rotate if name in consumers.POLICIES else passwords.rotate
    change(name, values, publish)
    print(f"{name} is another one now, in the server and in its consumers' files")


sys.exit(main(sys.argv[1:]))
