"""Token ids as text: OpenAI takes ids of its own vocabularies, and no other model knows those.

They are decoded with the tiktoken encoding that the profile declares (`token_encoding`); without it they are refused,
for a guess would be silently wrong.
"""

from __future__ import annotations

from typing import Any

from llm_adapter.provider import Call, Rejected
from llm_adapter.translation.model_names import names_openais_model


def are_openais(call: Call) -> bool:
    """Whether the token ids of a call are of OpenAI's vocabularies, because the model that it asks for is OpenAI's.

    A server that takes ids takes them for its own model's, and answers with vectors and texts of something else.
    """
    return names_openais_model(call.report.requested_model or str(call.body.get("model")))


def is_token_ids(given: Any) -> bool:
    """Whether an input is token ids: a list of them, or a list of such lists."""
    return isinstance(given, list) and bool(given) and isinstance(given[0], (int, list))


def decoded_texts(tokens: list[Any], call: Call, param: str) -> list[str]:
    """The texts of one list of ids, or of several. Raises `Rejected`."""
    several = tokens if isinstance(tokens[0], list) else [tokens]
    if not all(isinstance(one, int) for ids in several for one in (ids if isinstance(ids, list) else [None])):
        raise Rejected(f"`{param}` mixes token ids with something else", param=param, code="invalid_type")
    if call.settings.token_encoding is None:
        raise Rejected(
            f"`{param}` as token ids is not available here: the ids are another model's. Send text (LangChain: "
            "OpenAIEmbeddings(check_embedding_ctx_length=False)), or name the ids' encoding: `token_encoding`",
            param=param,
            code="unsupported_value",
        )
    encoding = _encoding(call.settings.token_encoding, param)
    call.report.note("emulated", param)
    return [encoding.decode(ids) for ids in several]


def _encoding(name: str, param: str) -> Any:
    try:
        import tiktoken
    except ImportError:
        raise Rejected(
            "`token_encoding` needs tiktoken: pip install 'llm_adapter[tiktoken]'", param=param, code="missing_extra"
        ) from None
    try:
        return tiktoken.get_encoding(name)
    except ValueError as error:
        raise Rejected(f"`token_encoding` {name!r}: {error}", param=param, code="invalid_value") from None
