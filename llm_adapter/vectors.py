"""The length of embeddings, held against what a call or its profile says (P15)."""

from __future__ import annotations

from collections.abc import Sequence

from llm_adapter.provider import Call, Rejected


def measured(call: Call, lengths: Sequence[int]) -> None:
    """Nothing, where the vectors have the length that is wanted. Raises `Rejected`.

    Servers ignore `dimensions` that they cannot give; an index built on a guess is found out much later.
    """
    asked, expected = call.body.get("dimensions"), call.settings.expected_dimensions
    for wanted, param in ((asked, "dimensions"), (None if asked else expected, "model")):
        got = next((length for length in lengths if length != wanted), None)
        if wanted is not None and got is not None:
            raise Rejected(
                f"the model gives embeddings of {got} dimensions, not {wanted}: use another model, or build the index "
                f"anew with {got}",
                param=param,
                code="embedding_dimensions_mismatch",
            )
