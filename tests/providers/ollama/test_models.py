"""Models, embeddings and completions on native Ollama, through the public client."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from conftest import DONE, HOST
from recorded import SERVERS, exchanges

from llm_adapter import AdapterWarning, Settings


def models(server: str, method: str, path: str) -> Any:
    return next(one for one in exchanges(server, "models", "native") if (one.method, one.path) == (method, path))


@pytest.mark.parametrize("server", SERVERS[:2])
def test_list(server: str, run: Any, ollama: Any) -> None:
    """The models that /v1 lists, with its ids, times and owners."""
    ollama.answer("/api/tags", body=models(server, "GET", "/api/tags").body, method="GET")
    theirs = next(one for one in exchanges(server, "models", "v1") if one.path == "/v1/models")
    ours = run(lambda client: client.models.list()).data
    assert [one.to_dict() | {"ollama": None} for one in ours] == [
        one | {"ollama": None} for one in json.loads(theirs.body)["data"]
    ]
    assert all(len(one.ollama["digest"]) == 64 for one in ours)


@pytest.mark.parametrize("name", ["tiny", "hf.co/someone/tiny:Q4", "gpt-4o-mini"])
def test_retrieve(name: str, run: Any, ollama: Any) -> None:
    """One model, by any name: a slash is 404 on Ollama's /v1, and an alias is resolved."""
    asked = ollama.answer("/api/show", body=models(SERVERS[0], "POST", "/api/show").body)
    aliased = Settings(provider="ollama", host=HOST, models={"gpt-4o-mini": "qwen3:8b"})
    model = run(lambda client: client.models.retrieve(name), settings=aliased)
    real = "qwen3:8b" if name == "gpt-4o-mini" else name
    assert json.loads(asked.calls.last.request.content) == {"model": real}
    assert (model.id, model.created > 1_700_000_000) == (real, True)
    assert model.owned_by == ("someone" if "/" in name else "library")
    assert model.ollama["capabilities"] == ["completion", "tools", "thinking"]


def test_retrieve_has_the_digest(run: Any, ollama: Any) -> None:
    """/api/show has none: an embedding's fingerprint would be another one than that of the list."""
    listed = models(SERVERS[0], "GET", "/api/tags").body
    ollama.answer("/api/tags", body=listed, method="GET")
    ollama.answer("/api/show", body=models(SERVERS[0], "POST", "/api/show").body)
    model = run(lambda client: client.models.retrieve("tiny"))
    digests = {one["model"]: one["digest"] for one in json.loads(listed)["models"]}
    assert model.ollama["digest"] == digests["tiny:latest"]
    assert model.ollama["capabilities"] == ["completion", "tools", "thinking"]


def test_retrieve_of_what_is_there_and_of_what_another_answers_for(run: Any, ollama: Any) -> None:
    """A model is itself, whatever "*" stands for; a name that the server has not is the model that will answer."""
    there = json.loads(models(SERVERS[0], "POST", "/api/show").body)

    def shown(request: Any) -> Any:
        known = json.loads(request.content)["model"] in ("tiny", "spare")
        return httpx.Response(200, json=there) if known else httpx.Response(404, json={"error": "model not found"})

    ollama.answer("/api/show").mock(side_effect=shown)
    starred = Settings(provider="ollama", host=HOST, models={"*": "spare"})
    for name, real in {"tiny": "tiny", "gpt-4o": "spare"}.items():
        assert run(lambda client, name=name: client.models.retrieve(name), settings=starred).id == real


def test_a_provider_in_the_name(run: Any, ollama: Any) -> None:
    """What follows "ollama/" is the server's own name, which "*" does not mean. Other prefixes stay names."""
    ollama.answer("/api/chat", body={"model": "m", "message": {"content": "x"}, **DONE})
    settings = Settings(provider="ollama", host=HOST, models={"ollama/mine": "theirs", "*": "spare"})
    said = [{"role": "user", "content": "x"}]
    for name, real in {"ollama/tiny": "tiny", "ollama/mine": "theirs", "hf.co/tiny": "spare"}.items():
        run(lambda client, name=name: client.chat.completions.create(model=name, messages=said), settings=settings)
        assert ollama.sent["model"] == real


def test_delete(run: Any, ollama: Any) -> None:
    ollama.answer("/api/delete", body="", method="DELETE")
    deleted = run(lambda client: client.models.delete("tiny"))
    assert (deleted.id, deleted.deleted, ollama.sent) == ("tiny", True, {"model": "tiny"})


