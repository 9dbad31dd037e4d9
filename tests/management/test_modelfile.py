"""A Modelfile, read as Ollama's own command reads it, and sent as its parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drivers import SYNC_AND_ASYNC, Play, mode
from hypothesis import example, given
from hypothesis import strategies as some
from recorded import exchanges

from llm_adapter import AdapterWarning
from llm_adapter.management.modelfile import Modelfile, ModelfileError, commands, files_of

MEANINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "from": ("FROM qwen3:8b", {"from_": "qwen3:8b"}),
    "any case, spaces and comments": ("# a\n\n  from\tqwen3 \n  # b", {"from_": "qwen3"}),
    "line ends of Windows": ("FROM a\r\nSYSTEM Hi\r\n", {"from_": "a", "system": "Hi"}),
    "no comment behind a value": ("FROM a\nSYSTEM Hi # there", {"from_": "a", "system": "Hi # there"}),
    "quotes": ('FROM a\nSYSTEM "Say "hi"."', {"from_": "a", "system": 'Say "hi".'}),
    "quotes over lines": ('FROM a\nSYSTEM "one\n  two"', {"from_": "a", "system": "one\n  two"}),
    "three quotes": (
        'FROM a\nTEMPLATE """\n{{ .Prompt }}\n# no comment\n"""\nSYSTEM Hi',
        {"from_": "a", "template": "\n{{ .Prompt }}\n# no comment\n", "system": "Hi"},
    ),
    "quotes within three": ('FROM a\nSYSTEM """a "b" c"""', {"from_": "a", "system": 'a "b" c'}),
    "nothing": ('FROM a\nTEMPLATE """"""\nSYSTEM ""', {"from_": "a", "template": "", "system": ""}),
    "no apostrophes": ("FROM a\nSYSTEM 'a'", {"from_": "a", "system": "'a'"}),
    "the last one counts": ("FROM a\nSYSTEM one\nSYSTEM two\nFROM b", {"from_": "b", "system": "two"}),
    "options": (
        "FROM a\nPARAMETER num_ctx 8192\nPARAMETER  temperature 0.5\nPARAMETER use_mmap true\nPARAMETER seed -1",
        {"from_": "a", "parameters": {"num_ctx": 8192, "temperature": 0.5, "use_mmap": True, "seed": -1}},
    ),
    "stops": (
        'FROM a\nPARAMETER stop <|end|>\nPARAMETER stop "User: "\nPARAMETER stop 1\nPARAMETER stop """\n"""',
        {"from_": "a", "parameters": {"stop": ["<|end|>", "User: ", "1", "\n"]}},
    ),
    "licences": ('FROM a\nLICENSE MIT\nLICENSE """A\nB"""', {"from_": "a", "license": ["MIT", "A\nB"]}),
    "numbers as Go reads them": (
        "FROM a\nPARAMETER temperature .5\nPARAMETER top_p 1.\nPARAMETER seed 007\nPARAMETER top_k +5",
        {"from_": "a", "parameters": {"temperature": 0.5, "top_p": 1.0, "seed": 7, "top_k": 5}},
    ),
    "the lines of Windows": (
        'FROM a\r\n# a comment\r\nSYSTEM """A\r\nB"""\r\nMESSAGE user Hi\r\n',
        {"from_": "a", "system": "A\nB", "messages": [{"role": "user", "content": "Hi"}]},
    ),
    "messages": (
        'FROM a\nMESSAGE user Is Toronto in Canada?\nMESSAGE assistant "yes: \n  it is"',
        {
            "from_": "a",
            "messages": [
                {"role": "user", "content": "Is Toronto in Canada?"},
                {"role": "assistant", "content": "yes: \n  it is"},
            ],
        },
    ),
    "what the package drops": (
        "FROM a\nRENDERER qwen3\nPARSER qwen3\nREQUIRES v0.14.0",
        {"from_": "a", "renderer": "qwen3", "parser": "qwen3", "requires": "0.14.0"},
    ),
}


@pytest.mark.parametrize(("text", "meaning"), MEANINGS.values(), ids=MEANINGS)
def test_meanings(text: str, meaning: dict[str, Any]) -> None:
    assert Modelfile.of(text).arguments() == meaning


