"""What CI runs on is what the package says that it supports."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
JOBS: dict[str, Any] = yaml.safe_load(WORKFLOW)["jobs"]


@pytest.mark.parametrize("job", ["checks", "tests"])
def test_every_supported_python_is_run(job: str) -> None:
    classified = [found[1] for one in PROJECT["classifiers"] if (found := re.search(r"Python :: (3\.\d+)$", one))]
    assert JOBS[job]["strategy"]["matrix"]["python"] == classified


def test_the_oldest_supported_sdk_is_run() -> None:
    [openai] = [one for one in PROJECT["dependencies"] if one.startswith("openai")]
    oldest = re.search(r">=([\d.]+)", openai)
    assert oldest is not None
    assert f'"openai=={oldest[1]}.*"' in WORKFLOW
