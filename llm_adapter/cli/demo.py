"""`llm-adapter demo`: a script that uses the openai SDK, run on what is configured or on the embedded llama.cpp."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from llm_adapter.cli.defaults import demo_command, ollama_settings
from llm_adapter.cli.real_models import real_model, suggestions
from llm_adapter.client.clients import OpenAI
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.sources import PREFIX
from llm_adapter.settings.trust import VARIABLE as TRUST

_HERE = Path(__file__).parent
# A wheel carries the example beside this file (pyproject.toml, force-include); a checkout has it in its own folder.
_SCRIPTS = (_HERE / "openai_app.py", _HERE.parents[1] / "examples" / "openai_app.py")


def demo(
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", "-p", help="Run on this profile of your configuration; by default on the embedded llama.cpp."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Run on a real model with the embedded llama.cpp: hf:owner/repo:QUANT, which is downloaded, "
            "ollama:NAME, as a local Ollama has it, or the path of a GGUF file."
        ),
    ] = None,
) -> None:
    """Run a script that uses the openai SDK: a chat, a stream, a tool call, a structured output and embeddings."""
    console = Console(soft_wrap=True, highlight=False)
    if profile and model:
        raise typer.BadParameter("give --profile or --model", param_hint="--model")
    settings, offer = real_model(model) if model else _settings(profile), None
    on_tiny_models = settings is None
    if settings is None:
        settings, offer = Settings(provider="embedded"), ollama_settings(os.environ)
    if offer is not None and _accepted(offer):
        settings, offer, on_tiny_models = offer, None, False
    script = next(path for path in _SCRIPTS if path.is_file())
    started = time.monotonic()
    with OpenAI(settings=settings) as client:
        console.print(f"{script.name} on {_place(client)}", markup=False, style="bold")
        console.print(str(script), markup=False, style="dim")
        _module(script).main(client)
    console.print(f"\n[bold]Done[/bold] in {time.monotonic() - started:.1f} s.", end=" ")
    console.print("The same script runs on any profile: llm-adapter demo --profile NAME")
    if model:
        console.print("The embeddings are tiny-embed's, for `embedding_model_path` names no other.", markup=False)
    if on_tiny_models:
        _say_real_models(console)
    if offer is not None:
        console.print(_hint(offer), markup=False)


def _say_real_models(console: Console) -> None:
    console.print("On a real model, in this process too:")
    for line in suggestions():
        console.print(f"  {line}", markup=False)


def _settings(profile: str | None) -> Settings | None:
    """What the option or the environment names; None when they name nothing. A file alone does not redirect a demo."""
    if profile or os.environ.get("LLM_ADAPTER_PROFILE") or os.environ.get("LLM_ADAPTER_PROVIDER"):
        return Settings.load(profile=profile)
    if any(name.startswith(PREFIX) and name != TRUST for name in os.environ):
        return Settings.load(provider="embedded")
    return None


def _place(client: OpenAI) -> str:
    settings = client.settings
    if settings.provider != "embedded":
        return f"provider {settings.provider} at {client.base_url}"
    return f"the embedded llama.cpp, with {settings.model_path or 'two tiny models that know a few sentences'}"


def _accepted(offer: Settings) -> bool:
    """Whether a person at a terminal wants the Ollama that was found; nobody else is asked."""
    if not offer.models.get("*") or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    model = offer.models["*"]
    question = f"Ollama is running at {offer.host}. Run the demo on its {model}, and not on the embedded llama.cpp?"
    return typer.confirm(question, default=False)


def _hint(offer: Settings) -> str:
    if not offer.models.get("*"):
        return f"Ollama is running at {offer.host}, without a model that chats: `ollama pull qwen3` gets one."
    return f"Ollama is running at {offer.host}. To run the demo on it:\n  {demo_command(offer)}"


def _module(path: Path) -> Any:
    spec = spec_from_file_location("openai_app", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
