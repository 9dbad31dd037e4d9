"""What looks at the texts: how near their embeddings are, and a judge of the user's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import combinations, product
from pathlib import Path
from statistics import fmean
from typing import Any

import openai

from llm_adapter.comparison import cosine, vector
from llm_adapter.devtools.parity.figures import UNKNOWN, Agreement, Run
from llm_adapter.devtools.parity.suite import Prompt
from llm_adapter.devtools.reporting.failures import explained


class JudgeError(openai.OpenAIError):
    """What is wrong with a judge."""


@dataclass(frozen=True)
class Similar:
    """The cosines of texts' embeddings."""

    client: openai.OpenAI
    model: str

    def __call__(self, name: str, a: Sequence[Run], b: Sequence[Run], notes: list[str]) -> Agreement:
        """The mean of all pairs between the sides, and of a's own. notes: gets a line where there are no embeddings."""
        one, other = ([run.text for run in side if run.text] for side in (a, b))
        if not one or not other:
            return UNKNOWN
        texts = list(dict.fromkeys([*one, *other]))
        try:
            data = self.client.embeddings.create(model=self.model, input=texts, encoding_format="float").data
        except openai.OpenAIError as error:
            notes.append(f"{name}: no embeddings: {explained(error)}")
            return UNKNOWN
        vectors = dict(zip(texts, (vector(item.embedding) for item in data), strict=False))
        if vectors.keys() != set(texts):
            notes.append(f"{name}: {len(texts)} texts have {len(vectors)} embeddings")
            return UNKNOWN
        between = [cosine(vectors[x], vectors[y]) for x, y in product(one, other)]
        own = [cosine(vectors[x], vectors[y]) for x, y in combinations(one, 2)]
        return Agreement(fmean(between), fmean(own) if own else None)


@dataclass(frozen=True)
class Judge:
    """A function of the user's: of a call's arguments and the two texts, a score from 0 to 1."""

    function: Callable[[dict[str, Any], str, str], float]

    def __call__(self, prompt: Prompt, a: Sequence[Run], b: Sequence[Run]) -> float | None:
        """The mean of the runs that came on both sides. Raises `JudgeError`."""
        pairs = [(x.text, y.text) for x, y in zip(a, b, strict=True) if x.came and y.came]
        scores = [self._score(prompt, x, y) for x, y in pairs]
        return fmean(scores) if scores else None

    def _score(self, prompt: Prompt, a: str, b: str) -> float:
        try:
            score = self.function(prompt.body, a, b)
        except Exception as error:
            raise JudgeError(f"the judge failed on {prompt.name!r}: {type(error).__name__}: {error}") from error
        if not isinstance(score, (int, float)) or not 0 <= score <= 1:
            raise JudgeError(f"the judge gave {score!r} for {prompt.name!r}: a score is a number from 0 to 1")
        return float(score)


def judge(name: str) -> Judge:
    """The judge at `module:function`, looked for in the working directory first. Raises ValueError."""
    module, _, function = name.partition(":")
    if not module or not function:
        raise ValueError(f"{name!r} is not of the form module:function")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), function, None)
    except ImportError as error:
        raise ValueError(f"{module!r} cannot be imported: {error}") from None
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise ValueError(f"{module!r} has no function {function!r}")
    return Judge(found)
