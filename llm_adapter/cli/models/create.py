"""`llm-adapter models create`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_adapter.cli.models.progress import follow
from llm_adapter.cli.options import AsJson, Name, Profile
from llm_adapter.client.clients import OpenAI
from llm_adapter.management.modelfile import ModelfileError
from llm_adapter.management.transfers import Transfer

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
    modelfile: Annotated[
        Path | None,
        typer.Option("--modelfile", "-f", help="A Modelfile to make it by.", exists=True, dir_okay=False),
    ] = None,
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
    """Make a model from another one, from files, or by a Modelfile."""
    if base is None and not file and modelfile is None:
        raise typer.BadParameter("give --from MODEL, --file PATH or -f MODELFILE", param_hint="--from")
    wishes: dict[str, Any] = {"from_": base, "files": file, "adapters": adapter, "template": template, "system": system}
    wishes |= {"parameters": _parameters(parameter or []), "license": license_text, "quantize": quantize}
    with OpenAI(profile=profile) as client:
        transfer = _transfer(client, model, {"modelfile": modelfile, **wishes})
        follow(f"create {model}", transfer, as_json=as_json)


def _transfer(client: OpenAI, model: str, wishes: dict[str, Any]) -> Transfer:
    given = {name: value for name, value in wishes.items() if value not in (None, [], {})}
    try:
        transfer: Transfer = client.models.create(model, **given, stream=True)
    except (ModelfileError, FileNotFoundError) as error:
        raise typer.BadParameter(str(error), param_hint="--modelfile") from None
    return transfer


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
