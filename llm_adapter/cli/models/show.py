"""`llm-adapter models show`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_adapter.cli.options import AsJson, Name, Profile
from llm_adapter.cli.screen import console, print_json
from llm_adapter.client.clients import OpenAI
from llm_adapter.devtools.reporting.text import harmless, shortened
from llm_adapter.providers.ollama.types import ModelDetails, ModelInfo


def show(model: Name, profile: Profile = None, as_json: AsJson = False) -> None:
    """Show what a model is and can do; --json prints everything, with the template and the Modelfile."""
    with OpenAI(profile=profile) as client:
        info = client.models.show(model)
    if as_json:
        print_json(info.to_dict(mode="json"))
        return
    _print(console(), {"name": info.model, **_facts(info)})


def _facts(info: ModelInfo) -> dict[str, str]:
    details = info.details or ModelDetails()
    facts = {
        "architecture": (info.model_info or {}).get("general.architecture") or details.family,
        "parameters": details.parameter_size,
        "quantization": details.quantization_level,
        "context": info.context_length,
        "embedding": info.embedding_length,
        "capabilities": ", ".join(info.capabilities or ()),
        "runs at": info.remote_host,
        "there called": info.remote_model,
        "system": info.system,
        "options": "\n".join(" ".join(line.split()) for line in (info.parameters or "").splitlines()),
        "licence": shortened(info.license or "", 60),
    }
    return {name: str(value) for name, value in facts.items() if value}


def _print(screen: Console, facts: dict[str, str]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(harmless(value)))
    screen.print(table, soft_wrap=False)