@pytest.mark.parametrize("action", ["retrieve", "delete"])
def test_missing(action: str, run: Any, ollama: Any) -> None:
    """A model that is not there is NotFoundError with OpenAI's code."""
    ollama.answer("/api/show", 404, {"error": "model 'nope:latest' not found"})
    ollama.answer("/api/delete", 404, {"error": "model 'nope' not found"}, method="DELETE")
    with pytest.raises(openai.NotFoundError, match="nope") as caught:
        run(lambda client: getattr(client.models, action)("nope"))
    assert caught.value.code == "model_not_found"


def test_alias_and_default(run: Any, ollama: Any) -> None:
    """Call sites keep their names; the reply names the real model."""
    ollama.answer("/api/chat", body={"model": "qwen3:8b", "message": {"content": "x"}, **DONE})
    settings = Settings(provider="ollama", host=HOST, models={"gpt-4o-mini": "qwen3:8b", "*": "llama3:8b"})
    for asked, real in {"gpt-4o-mini": "qwen3:8b", "gpt-4.1": "llama3:8b", "qwen3:8b": "qwen3:8b"}.items():
        reply = run(
            lambda client, asked=asked: client.chat.completions.create(
                model=asked, messages=[{"role": "user", "content": "x"}]
            ),
            settings=settings,
        )
        assert ollama.sent["model"] == real
    assert reply.model == "qwen3:8b"


TOKENS: list[Any] = [[1, 2, 3], [[1, 2], [3]]]


@pytest.mark.parametrize("given", TOKENS)
def test_token_ids_are_refused_with_the_cure(given: Any, run: Any, ollama: Any) -> None:
    """LangChain sends token ids of another model's vocabulary; the error names its switch."""
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        run(lambda client: client.embeddings.create(model="e", input=given))
    with pytest.raises(openai.BadRequestError, match="token ids"):
        run(lambda client: client.completions.create(model="m", prompt=given))
    assert ollama.count == 0


def test_empty_text_is_embedded(run: Any, ollama: Any) -> None:
    """Natively, "" only loads the model and gives nothing (recordings: embed_empty); [""] gives its embedding."""
    ollama.answer("/api/embed", body={"model": "e", "embeddings": [[0.5, 0.25]], "prompt_eval_count": 2})
    reply = run(lambda client: client.embeddings.create(model="e", input=""))
    assert (ollama.sent["input"], reply.data[0].embedding) == ([""], [0.5, 0.25])


def test_missing_embeddings_are_an_error(run: Any, ollama: Any) -> None:
    """Fewer vectors than inputs would shift every one after the gap."""
    ollama.answer("/api/embed", body={"model": "e", "embeddings": [[0.5]]})
    with pytest.raises(openai.InternalServerError, match="1 embeddings for 2 inputs"):
        run(lambda client: client.embeddings.create(model="e", input=["a", "b"]))


def test_suffix_uses_the_models_infill_template(run: Any, ollama: Any) -> None:
    ollama.answer("/api/generate", body={"model": "m", "response": "x", **DONE})
    run(lambda client: client.completions.create(model="m", prompt="def f(", suffix="return"))
    assert (ollama.sent["suffix"], ollama.sent["raw"]) == ("return", False)


def test_timings(run: Any, ollama: Any) -> None:
    """Ollama's own figures, with attributes, on the reply and on a stream's last chunk."""
    ollama.answer("/api/chat", body={"model": "m", "message": {"content": "x"}, **DONE})
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    reply = run(lambda client: client.chat.completions.create(**asked))
    assert (reply.ollama.total_duration, reply.ollama.load_duration) == (9, None)
    assert reply.to_dict()["ollama"] == {"total_duration": 9, "prompt_eval_count": 3, "eval_count": 2}
    chunks = run.stream(lambda client: client.chat.completions.create(**asked, stream=True))
    assert chunks[-1].ollama.total_duration == 9


def test_untranslated_endpoints_go_to_v1(run: Any, ollama: Any) -> None:
    """What has no native form is Ollama's /v1's, aliases resolved."""
    ollama.answer("/v1/images/generations", body={"created": 1, "data": [{"b64_json": "AA=="}]})
    settings = Settings(provider="ollama", host=HOST, models={"a": "b"})
    run(lambda client: client.images.generate(prompt="x", model="a"), settings=settings)
    assert ollama.sent["model"] == "b"


def test_usage_is_never_a_silent_zero(run: Any, ollama: Any) -> None:
    """Older servers give no count for a cached prompt: it is estimated then, and says so."""
    ollama.answer("/api/chat", body={"model": "m", "message": {"content": "Hello there"}, "done": True})
    usage = run(
        lambda client: client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    ).usage
    assert usage.prompt_tokens > 0
    assert (usage.completion_tokens, usage.estimated) == (4, True)
    ollama.answer("/api/embed", body={"model": "e", "embeddings": [[0.5]]})
    usage = run(lambda client: client.embeddings.create(model="e", input="Hello there")).usage
    assert (usage.prompt_tokens, usage.estimated) == (4, True)


