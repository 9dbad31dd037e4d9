"""What the name of a model means, and which files of a repository."""

from __future__ import annotations

from typing import Any

import pytest

from llm_adapter import SettingsError
from llm_adapter.providers.embedded.names import Choice, FileName, HubName, OllamaName, choose, parse

NAMES = {
    "/models/a.gguf": FileName("/models/a.gguf"),
    "hf:o/r": HubName("o/r"),
    "hf:o/r:Q4_K_M": HubName("o/r", "Q4_K_M"),
    "hf:o/r:sub/a-Q4_0.gguf@refs/pr/1": HubName("o/r", None, "sub/a-Q4_0.gguf", "refs/pr/1"),
    "hf:o/r@v1": HubName("o/r", revision="v1"),
    "ollama:qwen3": OllamaName("qwen3"),
    "ollama:qwen3:8b-q4_K_M": OllamaName("qwen3", "8b-q4_K_M"),
    "ollama:me/x:1": OllamaName("x", "1", "me"),
    "ollama:hf.co/o/r:Q4_0": OllamaName("r", "Q4_0", "o", "hf.co"),
}


@pytest.mark.parametrize(("text", "meant"), NAMES.items(), ids=NAMES)
def test_what_a_name_means(text: str, meant: Any) -> None:
    assert parse(text) == meant
    if isinstance(meant, HubName):
        assert str(meant) == text


@pytest.mark.parametrize(
    "text",
    [
        "hf:",
        "hf:r",
        "hf:o/r:",
        "hf:o/../r",
        "hf:o/r:../x.gguf",
        "hf:o/r@../x",
        "ollama:",
        "ollama:../x",
        "ollama:a:b:c",
    ],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"is no name of .*\["):
        parse(text)


FILES = {"m-Q4_K_M.gguf": 4, "m-Q4_K_S.gguf": 3, "m-UD-Q4_K_M.gguf": 5, "m-BF16-00001-of-00002.gguf": 7}
FILES |= {"m-BF16-00002-of-00002.gguf": 8, "mmproj-F16.gguf": 1, "m.imatrix.gguf": 1, "README.md": 1, "Q8_0/m.gguf": 9}
CHOICES = {
    "hf:o/r:q4_k_m": ("m-Q4_K_M.gguf",),
    "hf:o/r:UD-Q4_K_M": ("m-UD-Q4_K_M.gguf",),
    "hf:o/r:BF16": ("m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf"),
    "hf:o/r:Q8_0": ("Q8_0/m.gguf",),
    "hf:o/r:m-Q4_K_S.gguf": ("m-Q4_K_S.gguf",),
    "hf:o/r:m-BF16-00002-of-00002.gguf": ("m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf"),
}


@pytest.mark.parametrize(("text", "files"), CHOICES.items(), ids=CHOICES)
def test_the_files_of_a_name(text: str, files: Any) -> None:
    name = parse(text)
    assert isinstance(name, HubName)
    assert choose(name, FILES) == Choice(files, "mmproj-F16.gguf")


REFUSED = {
    "hf:o/r": "has 5 files that this may mean. Give one of these: hf:o/r:Q8_0 .9 B., hf:o/r:BF16 .15 B., hf:o/r:Q4_K_M",
    "hf:o/r:Q4_K": "has no such file. Give one of these",
    "hf:o/r:none.gguf": "has no such file",
}


@pytest.mark.parametrize(("text", "said"), REFUSED.items(), ids=REFUSED)
def test_a_name_of_several_files_or_none(text: str, said: str) -> None:
    name = parse(text)
    assert isinstance(name, HubName)
    with pytest.raises(SettingsError, match=said):
        choose(name, FILES)


def test_a_part_that_the_repository_lacks() -> None:
    with pytest.raises(SettingsError, match="1 of the 2 parts"):
        choose(HubName("o/r"), {"m-00002-of-00002.gguf": 1})
