"""Tools: which ones a call offers and demands, how a server is given them, and what is wrong with a call of one.

Ollama has no `tool_choice`. `none` withholds the tools. `required` and a named function constrain the reply to
one call of an allowed tool; a server that cannot constrain is asked once more, and then it is an error.
Source: ollama/api/types.go ChatRequest, Tool, v0.24.0; the recordings tools_*.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llm_adapter.provider import Call, Json, Rejected, parsed_json
from llm_adapter.translation.grammar_schema import Grammar, normalised
from llm_adapter.translation.json_schema import faults
from llm_adapter.translation.remembered import remembered
from llm_adapter.translation.tool_schema import shown_parameters


@dataclass(frozen=True)
class ToolPlan:
    """What one call offers and demands."""

    functions: tuple[Json, ...] = ()  # the functions that the model may call, as OpenAI describes them
    forced: bool = False  # one of them must be called
    named: bool = False  # ... and the caller named which
    parallel: bool = True  # several may be called in one reply
    legacy: bool = False  # asked in the form before `tools`

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Each function's parameters, as the caller wrote them: by these its calls are judged."""
        return {one["name"]: one.get("parameters") or {"type": "object"} for one in self.functions}

    @property
    def tools(self) -> list[Json]:
        """The tools as OpenAI describes them."""
        return [{"type": "function", "function": one} for one in self.functions]

    @property
    def folded(self) -> list[Json]:
        """The tools in the keywords that Ollama shows a model. They are shared by calls: nobody changes them."""
        return _folded_tools(list(self.functions))

    def format(self, call: Call, grammar: Grammar) -> Json:
        """The schema of one call of one allowed tool, as a grammar of the server's holds it."""
        calls: list[Json] = []
        definitions: Json = {}
        for name in self.parameters:
            parameters = dict(self._normalised(call, name, grammar, prefix=f"{name}-"))
            definitions |= parameters.pop("$defs", {})
            parameters = (
                parameters if {"$ref", "anyOf", "oneOf"} & parameters.keys() else {"type": "object", **parameters}
            )
            properties = {"name": {"type": "string", "enum": [name]}, "arguments": parameters}
            calls.append({"type": "object", "properties": properties, "required": ["name", "arguments"]})
        whole = calls[0] if len(calls) == 1 else {"anyOf": calls}
        return {**whole, "$defs": definitions} if definitions else whole

    def in_grammar(self, call: Call, tools: list[Json], grammar: Grammar) -> list[Json]:
        """The tools as a server takes them that builds a grammar of their parameters."""
        written = []
        for tool in tools:
            function = tool["function"]
            known = function.get("name") in self.parameters and function.get("parameters")
            new = self._normalised(call, function["name"], grammar) if known else None
            same = new is None or new is function["parameters"]
            written.append(tool if same else {**tool, "function": {**function, "parameters": new}})
        return written

    def _normalised(self, call: Call, name: str, grammar: Grammar, prefix: str = "") -> Any:
        schema = normalised(self.parameters[name], grammar, arguments=True, prefix=prefix)
        if schema.taken_out:
            call.report.note("changed", "tools")
        return schema.schema

    def faults(self, tool_call: Json, *, strict_only: bool = False) -> list[str]:
        """What is wrong with a tool call: an unknown tool, or arguments that break its schema.

        strict_only: whether the model was free to call, so that only what `strict` promises is held against it. A name
        that was not offered reaches the caller then, as at OpenAI: an agent tells the model.
        """
        name, arguments = tool_call["function"].get("name"), tool_call["function"].get("arguments")
        if name not in self.parameters:
            if strict_only and not self.strict:
                return []
            return [f"no tool {name!r} is allowed, but {', '.join(self.parameters)}"]
        if strict_only and not self._strict(name):
            return []
        try:
            value = parsed_json(arguments or "{}")
        except ValueError as error:
            return [f"{name}: the arguments are not JSON: {error}"]
        return [f"{name}: {fault}" for fault in faults(self.parameters[name], value)]

    @property
    def strict(self) -> bool:
        """Whether a call of one of the functions is held to its schema."""
        return any(one.get("strict") for one in self.functions)

    def _strict(self, name: str) -> bool:
        return any(one["name"] == name and one.get("strict") for one in self.functions)


