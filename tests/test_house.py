"""The house itself: what is shipped, what an import costs and does, and what the documents say is done."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import qiot

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "qiot"
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
)


def run_python(code: str, *arguments: str, folder: Path) -> str:
    """Run `code` in a fresh interpreter that finds the same qiot as this one, away from the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(Path(qiot.__file__).parent.parent)}
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- what is shipped ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of the checkout; its dist/ holds the sdist, and the wheel that was built from that."""
    work = tmp_path_factory.mktemp("build")
    left_out = shutil.ignore_patterns(
        ".*cache", ".git", ".tox", "*.egg-info", "__pycache__", "build", "dist", "*venv"
    )
    copy = work / "qiot"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=left_out)
    command = [sys.executable, "-m", "build", "--no-isolation"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy


def test_the_wheel_holds_the_package_and_nothing_else(shipped: Path) -> None:
    (wheel,) = (shipped / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {str(path.relative_to(shipped)) for path in (shipped / "qiot").rglob("*.py")}
    data = {name for name in files if not name.endswith(".py")}
    assert files - data == expected
    assert "qiot/py.typed" in data
    assert all((shipped / name).is_file() for name in data)


def test_the_sdist_has_what_is_needed_and_no_shortcuts(shipped: Path) -> None:
    (sdist,) = (shipped / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    files = {member.name.partition("/")[2] for member in members}
    assert not [member.name for member in members if member.issym() or member.islnk()]
    assert not {name for name in files if name.split("/")[0] in ("hal", "samples", ".git")}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "tox.ini",
        "tests/test_house.py",
    } <= files
    assert {str(path.relative_to(shipped)) for path in (shipped / "qiot").rglob("*.py")} <= files


@pytest.mark.skipif("TOX_ENV_NAME" not in os.environ, reason="only tox installs the wheel")
def test_tox_tests_what_is_installed() -> None:
    assert Path(qiot.__file__).is_relative_to(sys.prefix)
    assert importlib.metadata.version("qiot") == qiot.__version__


# --- what an import costs and does -------------------------------------------------------------------------


def test_importing_qiot_is_cheap(tmp_path: Path) -> None:
    code = "import sys; before = set(sys.modules); import qiot; print(*(set(sys.modules) - before))"
    loaded = set(run_python(code, folder=tmp_path).split())
    assert "qiot" in loaded
    assert not [name for name in loaded if name.startswith("qiot.")]
    assert not {name.split(".")[0] for name in loaded} - sys.stdlib_module_names - {"qiot"}
    assert not loaded & {"asyncio", "socket", "ssl", "logging", "json", "subprocess", "email", "urllib"}


def test_public_names() -> None:
    table = qiot._EXPORTS
    (checked,) = [
        node for node in ast.parse((SOURCE / "__init__.py").read_text()).body if isinstance(node, ast.If)
    ]
    seen = {
        alias.name: node.module
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert table == seen
    assert sorted(qiot.__all__) == sorted([*table, "__version__"])
    assert set(table) <= set(dir(qiot))
    for name, module in table.items():
        assert getattr(qiot, name) is getattr(importlib.import_module(module), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        qiot.nonsense  # noqa: B018


WALK = """
import importlib, json, os, sys, threading, types
sys.dont_write_bytecode = True
import asyncio, attrs, ssl, structlog  # most modules need them: loaded once, for all

base = (sys.prefix, sys.base_prefix, sys.exec_prefix, os.environ["PYTHONPATH"], "/usr/lib", "/lib")
forbidden = ("socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo", "subprocess.Popen",
             "os.system", "os.fork", "os.posix_spawn", "os.mkdir", "os.remove", "os.rename", "os.putenv",
             "_thread.start_new_thread", "_thread.start_joinable_thread", "signal.signal")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC

def child(name, out):
    done = []
    def hook(event, details):
        if event in forbidden:
            done.append(event)
        elif event == "open" and isinstance(details[0], str):
            path, mode, flags = details
            if flags & WRITING or not os.path.abspath(path).startswith(base):
                done.append(f"open {path}")
    sys.addaudithook(hook)
    try:
        importlib.import_module(name)
    except BaseException as error:
        done.append(f"{type(error).__name__}: {error}")
    if threading.active_count() != 1:
        done.append("a thread is left")
    seen, done = done, []
    os.write(out, json.dumps(seen).encode()[:4000])

faults = {}
for name in sys.argv[1:]:
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child(name, writable)
        finally:
            os._exit(0)
    os.close(writable)
    with open(readable, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    seen = json.loads(answer) if answer else ["died"]
    if seen:
        faults[name] = seen
print(json.dumps(faults))
"""


def test_every_module_imports_on_its_own_and_does_nothing_else(tmp_path: Path) -> None:
    """No thread, socket, process, event loop (it opens a socket pair) nor file, and no circular import."""
    modules = [name for name in MODULES if not name.endswith(".__main__")]
    assert "qiot.log" in modules
    assert json.loads(run_python(WALK, *modules, folder=tmp_path)) == {}


def test_the_walk_sees_what_it_forbids(tmp_path: Path) -> None:
    sins = {
        "loops": "import asyncio; asyncio.new_event_loop().close()",
        "threads": "import threading; t = threading.Thread(target=print, args=('',)); t.start(); t.join()",
        "writes": "open('left.txt', 'w').close()",
        "reads": "open('/etc/hostname').close()",
        "starts": "import subprocess; subprocess.run(['true'])",
        "breaks": "import qiot.no_such_module",
    }
    for name, code in sins.items():
        (tmp_path / f"{name}.py").write_text(code)
    walk = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{WALK}"
    assert set(json.loads(run_python(walk, *sins, folder=tmp_path))) == set(sins)


# --- the rules of the house --------------------------------------------------------------------------------


def test_no_file_is_over_600_lines() -> None:
    files = [path for folder in ("qiot", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert SOURCE / "__init__.py" in files
    assert not {str(path): count for path in files if (count := len(path.read_text().splitlines())) > 600}


@pytest.mark.parametrize("name", ["hal", "samples"])
def test_the_shortcuts_are_relative_links(name: str) -> None:
    link = ROOT / name
    if not link.is_symlink():
        pytest.skip("this checkout cannot hold links")
    assert str(link.readlink()) == f"qiot/{name}"
    assert (link / "__init__.py").samefile(SOURCE / name / "__init__.py")


def test_ci_runs_what_the_readme_says() -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    commands = {line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()}
    script = ROOT / ".ci" / "run"
    (tested,) = re.findall(r"^\{ (pip install tox.*?); \}", script.read_text(), re.MULTILINE)
    assert tested in commands
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_the_changelog_knows_this_version() -> None:
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == qiot.__version__
