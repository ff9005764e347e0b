"""Loads the application that ``telex serve MODULE:APP`` names, or explains a failure in one line.

A wrong name and a failure during the import get different explanations.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from telex import Application
from telex.cli.failure import CommandError, described

if TYPE_CHECKING:
    from types import ModuleType


def load_application(target: str) -> Application:
    """Import the module before the colon, from the current directory too, and return its APP.

    ``package.module:holder.app`` reaches into an object. Raises CommandError.
    """
    module_name, colon, path = target.partition(":")
    if module_name.endswith(".py"):
        right = module_name.removesuffix(".py").replace("/", ".") + ":" + (path or "app")
        raise CommandError(f"{target!r} names a file; name the module instead: {right}")
    names = [*module_name.split("."), *path.split(".")]
    if not (colon and all(name.isidentifier() for name in names)):
        raise CommandError(f"{target!r} is not MODULE:APP, such as orders:app for app in orders.py")
    return _application_at(_import(module_name), path, target)


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is not None and f"{name}.".startswith(f"{missing.name}."):
            raise CommandError(
                f"there is no module {missing.name!r}, neither installed nor in {here}"
            ) from missing
        raise _import_failed(name, missing) from missing
    except SystemExit as ended:
        raise CommandError(
            f"{name} ended the program while it was imported; "
            "what only a script does belongs under: if __name__ == '__main__':"
        ) from ended
    except Exception as failure:
        raise _import_failed(name, failure) from failure


def _import_failed(name: str, failure: Exception) -> CommandError:
    return CommandError(f"cannot import {name}: {described(failure)}")


def _application_at(module: ModuleType, path: str, target: str) -> Application:
    found: object = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as missing:
            raise CommandError(
                f"{module.__name__} has no {path!r}{_applications_of(module)}"
            ) from missing
    if not isinstance(found, Application):
        raise CommandError(
            f"{target} is {_article(type(found).__name__)}, not a telex.Application"
            f"{_applications_of(module)}"
        )
    return found


def _applications_of(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Application)]
    return f"; its applications: {', '.join(names)}" if names else "; it holds no telex.Application"


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"