NO_TOOLS = ToolPlan()


@remembered
def _folded_tools(functions: list[Json]) -> list[Json]:
    return [{"type": "function", "function": _folded_function(one)} for one in functions]


def _folded_function(function: Json) -> Json:
    shown: Json = {key: function[key] for key in ("name", "description") if key in function}
    if "parameters" not in function:
        return shown
    parameters = shown_parameters(function.get("parameters") or {"type": "object"})
    # Ollama has no description at this place; what it would say is the function's.
    told = parameters.pop("description", None)
    if told:
        shown["description"] = f"{shown.get('description') or ''} {told}".strip()
    return {**shown, "parameters": parameters}


def tool_plan(call: Call, where: str) -> ToolPlan:
    """What a call's `tools`, `tool_choice` and `parallel_tool_calls` say, or their older forms. Raises `Rejected`.

    where: what the call goes to, for the message: "provider 'ollama'".
    """
    body = call.body
    if body.get("tools") is None and body.get("functions") is not None:
        legacy, offered = True, _checked_list(body["functions"], "functions")
        choice = _choice_of_function_call(body.get("function_call"))
    else:
        legacy, offered = False, _functions(body.get("tools") or [], where)
        choice = body.get("tool_choice")
    if not offered and choice is None:
        return NO_TOOLS
    parallel = body.get("parallel_tool_calls") is not False and not legacy
    return _with_choice(ToolPlan(tuple(offered), parallel=parallel, legacy=legacy), choice)


def _with_choice(given: ToolPlan, choice: Any) -> ToolPlan:
    match choice:
        case None | "auto":
            return given
        case "none":
            return _with_tools(given, [])
        case "required":
            return _with_tools(given, [one["name"] for one in given.functions], forced=True)
        case {"type": "function", "function": {"name": str() as name}} | {"type": "function", "name": str() as name}:
            return _with_tools(given, [name], forced=True, named=True)
        case {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list() as tools},
        }:
            names = [
                one["function"]["name"] for one in tools if isinstance(one, dict) and one.get("type") == "function"
            ]
            return _with_tools(given, names, forced=mode == "required")
        case _:
            raise Rejected(f"`tool_choice` is not understood: {choice!r}", param="tool_choice", code="invalid_value")


def _with_tools(given: ToolPlan, names: list[str], *, forced: bool = False, named: bool = False) -> ToolPlan:
    kept = tuple(one for one in given.functions if one["name"] in names)
    unknown = set(names) - {one["name"] for one in kept}
    if unknown or (forced and not kept):
        missing = ", ".join(sorted(unknown)) or "no tool"
        raise Rejected(
            f"`tool_choice` names {missing}, which `tools` does not hold", param="tool_choice", code="invalid_value"
        )
    # A function that the caller names is called once.
    return ToolPlan(kept, forced, named, given.parallel and not named, given.legacy)


def _functions(tools: Any, where: str) -> list[Json]:
    functions = []
    for place, tool in enumerate(_checked_list(tools, "tools")):
        match tool:
            case {"type": "function", "function": {"name": str()} as function}:
                functions.append(function)
            case {"type": kind}:
                raise Rejected(
                    f"tools[{place}]: a tool of type {kind!r} is not available on {where}, or has no name",
                    param="tools",
                    code="unsupported_value",
                )
            case _:
                raise Rejected(f"tools[{place}]: a tool is an object with a type", param="tools", code="invalid_value")
    return functions


def _checked_list(given: Any, param: str) -> list[Json]:
    if not isinstance(given, list):
        raise Rejected(f"`{param}` must be a list", param=param, code="invalid_type")
    return given


def _choice_of_function_call(function_call: Any) -> Any:
    match function_call:
        case {"name": name}:
            return {"type": "function", "function": {"name": name}}
        case _:
            return function_call