MISTAKES = {
    "no FROM": ("SYSTEM Hi", "has no FROM line"),
    "an empty FROM": ("FROM ", "line 1: FROM names no model"),
    "an unknown command": ("FROM a\n\nSISTEM Hi", "line 3: 'SISTEM Hi' does not begin with one of ADAPTER"),
    "a command alone": ("FROM a\nPARAMETER", "line 2"),
    "a parameter without a value": ("FROM a\nPARAMETER stop", "line 2: after PARAMETER come a name and a value"),
    "an unknown role": ("FROM a\nMESSAGE tool x", "line 2: after MESSAGE come one of system, user"),
    "open quotes": ('FROM a\nSYSTEM """a\n""\n', 'line 2: the quotes """ .* no end'),
    "one open quote": ('FROM a\nSYSTEM "', "line 2: the quotes"),
    "no number": ("FROM a\nPARAMETER temperature hot", "line 2: PARAMETER temperature is a number"),
    "a truth for a number": ("FROM a\nPARAMETER temperature true", "PARAMETER temperature is a number, and not 'true'"),
    "no JSON": ("FROM a\nPARAMETER temperature 1e999", "PARAMETER temperature is a number, and not '1e999'"),
    "no whole number": ("FROM a\nPARAMETER num_ctx 1.5", "PARAMETER num_ctx is a whole number, and not '1.5'"),
    "no truth": ("FROM a\nPARAMETER use_mmap yes", "PARAMETER use_mmap is true or false, and not 'yes'"),
    "no name": ("FROM a\nPARAMETER x-y 1", "line 2: after PARAMETER come a name and a value"),
    "no version": ("FROM a\nREQUIRES soon", "line 2: REQUIRES is a version"),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(text: str, words: str) -> None:
    with pytest.raises(ModelfileError, match=words):
        Modelfile.of(text).arguments()


@pytest.mark.parametrize(("name", "words"), [("mirostat", "does not read any more"), ("num_ctxx", "num_ctx")])
def test_parameters_that_are_not_read(name: str, words: str) -> None:
    with pytest.warns(AdapterWarning, match=words):
        Modelfile.of(f"FROM a\nPARAMETER {name} 1").arguments()


@given(some.text(max_size=200))
@example('FROM a\nSYSTEM """"')
@example("MESSAGE\t")
@example("PARAMETER \x85")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = commands(text)
    except ModelfileError:
        return
    assert all(one.line <= 1 + text.count("\n") + text.count("\r") for one in found)


@given(some.text(some.characters(exclude_characters='"\r', exclude_categories=("Cs",)), max_size=80))
def test_what_is_quoted_stays_as_it_is(text: str) -> None:
    for mark in ('"', '"""'):
        assert Modelfile.of(f"FROM a\nSYSTEM {mark}{text}{mark}\nTEMPLATE t").arguments()["system"] == text


@pytest.mark.parametrize("server", ["ollama-0.24.0", "ollama-0.32.15"])
def test_what_a_real_ollama_shows_is_read(server: str) -> None:
    """`/api/show` writes a model's parts as a Modelfile, besides."""
    [shown, *_] = [json.loads(one.body) for one in exchanges(server, "models", "native") if one.path == "/api/show"]
    found = {one.name: one.value for one in commands(shown["modelfile"])}
    assert found["template"] == shown["template"]
    assert found["from"].rpartition("/")[2].startswith("sha256-")


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of files that each hold their own name."""

    def made(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
        return tmp_path

    return made


SAFETENSORS = ("model-1-of-2.safetensors", "model-2-of-2.safetensors", "2_Dense/model.safetensors", "config.json")
FOLDERS = {
    "safetensors": (SAFETENSORS, ("tokenizer.model", "1_Pooling/config.json", "chat_template.jinja")),
    "consolidated": (("consolidated.safetensors", "config.json"), ()),
    "pytorch": (("pytorch_model.bin", "config.json"), ("sub/tokenizer.model",)),
    "gguf": (("a.gguf", "b.gguf"), ()),
}


@pytest.mark.parametrize(("needed", "more"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder(needed: tuple[str, ...], more: tuple[str, ...], model: Callable[..., Path]) -> None:
    """The first kind of weights that there is, with what belongs to it."""
    folder = model(*needed, *more, "README.md", "other.safetensors", *([] if "a.gguf" in needed else ["x.gguf"]))
    assert {one.relative_to(folder).as_posix() for one in files_of(folder)} == {*needed, *more}
    assert Modelfile("FROM .", folder).arguments()["files"].keys() == {*needed, *more}


def test_a_folder_sends_nothing_of_elsewhere(model: Callable[..., Path], tmp_path: Path) -> None:
    folder = model("m/model.safetensors", "secret") / "m"
    (folder / "config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelfileError, match="leads out of its folder"):
        files_of(folder)
    (folder / "config.json").unlink()
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ModelfileError, match="Git LFS"):
        files_of(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no safetensors"):
        files_of(folder)


@pytest.mark.parametrize("line", ["FROM ./gone.gguf", "FROM /gone", "FROM gone.gguf", "FROM a\nADAPTER gone"])
def test_a_path_that_is_not_there(line: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        Modelfile(line, tmp_path).arguments()


def test_a_draft_that_is_the_model_itself(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    (tmp_path / "Modelfile").write_text("FROM ./a.gguf\nDRAFT a.gguf", encoding="utf-8")
    with pytest.raises(ModelfileError, match="DRAFT names a file that its FROM names"):
        Modelfile.of(tmp_path / "Modelfile").arguments()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "Modelfile"
    file.write_bytes("FROM a\nSYSTEM Grüße 👩‍🚀".encode(encoding))
    assert Modelfile.of(file).arguments()["system"] == "Grüße 👩‍🚀"


@pytest.mark.parametrize("play", SYNC_AND_ASYNC, ids=mode)
def test_it_is_sent_as_its_parts(play: Play, ollama: Any, model: Callable[..., Path]) -> None:
    """Its files are uploaded, seen from its own folder; nothing of its text is sent."""
    folder = model("weights.gguf", "lora.gguf")
    file = folder / "Modelfile"
    file.write_text("FROM ./weights.gguf\nADAPTER lora.gguf\nREQUIRES 0.14.0\nPARSER p\nPARAMETER num_ctx 64\n")
    digests = {name: f"sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in ("weights.gguf", "lora.gguf")}
    for digest in digests.values():
        ollama.answer(f"/api/blobs/{digest}", 404, "", method="HEAD")
        ollama.answer(f"/api/blobs/{digest}", 201, "")
    ollama.answer("/api/create", body=[{"status": "success"}])

    def script(client: Any) -> Any:
        return (yield client.models.create("mine", modelfile=file, quantize="q4_K_M"))

    assert play(script).done
    assert ollama.sent == {
        "model": "mine",
        "files": {"weights.gguf": digests["weights.gguf"]},
        "adapters": {"lora.gguf": digests["lora.gguf"]},
        "requires": "0.14.0",
        "parser": "p",
        "parameters": {"num_ctx": 64},
        "quantize": "q4_K_M",
        "stream": True,
    }
