"""`llm-adapter models`: the models of a server: list, pull, create, load and delete them."""

from __future__ import annotations

from llm_adapter.cli.help import App
from llm_adapter.cli.models.cp import cp
from llm_adapter.cli.models.create import create
from llm_adapter.cli.models.load import load, unload
from llm_adapter.cli.models.ls import ls
from llm_adapter.cli.models.ps import ps
from llm_adapter.cli.models.pull import pull, push
from llm_adapter.cli.models.rm import rm
from llm_adapter.cli.models.show import show

app = App(help="List, pull, create, load and delete models.", no_args_is_help=True)
for command in (ls, ps, show, pull, push, create, cp, rm, load, unload):
    app.command()(command)
