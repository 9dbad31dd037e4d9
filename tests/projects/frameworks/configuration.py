"""Default models of settings: fields, tables, variables, options. What only speaks of models is none."""

import argparse
import os
from dataclasses import dataclass, field
from enum import Enum

import typer
from pydantic import Field
from pydantic_settings import BaseSettings


class Configuration(BaseSettings):
    chat: str = "gpt-4o"  # expect: unmapped-model gpt-4o
    embedding: str = Field(default="text-embedding-3-large")  # expect: unmapped-model text-embedding-3-large
    roles: dict = Field(default_factory=lambda: {"judge": "gpt-4.1"})  # expect: unmapped-model gpt-4.1


@dataclass
class Judge:
    name: str = "gpt-5"  # expect: unmapped-model gpt-5
    other: str = field(default="o3-mini")  # expect: unmapped-model o3-mini


TABLE = {"fast": "gpt-5-mini", "size": 3}  # expect: unmapped-model gpt-5-mini
CHAT = os.environ.get("CHAT", "gpt-4-turbo")  # expect: unmapped-model gpt-4-turbo
EMBED = os.getenv("EMBED") or "text-embedding-ada-002"  # expect: unmapped-model text-embedding-ada-002
parser = argparse.ArgumentParser()
parser.add_argument("--llm", default="o4-mini")  # expect: unmapped-model o4-mini


def main(chat: str = typer.Option("gpt-4.1-mini"), other="gpt-4.5"):  # expect: unmapped-model gpt-4.1-mini; unmapped-model gpt-4.5
    shown = "gpt-4o is fine"
    if chat == "gpt-4o":
        print("gpt-4o", shown)


PRICES = {"gpt-4o": 2.5}
NEWEST = {"gpt-4o": "gpt-4o-2024-11-20"}
SUPPORTED = ["gpt-4o", "gpt-4.1"]
LOCAL = "gpt-oss:20b"
REPLY = {"id": "1", "choices": [], "name": "gpt-4o"}


class Known(str, Enum):
    LARGE = "gpt-4o"
