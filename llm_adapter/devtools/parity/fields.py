"""The fields of a suite's file, as pydantic holds a file to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from llm_adapter.comparison import Outcome, ToolCall
from llm_adapter.provider import Json

MOST_RUNS = 100  # each run of a side is held against each of the other
Rate = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Texts = Annotated[list[str], BeforeValidator(_as_list)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(_Strict):
    """Of a million tokens, in any currency."""

    input: Positive
    output: Positive = 0


class Similarity(_Strict):
    """What embeds the replies' texts."""

    model: str
    profile: str | None = None  # by default the one that is in effect


class Expect(_Strict):
    """What a reply must be. Fields that are not given are not asked."""

    finish_reason: Texts | None = None  # one of them
    tool: Texts | None = None  # the tools called, in any order; an empty list: none
    arguments: Json | None = None  # which some call has, among others
    schema_valid: bool | None = Field(default=None, alias="schema")
    refusal: bool | None = None
    error: str | None = None  # an exception's class, or a code
    min_length: int | None = Field(default=None, ge=0)  # characters
    max_length: int | None = Field(default=None, ge=0)
    contains: Texts | None = None  # whatever the case
    dimensions: int | None = Field(default=None, gt=0)
    vectors: int | None = Field(default=None, gt=0)

    def unmet(self, found: Outcome, text: str) -> tuple[str, ...]:
        """The names of the expectations that a reply does not meet; of an error that none was expected says nothing."""
        asked = {name: getattr(self, name) for name in self.model_fields_set if getattr(self, name) is not None}
        if found.failed or "error" in asked:
            return () if self.error is None or self.awaited(found) else ("error",)
        asked.pop("contains", None)
        lacks = any(one.casefold() not in text.casefold() for one in self.contains or ())
        broken = [name.removesuffix("_valid") for name, wanted in asked.items() if not _MET[name](wanted, found)]
        return tuple(sorted([*broken, *(["contains"] if lacks else [])]))

    def awaited(self, found: Outcome) -> bool:
        """Whether a call was to fail, and so."""
        return self.error is not None and self.error in (found.error, found.code)

    @property
    def asked(self) -> bool:
        return bool(self.model_fields_set)


_MET: dict[str, Callable[[Any, Outcome], bool]] = {
    "finish_reason": lambda wanted, found: found.finish_reason in wanted,
    "tool": lambda wanted, found: sorted(wanted) == sorted(call.name for call in found.tools),
    "arguments": lambda wanted, found: any(_has(call, wanted) for call in found.tools),
    "schema_valid": lambda wanted, found: found.schema_valid is wanted,
    "refusal": lambda wanted, found: found.refused == wanted,
    "min_length": lambda wanted, found: found.characters >= wanted,
    "max_length": lambda wanted, found: found.characters <= wanted,
    "dimensions": lambda wanted, found: found.dimensions == wanted,
    "vectors": lambda wanted, found: found.vectors == wanted,
}


def _has(call: ToolCall, wanted: Json) -> bool:
    return isinstance(call.arguments, dict) and wanted.items() <= call.arguments.items()


class Thresholds(_Strict):
    """How far b may be from a; null judges nothing. The module `thresholds` says what each one means."""

    errors: Rate | None = None
    schema_valid: Rate | None = None
    expected: Rate | None = None
    empty: Rate | None = None
    refused: Rate | None = None
    finish_agreement: Rate | None = None
    tool_agreement: Rate | None = None
    argument_agreement: Rate | None = None
    agreement: Rate | None = None
    similarity: Rate | None = None
    judge: Rate | None = None
    latency: Positive | None = None
    latency_ratio: Positive | None = None
    first_token: Positive | None = None
    first_token_ratio: Positive | None = None
    between_pieces: Positive | None = None
    between_pieces_ratio: Positive | None = None
    length_ratio: Annotated[float, Field(ge=1)] | None = None
    token_ratio: Positive | None = None
    cost_ratio: Positive | None = None


class Given(BaseModel):
    """A prompt as the file has it; all other names are the call's arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(min_length=1)
    endpoint: Literal["chat", "completions", "embeddings", "responses"] | None = None
    user: str | None = None
    system: str | None = None
    expect: Expect = Field(default_factory=Expect)
    thresholds: Thresholds = Field(default_factory=Thresholds)


class File(_Strict):
    """The whole file."""

    runs: int = Field(3, ge=1, le=MOST_RUNS)
    defaults: Json = Field(default_factory=dict)
    thresholds: Thresholds = Field(default_factory=Thresholds)
    prices: dict[str, Price] = Field(default_factory=dict)
    similarity: Similarity | None = None
    prompts: list[Given] = Field(min_length=1)
