"""What the package leans on and what it promises of itself: the SDK's hooks, a light import, the types."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest
from openai._models import FinalRequestOptions

import llm_adapter
from llm_adapter import AsyncOpenAI, OpenAI

PACKAGE = Path(llm_adapter.__file__).parent
ROOT = PACKAGE.parent
MODULES = {
    ".".join(("llm_adapter", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
SYNC_AND_ASYNC = pytest.mark.parametrize(
    ("ours", "theirs"), [(OpenAI, openai.OpenAI), (AsyncOpenAI, openai.AsyncOpenAI)], ids=["sync", "async"]
)
NEWEST = (3, 52)  # the SDK that arguments.py is written after
INSTALLED = tuple(int(part) for part in openai.__version__.split(".")[:2])


# --- the SDK's inside ------------------------------------------------------------------------------------------------


def parameters(function: Any) -> dict[str, Any]:
    return {name: parameter.kind.name for name, parameter in inspect.signature(function).parameters.items()}


HOOKS = {
    "_idempotency_key": {"self": "POSITIONAL_OR_KEYWORD"},
    "_prepare_options": {"self": "POSITIONAL_OR_KEYWORD", "options": "POSITIONAL_OR_KEYWORD"},
    "_build_request": {
        "self": "POSITIONAL_OR_KEYWORD",
        "options": "POSITIONAL_OR_KEYWORD",
        "retries_taken": "KEYWORD_ONLY",
    },
    "_send_request": {
        "self": "POSITIONAL_OR_KEYWORD",
        "request": "POSITIONAL_OR_KEYWORD",
        "stream": "KEYWORD_ONLY",
        "kwargs": "VAR_KEYWORD",
    },
    "_make_status_error": {
        "self": "POSITIONAL_OR_KEYWORD",
        "err_msg": "POSITIONAL_OR_KEYWORD",
        "body": "KEYWORD_ONLY",
        "response": "KEYWORD_ONLY",
    },
    "_process_response_data": {
        "self": "POSITIONAL_OR_KEYWORD",
        "data": "KEYWORD_ONLY",
        "cast_to": "KEYWORD_ONLY",
        "response": "KEYWORD_ONLY",
    },
    "_make_sse_decoder": {"self": "POSITIONAL_OR_KEYWORD"},
}


@SYNC_AND_ASYNC
@pytest.mark.parametrize("hook", HOOKS)
def test_hooks(ours: Any, theirs: Any, hook: str) -> None:
    """The methods that we override are there, and take what ours take."""
    assert parameters(getattr(theirs, hook)) == parameters(getattr(ours, hook)) == HOOKS[hook]
    assert inspect.iscoroutinefunction(getattr(theirs, hook)) == inspect.iscoroutinefunction(getattr(ours, hook))


@SYNC_AND_ASYNC
def test_what_reads_a_response(ours: Any, theirs: Any) -> None:
    """The hook takes all but the response as it comes; tests/client/test_other_profiles.py shows what it does."""
    assert parameters(theirs._process_response)["response"] == "KEYWORD_ONLY"
    assert inspect.iscoroutinefunction(theirs._process_response) == inspect.iscoroutinefunction(ours._process_response)


@SYNC_AND_ASYNC
@pytest.mark.parametrize("name", ["_parse_retry_after_header", "_should_retry"])
def test_what_is_asked_of_a_response(ours: Any, theirs: Any, name: str) -> None:
    """What the SDK thinks of trying again."""
    assert len(parameters(getattr(theirs, name))) == 2


@SYNC_AND_ASYNC
def test_copy_carries_our_arguments(ours: Any, theirs: Any) -> None:
    """`copy()` hands `_extra_kwargs` to the constructor, and `with_options` is the same method."""
    assert parameters(theirs.copy)["_extra_kwargs"] == "KEYWORD_ONLY"
    assert ours.with_options is ours.copy


@SYNC_AND_ASYNC
@pytest.mark.parametrize("method", ["__init__", "copy"])
def test_our_signature_is_the_sdks_and_two_more(ours: Any, theirs: Any, method: str) -> None:
    """Who inspects the clients, as the SDK's own tests do, finds every argument by name."""
    found, expected = parameters(getattr(ours, method)), parameters(getattr(theirs, method))
    assert found == {**expected, "profile": "KEYWORD_ONLY", "settings": "KEYWORD_ONLY"}


