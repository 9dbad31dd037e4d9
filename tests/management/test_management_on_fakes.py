"""Pull, push and create on the fake Ollama of both lines, sync and async, to their end and step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
from drivers import SYNC_AND_ASYNC, Play, every, mode

from llm_adapter.testing import serving

LINES = ("ollama@0.24", "ollama@0.32")


@pytest.mark.parametrize("play", SYNC_AND_ASYNC, ids=mode)
@pytest.mark.parametrize("line", LINES)
def test_a_model_from_files_is_made_and_pushed(line: str, play: Play, tmp_path: Path) -> None:
    """Its Modelfile names a file beside it, which is sent once; then the model can be copied and pushed."""
    (tmp_path / "a.gguf").write_bytes(b"GGUF" * 1000)
    (tmp_path / "Modelfile").write_text("FROM ./a.gguf\nPARAMETER temperature .5", encoding="utf-8")

    def script(client: Any) -> Any:
        statuses = []
        for name in ("one", "me/two"):
            made = yield client.models.create(name, modelfile=tmp_path / "Modelfile", stream=True)
            statuses.append([one.status for one in (yield every(made))])
        pushed = yield client.models.push("me/two")
        return statuses, pushed, sorted(one.id for one in (yield client.models.list()).data)

    with serving(line, models=["tiny"]) as fake:
        (first, second), pushed, names = play(script, settings=fake.settings())
        sent = [one for one in fake.requests if one.path.startswith("/api/blobs/") and one.method == "POST"]
    assert (first[0], first[-1], pushed.status, pushed.completed) == ("reading a.gguf", "success", "success", 1_000_000)
    assert second[-1] == "success"
    assert len(sent) == 1
    assert [name.removesuffix(":latest") for name in names] == ["me/two", "one", "tiny"]


FAILING: dict[str, Any] = {
    "a push of what is not there": (
        lambda models, file: models.push("me/none"),
        openai.APIError,
        "manifests/.*me/none",
    ),
    "a push without an account": (lambda models, file: models.push("tiny"), openai.APIError, "unauthorized"),
    "a file that is no GGUF": (lambda models, file: models.create("x", files=[file]), openai.APIError, "file magic"),
    "a file that the server lacks": (
        lambda models, file: models.create("x", files={"a.gguf": f"sha256:{'0' * 64}"}),
        openai.APIError,
        "blobs/sha256-000.*no such file",
    ),
}


@pytest.mark.parametrize("play", SYNC_AND_ASYNC, ids=mode)
@pytest.mark.parametrize(("act", "error", "said"), FAILING.values(), ids=FAILING)
@pytest.mark.parametrize("line", LINES)
def test_what_fails(line: str, act: Any, error: type[Exception], said: str, play: Play, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"no GGUF")

    def script(client: Any) -> Any:
        with pytest.raises(error, match=said):
            yield act(client.models, tmp_path / "a.gguf")

    with serving(line, models=["tiny"]) as fake:
        play(script, settings=fake.settings(), max_retries=0)
