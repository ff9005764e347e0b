"""The files of ``deployment/``: what they would start is started here, and does what is said of it.

Only paths and the port are changed; neither systemd nor a container is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import telex.sync
import telex.tls
from telex import ConnectError
from tests.certificates import Authority
from tests.reader import free_port
from tests.sync.stage import PATIENCE, wait_until

FILES = Path(__file__).parent.parent / "deployment"
SERVICE = (FILES / "shop.service").read_text(encoding="utf-8").replace("\\\n", "")
CONTAINER = (FILES / "Containerfile").read_text(encoding="utf-8").replace("\\\n", "")
TOKEN = "5f2b6c3e"


def setting(name: str) -> str:
    """Return what the service's unit says for a setting."""
    return str(re.findall(rf"^{name}=(.*)$", SERVICE, re.MULTILINE)[-1])


def instruction(name: str) -> list[str]:
    """Return the words of an instruction of the container file."""
    words = re.findall(rf"^{name} (.*)$", CONTAINER, re.MULTILINE)[-1]
    return list(json.loads(words))


STARTED = {"shop.service": shlex.split(setting("ExecStart")), "Containerfile": instruction("CMD")}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Return a directory with a certificate, its key, its authority and a token."""
    certify(tmp_path, "first")
    (tmp_path / "tokens").write_text(f"till-1 {TOKEN}\n")
    return tmp_path


def certify(directory: Path, authority_name: str) -> None:
    """Put a certificate by a new authority in place of the old one."""
    authority = Authority(directory, authority_name)
    pair = authority.issue("localhost", "127.0.0.1", file_name="new")
    pair.certificate.rename(directory / "cert.pem")
    pair.key.rename(directory / "key.pem")


@contextlib.contextmanager
def running(command: list[str], secrets: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run the server that a file starts; give the process and its address."""
    address = f"tls://127.0.0.1:{free_port()}"
    assert command[0].endswith("telex")
    here = [re.sub(r"^(/etc/shop|/run/secrets)(?=/)", str(secrets), word) for word in command[1:]]
    here[here.index("--listen") + 1] = address
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-m", "telex", *here], cwd=FILES, env=environment
    ) as process:
        try:
            yield process, address
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server that still runs: asked first, for it has processes of its own to end."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


def answer(address: str, authority: Path) -> object:
    """Ask the shop for a price, and return the answer."""
    tls = telex.tls.client_context(ca=authority)
    with telex.sync.connect(address, tls=tls, token=TOKEN, timeout=PATIENCE) as connection:
        return connection.request("pump", subject="price", timeout=PATIENCE).content


def is_answered(address: str, authority: Path) -> bool:
    """Say whether there is a server whose certificate is by this authority."""
    with contextlib.suppress(ConnectError):
        return answer(address, authority) is not None
    return False


@pytest.mark.parametrize("file", STARTED)
def test_what_a_file_starts_serves(file: str, secrets: Path) -> None:
    """It answers whom it knows, reads certificates again at SIGHUP, and ends well at SIGTERM."""
    with running(STARTED[file], secrets) as (process, address):
        wait_until(lambda: is_answered(address, secrets / "first.pem"), "it serves")
        assert answer(address, secrets / "first.pem") == {
            "item": "pump",
            "price": 49.5,
            "for": "till-1",
        }
        certify(secrets, "second")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: is_answered(address, secrets / "second.pem"), "it has the new one")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_the_service_is_reloaded_and_stopped_as_its_page_says() -> None:
    """SIGHUP to the first process; SIGTERM to that one alone, and time enough to end."""
    assert setting("ExecReload") == "/bin/kill -HUP $MAINPID"
    assert setting("KillMode") == "mixed"
    assert float(setting("TimeoutStopSec")) > telex.Limits().drain_timeout


def test_the_socket_is_where_the_service_listens() -> None:
    """Otherwise systemd would listen in one place, and the server in another."""
    wanted = STARTED["shop.service"][STARTED["shop.service"].index("--listen") + 1]
    passed = re.findall(r"^ListenStream=(.*)$", (FILES / "shop.socket").read_text(), re.MULTILINE)
    assert [f"tls://{where}" for where in passed] == [wanted]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_its_units(tmp_path: Path) -> None:
    """``systemd-analyze verify`` has nothing to say against them."""
    executable = tmp_path / "telex"
    executable.symlink_to("/bin/true")
    for name in ("shop.service", "shop.socket"):
        unit = (FILES / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(unit.replace("/opt/shop/venv/bin/telex", str(executable)))
    units = [str(tmp_path / name) for name in ("shop.service", "shop.socket")]
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    about_these = [line for line in verified.stdout.splitlines() if str(tmp_path) in line]
    assert (about_these, verified.returncode) == ([], 0)


def test_a_renewed_certificate_is_put_in_place_and_read(tmp_path: Path) -> None:
    """The hook of the ACME client copies both files under the names that the service reads."""
    lineage, target, commands = (tmp_path / name for name in ("lineage", "target", "bin"))
    for directory in (lineage, target, commands):
        directory.mkdir()
    (lineage / "fullchain.pem").write_text("certificate")
    (lineage / "privkey.pem").write_text("key")
    (commands / "systemctl").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/told\n')
    (commands / "install").write_text(
        '#!/bin/sh\nshift 4\nexec cp "$@"\n'
    )  # there is no group shop
    for command in commands.iterdir():
        command.chmod(0o755)
    hook = (FILES / "renew-certificate").read_text().replace("/etc/shop", str(target))
    subprocess.run(
        ["sh", "-c", hook],
        check=True,
        env={"PATH": f"{commands}:{os.environ['PATH']}", "RENEWED_LINEAGE": str(lineage)},
    )
    assert {file.name: file.read_text() for file in target.iterdir()} == {
        "cert.pem": "certificate",
        "key.pem": "key",
    }
    assert (tmp_path / "told").read_text() == "reload shop.service\n"


def test_the_container_has_what_it_copies() -> None:
    """Each file that is copied into the image is there, and its health check asks its own port."""
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINER, re.MULTILINE)
    assert all((FILES.parent / name).exists() for names in copied for name in names.split())
    (port,) = re.findall(r"^EXPOSE (\d+)$", CONTAINER, re.MULTILINE)
    assert f"tls://0.0.0.0:{port}" in instruction("CMD")
    assert f"tls://$(hostname):{port}" in CONTAINER