def test_request_options() -> None:
    """The fields of the SDK's request that routing reads and replaces."""
    fields = {"method", "url", "params", "headers", "json_data", "extra_json", "content", "files"}
    assert fields <= FinalRequestOptions.model_fields.keys()


@pytest.mark.parametrize("name", ["_client", "_custom_headers", "_custom_query", "_strict_response_validation"])
@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
def test_private_attributes(kind: Any, name: str) -> None:
    assert hasattr(kind(api_key="k"), name)


def typed_options() -> dict[str, set[str]]:
    """The keys of arguments.py's dictionaries. Read as text: an older SDK lacks some of the types."""
    keys: dict[str, set[str]] = {}
    for node in ast.parse((PACKAGE / "client" / "arguments.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            bases = [keys.get(base.id, set()) for base in node.bases if isinstance(base, ast.Name)]
            keys[node.name] = {part.target.id for part in node.body if isinstance(part, ast.AnnAssign)}.union(*bases)  # type: ignore[union-attr]
    return keys


OPTIONS = {
    "ClientOptions": openai.OpenAI.__init__,
    "AsyncClientOptions": openai.AsyncOpenAI.__init__,
    "CopyOptions": openai.OpenAI.copy,
    "AsyncCopyOptions": openai.AsyncOpenAI.copy,
}


@pytest.mark.parametrize(("name", "method"), OPTIONS.items(), ids=OPTIONS)
def test_options(name: str, method: Any) -> None:
    """A type checker knows every argument of the SDK's; an older SDK may have fewer."""
    theirs = parameters(method).keys() - {"self", "_extra_kwargs"}
    ours = typed_options()[name]
    assert theirs <= ours
    assert INSTALLED < NEWEST or ours == theirs


# --- importing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["llm_adapter", "llm_adapter.testing"])
def test_every_public_name_is_there(package: str) -> None:
    """They are loaded when they are asked for: a name without a home would be missed by its first user alone."""
    module = importlib.import_module(package)
    assert [name for name in module.__all__ if getattr(module, name, None) is None] == []
    assert set(module.__all__) <= set(dir(module))


# --- types -----------------------------------------------------------------------------------------------------------

TYPED = """
import openai
from openai.types.chat import ChatCompletion

from llm_adapter import AsyncOpenAI, OpenAI, Settings, adapted, timings

def seconds(reply: ChatCompletion) -> float:
    report, figures = adapted(reply), timings(reply)
    assert report is None or report.provider.isidentifier()
    return (figures.total_duration or 0) / 1e9 if figures is not None else 0.0

def ask(client: openai.OpenAI) -> str | None:
    hi: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
    return client.chat.completions.create(model="m", messages=hi).choices[0].message.content

async def ask_async(client: openai.AsyncOpenAI) -> ChatCompletion:
    return await client.chat.completions.create(model="m", messages=[])

def name(client: OpenAI) -> str:
    return str(client.settings.provider)

ask(OpenAI())
ask(OpenAI(profile="local", timeout=3, max_retries=1, default_headers={"a": "b"}))
name(OpenAI(settings=Settings(provider="ollama")).with_options(timeout=3).copy(profile="cloud"))
asking = ask_async(AsyncOpenAI(api_key="k").with_options(max_retries=0))
# Each of these is an error, or mypy says that its comment is not needed:
ask(AsyncOpenAI())  # type: ignore[arg-type]
OpenAI(timeout="soon")  # type: ignore[arg-type]
OpenAI(nonsense=1)  # type: ignore[call-arg]
OpenAI().copy(profile=3)  # type: ignore[arg-type]
seconds(OpenAI().chat.completions.create(model="m", messages=[])).upper()  # type: ignore[attr-defined]
OpenAI().chat.completions.create(model=3, messages=[])  # type: ignore[call-overload]
"""


def test_types(tmp_path: Path) -> None:
    """A typed code base takes our clients where it takes the SDK's: mypy, strict. A second with mypy's cache warm."""
    pytest.importorskip("mypy")
    file = tmp_path / "typed.py"
    file.write_text(TYPED, encoding="utf-8")
    options = ["--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache'}"]
    done = subprocess.run([sys.executable, "-m", "mypy", *options, str(file)], capture_output=True, encoding="utf-8")
    assert done.stdout.startswith("Success"), done.stdout + done.stderr
