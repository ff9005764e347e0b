"""Builds what is published, and tries it as a user would: ``make package``, ``nox -s package``.

The source distribution and the wheel, which is made of it, go to ``dist/``. Each is installed into
an empty environment, where ``telex --version`` runs, everything is imported and a message crosses a
socket. What the package index would object to fails too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from compiler import obstacle

PROJECT = Path(__file__).resolve().parent.parent

TRIAL = """
import asyncio, importlib, pkgutil, sys, threading
import telex, telex.sync

OF_OTHER_EXTRAS = ("hypothesis", "opentelemetry", "prometheus_client", "pytest")

for module in pkgutil.walk_packages(telex.__path__, "telex."):
    if module.name in ("telex.__main__", "telex.server.workers"):
        continue  # a program, and what forks processes
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        if (error.name or "").split(".")[0] not in OF_OTHER_EXTRAS:
            raise

app = telex.Application()

@app.on("greeting")
def greet(message):
    return f"hello, {message.content}"

with telex.sync.serve(app, "tcp://127.0.0.1:0") as server:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with telex.sync.connect(server.address) as connection:
        answer = connection.request("package", subject="greeting", timeout=10).content
    server.shutdown()
    thread.join()
assert answer == "hello, package", answer
build = "compiled" if telex.is_compiled() else "pure Python"
print(f"telex {telex.__version__}, {build}: {answer}")
"""


def main() -> None:
    """Build, check and try; exits with an error as soon as something fails."""
    dist = PROJECT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    why_not = obstacle()
    print(
        f"The wheel is pure Python: {why_not}" if why_not else "The wheel is compiled", flush=True
    )
    run(
        *(sys.executable, "-m", "build", "--outdir", dist, PROJECT),
        TELEX_MYPYC="0" if why_not else "1",
    )
    [source] = dist.glob("*.tar.gz")
    [wheel] = dist.glob("*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", source, wheel)
    run(sys.executable, "-m", "check_wheel_contents", wheel)
    try_out(wheel)
    try_out(source, TELEX_MYPYC="0")  # the wheel has shown that it can be compiled


def try_out(package: Path, **environment: str) -> None:
    """Install a package into an empty environment, and use it there."""
    print(f"\nTrying {package.name}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        venv.create(directory, with_pip=True)
        programs = Path(directory, "Scripts" if sys.platform == "win32" else "bin")
        pip = (
            programs / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        )
        run(*pip, f"{package}[cli]", cwd=directory, **environment)
        run(programs / "telex", "--version", cwd=directory)
        run(programs / "python", "-W", "error", "-c", TRIAL, cwd=directory)


def run(*command: str | Path, cwd: str | Path = PROJECT, **environment: str) -> None:
    """Run a command; exit when it fails."""
    inherited = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    code = subprocess.run(
        command, cwd=cwd, env={**inherited, **environment}, check=False
    ).returncode
    if code:
        sys.exit(f"{' '.join(map(str, command))}: failed with {code}")


if __name__ == "__main__":
    main()
