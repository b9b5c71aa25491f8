"""Options that many commands of the phone have: the network's password and the token."""

from __future__ import annotations

import argparse
from pathlib import Path

from qiot.errors import ConfigurationError

__all__ = ["add_password", "add_token", "passwords_of"]


def add_password(command: argparse.ArgumentParser, *, several: bool = False) -> None:
    """`--password` or `--password-file`.

    Args:
        command: Where to add them.
        several: Each may be given again.
    """
    action = "append" if several else "store"
    again = "; given again, the next to try on the same link" if several else ""
    password = command.add_mutually_exclusive_group()
    password.add_argument("--password", action=action, help=f"its password; none for an open network{again}")
    password.add_argument(
        "--password-file",
        action=action,
        type=Path,
        metavar="FILE",
        help=f"a file whose first line is it{again}",
    )


def passwords_of(options: argparse.Namespace) -> list[str]:
    """The passwords, in the order given; empty where none was.

    Raises:
        ConfigurationError: A file cannot be read.
    """
    given = options.password if options.password_file is None else options.password_file
    if given is None:
        return []
    each = given if isinstance(given, list) else [given]
    return [_first_line(one) if isinstance(one, Path) else str(one) for one in each]


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"--password-file: {path} cannot be read as UTF-8", hint="Check the file's name and rights."
        ) from error


def add_token(command: argparse.ArgumentParser, text: str) -> None:
    """`--token`, and where to get one and bind.

    Args:
        command: Where to add them.
        text: What `--token` is.
    """
    command.add_argument("--token", help=text)
    command.add_argument("--app-url", metavar="URL", help="the application's API: poll and bind there")
    command.add_argument("--family", default="default", help="family to bind to (%(default)s)")
    command.add_argument("--room", default="0", help="room in it (%(default)s)")
