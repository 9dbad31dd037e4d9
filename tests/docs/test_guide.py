"""Errors are quoted as they are said, and the guide can be read in one sitting."""

from __future__ import annotations

import re
from pathlib import Path

import openai
import pytest

import llm_adapter

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "migration_guide.md").read_text("utf-8")
TROUBLE = re.findall(
    r"^### (.+)\n\nFrom ([\w, .]+?)\. ", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.M
)


def sources(folder: Path, pattern: str) -> str:
    """All texts of a folder as one, with what Python and JSON write differently from what is seen taken out."""
    text = "\n".join(path.read_text("utf-8") for path in sorted(folder.rglob(pattern)))
    return re.sub(r'"\s*\n\s*f?"', "", text).replace("\\", "")


SAID = {
    "llm_adapter": sources(Path(llm_adapter.__file__).parent, "*.py"),
    "openai": sources(Path(openai.__file__).parent, "_*.py") + sources(Path(openai.__file__).parent / "lib", "*.py"),
    "Ollama": sources(ROOT / "tests" / "recordings", "*.json") + sources(Path(llm_adapter.__file__).parent, "*.py"),
}
# What no recording shows. Source: ollama server/images.go PullModel, openai/openai.go FromChatRequest, and the texts in
# the program of v0.24.0 for a model that does not fit, and for one whose process ended.
SAID["Ollama"] += "pull model manifest: file does not exist; invalid message format"
SAID["Ollama"] += "; model requires more system memory; llama runner process has terminated"


@pytest.mark.parametrize(("seen", "origin"), TROUBLE, ids=[seen[:50] for seen, _ in TROUBLE])
def test_trouble_is_quoted_as_it_is_said(seen: str, origin: str) -> None:
    """The page is by the exact texts: ours and the SDK's are in the code, Ollama's in the recordings."""
    quoted = re.findall(r"`([^`]+)`", seen)
    for one in origin.split(", "):
        if one in SAID and quoted:
            assert any(text in SAID[one] for text in quoted), (one, quoted)
    if len(origin.split(", ")) == 1 and origin == "llm_adapter":
        assert [text for text in quoted if text not in SAID[origin]] == []


def test_every_entry_is_read() -> None:
    headings = re.findall(r"^### ", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.M)
    assert len(TROUBLE) == len(headings) > 40


def test_guide_is_a_quarter_of_an_hour() -> None:
    """What is longer goes to docs/, and the steps are numbered from 0 without a gap."""
    assert len(GUIDE.encode()) <= 45_000
    steps = [int(number) for number in re.findall(r"^## (\d+)\. ", GUIDE, re.M)]
    assert steps == list(range(len(steps)))
