"""Tools and their choice in the Responses form  →  in chat's.

Source: openai-python types/responses/tool_param.py and tool_choice_*_param.py, v3.52.0. Ollama's own /v1 makes a
nameless function of every hosted tool: here they are refused by name, or left out as the settings say.
"""

from __future__ import annotations

from typing import Any

from llm_adapter.provider import Call, Json, Rejected
from llm_adapter.translation.parameters import unsupported

_OF_A_FUNCTION = ("name", "description", "parameters", "strict")


def tools(call: Call, given: Any) -> list[Json]:
    """Chat's tools. Raises `Rejected` for a tool that is not a function, unless the settings have it left out."""
    if not isinstance(given, list):
        raise Rejected("`tools` must be a list", param="tools", code="invalid_type")
    offered = []
    for place, tool in enumerate(given):
        why = _not_a_function(tool, f"tools[{place}]")
        if why is None:
            function = {name: tool[name] for name in _OF_A_FUNCTION if tool.get(name) is not None}
            offered.append({"type": "function", "function": function})
        else:
            where = f"on provider {call.report.provider!r}"
            message = f"{why} is not available {where}, where only functions of your own are called"
            unsupported(call, "tools", message, part=f"tools.{tool['type']}")
    return offered


def _not_a_function(tool: Any, where: str) -> str | None:
    match tool:
        case {"type": "function", "name": str()}:
            direct = not tool.get("async") and "direct" in (tool.get("allowed_callers") or ["direct"])
            return None if direct else f"{where}: a function that is not called directly"
        case {"type": str() as kind}:
            return f"{where}: a tool of type {kind!r}"
        case _:
            raise Rejected(f"{where}: a tool is an object with a type", param="tools", code="invalid_value")


def tool_choice(call: Call, given: Any) -> Any:
    """Chat's tool choice; None for one of hosted tools alone, which the settings have left out. Raises `Rejected`."""
    match given:
        case "auto" | "none" | "required":
            return given
        case {"type": "function", "name": str() as name}:
            return _function_choice(name)
        case {"type": "allowed_tools", "mode": str() as mode, "tools": list() as allowed}:
            names = [_allowed_name(call, tool) for tool in allowed]
            tools = [_function_choice(name) for name in names if name is not None]
            left_out = allowed and not tools
            return None if left_out else {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
        case {"type": str() as kind}:
            _leave_out(call, kind)
            return None
        case _:
            raise Rejected(f"`tool_choice` is not understood: {given!r}", param="tool_choice", code="invalid_value")


def _allowed_name(call: Call, tool: Any) -> str | None:
    match tool:
        case {"type": "function", "name": str() as name}:
            return name
        case {"type": kind}:
            _leave_out(call, kind)
            return None
        case _:
            raise Rejected("an allowed tool has a type and a name", param="tool_choice", code="invalid_value")


def _function_choice(name: str) -> Json:
    return {"type": "function", "function": {"name": name}}


def _leave_out(call: Call, kind: Any) -> None:
    message = f"`tool_choice`: a tool of type {kind!r} is not available on provider {call.report.provider!r}"
    unsupported(call, "tool_choice", message, part=f"tool_choice.{kind}")
