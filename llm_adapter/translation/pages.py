"""OpenAI's lists come in pages: `after` names the last item of the page before, `limit` how many are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_adapter.provider import Json


def page(ordered: Sequence[Json], query: Mapping[str, Any], usual: int) -> tuple[list[Json], bool]:
    """The items of a page, and whether more follow. usual: the limit where the query has none.

    Raises KeyError where there is no item with the id that `after` names.
    """
    start = 0
    if (after := query.get("after")) is not None:
        places = [place for place, one in enumerate(ordered) if one.get("id") == after]
        if not places:
            raise KeyError(after)
        start = places[0] + 1
    end = start + int(query.get("limit") or usual)
    return list(ordered[start:end]), len(ordered) > end
