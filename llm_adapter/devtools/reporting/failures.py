"""An error as one line: what went wrong, where, what to do."""

from __future__ import annotations

import openai

# Where a call site's name of a model goes: the models' own commands are given the server's names.
_CALLS = ("/chat", "/generate", "/embed", "/completions", "/embeddings", "/responses")
_HERE = ("unsupported", "local_only")  # codes of refusals that are ours, or read as if they were
_WHERE = "`llm-adapter config` shows the address and where it comes from"


def explained(error: openai.OpenAIError) -> str:
    """The line for an error of ours or of the SDK's."""
    return " ".join(_sentence(error).split())


def _sentence(error: openai.OpenAIError) -> str:
    match error:
        case openai.APITimeoutError():
            return f"no answer in time from {_address(error)}: is the server loading a model? {_WHERE}"
        case openai.APIConnectionError() if _broken(error):
            return f"the connection to {_address(error)} broke before the reply was complete ({first_cause(error)})"
        case openai.APIConnectionError():
            return f"no connection to {_address(error)} ({first_cause(error)}): is the server running? {_WHERE}"
        case openai.APIStatusError() if str(error.code).startswith(_HERE):
            return f"refused: {server_message(error)}"
        case openai.APIStatusError():
            return (
                f"{_address(error)} answered {error.status_code}: {server_message(error).rstrip('.')}{_advice(error)}"
            )
        case openai.APIError():
            return f"{_address(error)}: {server_message(error)}"
        case _ if str(error).startswith("Missing credentials"):  # the SDK's own, when nothing is configured
            return f"{error} --profile NAME goes elsewhere; `llm-adapter config init` writes a file of profiles"
        case _:
            return str(error)


def _address(error: openai.APIError) -> str:
    url = error.request.url
    return f"{url.scheme}://{url.netloc.decode()}"


def _broken(error: BaseException) -> bool:
    """Whether there was a connection. By name: the error is of either HTTP library."""
    return type(error.__cause__).__name__ in ("RemoteProtocolError", "ReadError", "WriteError")


def first_cause(error: BaseException) -> str:
    """The first cause: the HTTP client wraps the system's error several times."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def server_message(error: openai.APIError) -> str:
    """The server's own words; the SDK's message repeats the whole body."""
    message = error.body.get("message") if isinstance(error.body, dict) else None
    return str(message or error.message)


def _advice(error: openai.APIStatusError) -> str:
    if error.status_code in (401, 403):
        return "; `llm-adapter config` shows which key is used"
    if error.status_code == 404 and error.request.url.path.endswith(_CALLS):
        return '; `models = { "*" = "a model that the server has" }` in the profile maps the names of call sites'
    return ""
