"""`llm-adapter models create`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_adapter.cli.models.progress import follow
from llm_adapter.cli.options import AsJson, Name, Profile
from llm_adapter.client.clients import OpenAI

_Files = Annotated[
    list[Path] | None,
    typer.Option(
        help="A GGUF or safetensors file to make it from; may be given several times.", exists=True, dir_okay=False
    ),
]


def create(
    model: Name,
    base: Annotated[str | None, typer.Option("--from", help="The model to make it from.")] = None,
    file: _Files = None,
    adapter: Annotated[
        list[Path] | None,
        typer.Option(help="A file of a LoRA adapter; may be given several times.", exists=True, dir_okay=False),
    ] = None,
    system: Annotated[str | None, typer.Option(help="Its system message.")] = None,
    template: Annotated[str | None, typer.Option(help="Its prompt template.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-P", help="An option, such as num_ctx=8192; may be given several times."),
    ] = None,
    license_text: Annotated[str | None, typer.Option("--license", help="Its licence.")] = None,
    quantize: Annotated[str | None, typer.Option(help="Quantize it to this type, such as q4_K_M.")] = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Make a model from another one, or from files."""
    if base is None and not file:
        raise typer.BadParameter("give --from MODEL or --file PATH", param_hint="--from")
    given = _parameters(parameter or [])
    with OpenAI(profile=profile) as client:
        transfer = client.models.create(
            model,
            from_=base,
            files=file or None,
            adapters=adapter or None,
            template=template,
            system=system,
            parameters=given or None,
            license=license_text,
            quantize=quantize,
            stream=True,
        )
        follow(f"create {model}", transfer, as_json=as_json)


def _parameters(pairs: list[str]) -> dict[str, Any]:
    """The options by name; one that is given twice is a list, as several `stop` are."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not of the form name=value", param_hint="--parameter")
        value = _value(text)
        if name in found:
            before = found[name]
            value = [*(before if isinstance(before, list) else [before]), value]
        found[name] = value
    return found


def _value(text: str) -> Any:
    """A number or a truth value as such, anything else as the text it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float, bool)) else text
