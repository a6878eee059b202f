"""How a command ends: its exit code, and an error as one clear sentence on standard error."""

import os
import sys
import traceback
from collections.abc import Sequence

import click

from agent.runtime.errors import Misconfigured, PillionError, Problem
from agent.runtime.words import named

FAILED = 1
"""Failed at run time."""

USAGE = 2
"""Bad usage or configuration."""


def ended(command: click.Command, arguments: Sequence[str]) -> int:
    """Run ``command`` and return the exit code: 0 clean, 1 failed, 2 bad usage or configuration, 128 + n for
    a signal."""
    own, debug = _without_debug(arguments)
    try:
        result = command.main(args=own, prog_name="pillion", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _nobody_reads()
    except (KeyboardInterrupt, click.Abort):
        return 130
    except Exception as error:
        return report(error, debug=debug)
    return result if isinstance(result, int) else 0


def report(error: Exception, *, debug: bool = False) -> int:
    """Print an error for a person, with its trace only where ``debug`` asks for it; return the exit code."""
    if debug and not isinstance(error, click.UsageError):
        traceback.print_exception(error)
    match error:
        case click.ClickException():
            _usage(error)
            return error.exit_code
        case Misconfigured():
            for one in error.odd:
                warn(str(one))
            _problems(error.problems)
            return USAGE
        case PillionError():
            _line(str(error))
            return FAILED
        case OSError():
            _line(named(error))
            return FAILED
        case ExceptionGroup() if all(map(_is_told, _causes(error))):
            # The components that failed, each for a reason that a person can mend.
            return max(report(cause) for cause in _causes(error))
        case _:
            _line(
                f"{type(error).__name__} in Pillion itself: this is a defect, please report it; pillion "
                f"--debug shows the trace"
            )
            return FAILED


def _causes(error: ExceptionGroup[Exception]) -> list[Exception]:
    """What made the components of a group fail."""
    return [cause if isinstance(cause := one.__cause__, Exception) else one for one in error.exceptions]


def _is_told(error: Exception) -> bool:
    return isinstance(error, PillionError | OSError)


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    # --debug may stand anywhere among our own arguments, but what follows -- is the service's command.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    own = [one for one in arguments[:end] if one != "--debug"]
    return [*own, *arguments[end:]], len(own) < end


def _line(text: str) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {text}", err=True)


def warn(text: str) -> None:
    """One line about what is odd, on standard error."""
    click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {text}", err=True)


def _usage(error: click.ClickException) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return
    _line(error.format_message())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"Try '{error.ctx.command_path} --help'.", err=True)


def _problems(problems: Sequence[Problem]) -> None:
    if len(problems) == 1:
        _line(str(problems[0]))
        return
    _line(f"{_where(problems)} {len(problems)} problems:")
    for problem in problems:
        click.echo(f"  - {problem}", err=True)


def _where(problems: Sequence[Problem]) -> str:
    sources = {problem.source for problem in problems}
    source = sources.pop() if len(sources) == 1 else ""
    return f"{source} has" if source.endswith((".yaml", ".yml", ".json")) else "the configuration has"


def _nobody_reads() -> int:
    # What is still in the buffer has no reader; without this Python would complain while it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
