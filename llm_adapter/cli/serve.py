"""`llm-adapter serve`: OpenAI's API for programs in any language, answered by a profile."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import typer

from llm_adapter.cli.options import Profile
from llm_adapter.cli.screen import console, say

Host = Annotated[str, typer.Option(help="The address to listen at; one that others can reach needs a key.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port.")]
KeyVariable = Annotated[
    str | None, typer.Option(help="The variable with the key that callers have to send.", metavar="VARIABLE")
]
NoKey = Annotated[bool, typer.Option("--no-key", help="Let everybody in who reaches the address, whatever it is.")]
Origins = Annotated[
    list[str] | None, typer.Option(help="Pages that may ask, such as https://app.example. Can be repeated.")
]
Hosts = Annotated[
    list[str] | None,
    typer.Option(help="Another name by which callers without a key reach the gateway. Can be repeated."),
]
Mebibytes = Annotated[int, typer.Option(min=1, help="The largest request, in MiB.")]
Grace = Annotated[int, typer.Option(min=0, help="Seconds for running replies to finish when the gateway is to end.")]
Retries = Annotated[int, typer.Option(min=0, help="How often a model's server is asked again where that helps.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes; more than one need the setting `response_store`.")]


def serve(
    profile: Profile = None,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    api_key_env: KeyVariable = None,
    no_key: NoKey = False,
    allow_origin: Origins = None,
    allow_host: Hosts = None,
    max_body: Mebibytes = 64,
    grace: Grace = 30,
    max_retries: Retries = 2,
    workers: Workers = 1,
) -> None:
    """Answer OpenAI's API at an address, for programs in any language: base_url is http://HOST:PORT/v1.

    /healthz, /readyz and /metrics (for Prometheus) are beside it. Keys of providers stay here, and callers' keys too.
    """
    _need_extra()
    from llm_adapter.serve import server

    hosts = tuple(allow_host or ())
    service = server.Service(profile, host, port, api_key_env, no_key, tuple(allow_origin or ()), hosts)
    service = replace(service, max_body=max_body << 20, grace=grace, max_retries=max_retries, workers=workers)
    if service.key(os.environ) is None and no_key:
        say(console(stderr=True), f"llm-adapter: no key is asked for: whoever reaches {host}:{port} can use it")
    server.serve(service, os.environ)


def _need_extra() -> None:
    try:
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        told = f"the gateway needs the extra `serve` ({error.name} is missing): pip install 'llm_adapter[serve]'"
        raise typer.BadParameter(told, param_hint="serve") from error
