"""`llm-adapter models show`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_adapter.cli.models.naming import Name
from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import console, print_json
from llm_adapter.client.clients import OpenAI
from llm_adapter.devtools.reporting.text import harmless, shortened
from llm_adapter.providers.ollama.types import ModelDetails, ModelInfo


def show(model: Name, profile: Profile = None, as_json: AsJson = False) -> None:
    """Show what a model is and can do; --json has everything, the template and the Modelfile among it."""
    with OpenAI(profile=profile) as client:
        told = client.models.show(model)
    if as_json:
        print_json(told.to_dict(mode="json"))
        return
    _print(console(), {"name": told.model, **_facts(told)})


def _facts(told: ModelInfo) -> dict[str, str]:
    details = told.details or ModelDetails()
    facts = {
        "architecture": (told.model_info or {}).get("general.architecture") or details.family,
        "parameters": details.parameter_size,
        "quantization": details.quantization_level,
        "context": told.context_length,
        "embedding": told.embedding_length,
        "capabilities": ", ".join(told.capabilities or ()),
        "runs at": told.remote_host,
        "there called": told.remote_model,
        "system": told.system,
        "options": "\n".join(" ".join(line.split()) for line in (told.parameters or "").splitlines()),
        "licence": shortened(told.license or "", 60),
    }
    return {name: str(value) for name, value in facts.items() if value}


def _print(screen: Console, facts: dict[str, str]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(harmless(value)))
    screen.print(table, soft_wrap=False)