def test_usage_of_a_stream_is_never_a_silent_zero(run: Any, ollama: Any) -> None:
    """The pieces that came stand for the tokens that nobody counted."""
    pieces = [{"model": "m", "message": {"content": word}, "done": False} for word in ("Hel", "lo", " there")]
    ollama.answer("/api/chat", body=[*pieces, {"model": "m", "message": {"content": ""}, "done": True}])
    asked: Any = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    chunks = run.stream(
        lambda client: client.chat.completions.create(messages=[{"role": "user", "content": "Hi"}], **asked)
    )
    assert (chunks[-1].usage.completion_tokens, chunks[-1].usage.estimated) == (3, True)
    texts = [{"model": "m", "response": word, "done": False} for word in ("Hel", "lo")]
    ollama.answer("/api/generate", body=[*texts, {"model": "m", "response": "", "done": True}])
    chunks = run.stream(lambda client: client.completions.create(prompt="Hi", **asked))
    assert (chunks[-1].usage.completion_tokens, chunks[-1].usage.estimated) == (2, True)


def test_fingerprint(run: Any, ollama: Any) -> None:
    """It tells models, lengths and builds apart, and nothing else."""
    from llm_adapter import embedding_fingerprint

    def made(model: str, vector: list[float], digest: str = "a" * 64) -> str:
        ollama.answer("/api/embed", body={"model": model, "embeddings": [vector], "prompt_eval_count": 1})
        tags = {"models": [{"name": model, "model": model, "digest": digest, "modified_at": "2026-01-01T00:00:00Z"}]}
        ollama.answer("/api/tags", body=tags, method="GET")
        reply = run(lambda client: client.embeddings.create(model=model, input="x"))
        return embedding_fingerprint(reply, run(lambda client: client.models.list()).data[0])

    same = made("e", [0.5, 0.25])
    assert same == made("e", [0.1, 0.2])
    others = {made("f", [0.5, 0.25]), made("e", [0.5]), made("e", [0.5, 0.25], digest="b" * 64)}
    assert len(others | {same}) == 4


def test_ids_are_unique(run: Any, ollama: Any) -> None:
    """Ollama's /v1 has 999 ids."""
    ollama.answer("/api/chat", body={"model": "m", "message": {"content": "x"}, **DONE})

    def script(client: Any) -> Any:
        return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])

    assert len({run(script).id for _ in range(40)}) == 40


def test_a_completion_that_only_thought(run: Any, ollama: Any) -> None:
    """`raw: False` has the template, and the model thinks: an empty text is told of, as it is of a chat."""
    ollama.answer(
        "/api/generate", body={"model": "m", "response": "", "thinking": "Hm", **DONE, "done_reason": "length"}
    )
    with pytest.warns(AdapterWarning, match="thinking used the whole of `max_tokens`"):
        reply = run(
            lambda client: client.completions.create(model="m", prompt="Hi", max_tokens=2, extra_body={"raw": False})
        )
    assert (reply.choices[0].text, reply.choices[0].reasoning) == ("", "Hm")
    assert reply.adapter.changed == ["thinking used the whole of max_tokens"]


@pytest.mark.parametrize("name", ["system", "template"])
def test_a_raw_prompt_has_no_place_for_a_system_message(name: str, run: Any, ollama: Any) -> None:
    """Ollama's "raw mode does not support template, system, or context" says nothing of how to give it one."""
    ollama.answer("/api/generate", body={"model": "m", "response": "x", **DONE})

    def complete(**extra: Any) -> Any:
        return run(lambda client: client.completions.create(model="m", prompt="Hi", extra_body={name: "x", **extra}))

    with pytest.raises(openai.BadRequestError, match=f'`{name}` belongs .* extra_body={{"raw": False}}') as caught:
        complete()
    assert (caught.value.param, ollama.count) == (name, 0)
    assert complete(raw=False).choices[0].text == "x"


def test_retrieve_where_there_is_no_list(run: Any, ollama: Any) -> None:
    """A gateway that hides /api/tags has found the model all the same; only the digest is unknown."""
    ollama.answer("/api/show", body=models(SERVERS[0], "POST", "/api/show").body)
    ollama.answer("/api/tags", 404, "404 page not found", method="GET")
    model = run(lambda client: client.models.retrieve("tiny"))
    assert (model.id, "digest" in model.ollama) == ("tiny", False)
