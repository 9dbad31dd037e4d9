"""A folder for one version of the SDK: its sdist unpacked, and an environment that can run the tests in it."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".sdk"
EXTRAS = FOLDER / "extras"
SPEC = EXTRAS / "api_reference" / "openapi.transformed.yml"
SNAPSHOTS = EXTRAS / ".inline-snapshot"

# What the SDK's tests import: its `dev` group and its extras without the linters, the browser and the microphone.
# httpx and respx serve its lane for callers with a legacy client; the last line is what the 2.x tests need.
REQUIREMENTS = [
    "pytest>=9.0.3",
    "pytest-asyncio>=1.4",
    "pytest-xdist>=3.6",
    "inline-snapshot>=0.28",
    "rich",
    "trio>=0.22.2",
    "griffe>=1",
    "multidict",
    "yarl",
    "websockets<16",
    "numpy",
    "pandas",
    "botocore",
    "azure-identity",
    "Pillow",
    "google-auth[requests]",
    "urllib3>=2.7",
    "httpx",
    "respx",
    "nest-asyncio",
    "dirty-equals",
    "time-machine",
]


@dataclass(frozen=True)
class Sandbox:
    """One version, ready to run."""

    version: str
    folder: Path
    python: Path
    tree: Path  # the sdist, which holds tests/


def prepare(version: str) -> Sandbox:
    """The sandbox of a version: made if it is not there, left as it is if what it was made of has not changed."""
    folder = FOLDER / version
    binaries = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    sandbox = Sandbox(version, folder, binaries / "python", folder / f"openai-{version}")
    folder.mkdir(parents=True, exist_ok=True)
    _install(sandbox)
    if not (sandbox.tree / "tests").is_dir():
        _unpack(sandbox)
    if SNAPSHOTS.is_dir():
        shutil.copytree(SNAPSHOTS, sandbox.tree / ".inline-snapshot", dirs_exist_ok=True)
    return sandbox


def take_extras(clone: Path) -> None:
    """Keep what the sdist leaves out, from a clone of the SDK's repository: the mock server's input, the snapshots."""
    wanted = [str(path.relative_to(EXTRAS)) for path in (SPEC, SNAPSHOTS)]
    command = ["git", "-C", str(clone), "archive", "--format=tar", "HEAD", *wanted]
    archive = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603
    EXTRAS.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(EXTRAS, filter="data")


def _install(sandbox: Sandbox) -> None:
    # Editable, so that the next run judges the checkout as it is then.
    wanted = [f"openai[aiohttp]=={sandbox.version}", "--editable", str(ROOT), *REQUIREMENTS]
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    stamp, text = sandbox.folder / "installed.txt", "\n".join([*wanted, *needed])
    if stamp.is_file() and stamp.read_text("utf-8") == text:
        return
    say(f"installing openai {sandbox.version}, the checkout and the tests' dependencies")
    venv.create(sandbox.folder / "venv", with_pip=True, clear=True)
    _pip(sandbox, "install", *wanted)
    stamp.write_text(text, "utf-8")


def _unpack(sandbox: Sandbox) -> None:
    say(f"downloading the sdist of openai {sandbox.version}")
    source = f"openai=={sandbox.version}"
    _pip(sandbox, "download", "--no-binary", "openai", "--no-deps", "--dest", str(sandbox.folder), source)
    with tarfile.open(sandbox.folder / f"openai-{sandbox.version}.tar.gz") as tar:
        tar.extractall(sandbox.folder, filter="data")


def _pip(sandbox: Sandbox, *arguments: str) -> None:
    pip = [str(sandbox.python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *arguments], check=True)  # noqa: S603


def say(text: str) -> None:
    """Progress goes to stderr; stdout is the report's."""
    print(f"conformance: {text}", file=sys.stderr, flush=True)
