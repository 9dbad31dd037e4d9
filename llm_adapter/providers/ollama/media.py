"""POST /audio/transcriptions, POST /images/generations  ↔  the same on Ollama's own /v1, where the server has them

Source: ollama/openai/openai.go and middleware/openai.go, v0.20.0 for transcriptions, v0.14.3 to v0.32.5 for images,
which ended with it. Rule: what Ollama's /v1 would leave out in silence is refused here; an error says what is missing.
"""

from __future__ import annotations

from functools import partial

from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.translation.errors import checked
from llm_adapter.translation.parameters import LABEL, Rows, among, field, refused, rows_of, translate
from llm_adapter.translation.unavailable import elsewhere, unsupported_endpoint

_SILENT = "Ollama leaves it out"
_LISTS = "timestamp_granularities include keywords languages known_speaker_names known_speaker_references"

TRANSCRIPTIONS: Rows = {
    "file": field("file", "sent as it is; wav or mp3, 25 MiB at most"),
    "model": field("model", "aliases from `models` are resolved"),
    "language": field("language"),
    "prompt": field("prompt"),
    "response_format": refused("Ollama gives the text alone, as json", harmless=among("json", "text")),
    "temperature": refused("Ollama fixes it at 0", harmless=among(0)),
    "stream": refused(_SILENT, harmless=among(False)),
    "chunking_strategy": refused(_SILENT, harmless=among("auto")),
    **rows_of(_LISTS, refused(_SILENT, harmless=among([]))),
}

IMAGES: Rows = {
    "prompt": field("prompt"),
    "model": field("model", "aliases from `models` are resolved"),
    "size": field("size"),
    "seed": field("seed"),
    "n": refused("Ollama makes one image", harmless=among(1)),
    "response_format": refused("Ollama gives base64 alone, and keeps no file", harmless=among("b64_json")),
    "output_format": refused("Ollama gives png", harmless=among("png")),
    "output_compression": refused(_SILENT, harmless=among(100)),
    "background": refused(_SILENT, harmless=among("auto")),
    "quality": refused(_SILENT, harmless=among("auto")),
    "style": refused(_SILENT),
    "stream": refused(_SILENT, harmless=among(False)),
    "partial_images": refused(_SILENT, harmless=among(0)),
    **rows_of("complexity frame_count frame_duration_ms svg", refused(_SILENT)),
    "moderation": refused("Ollama does not moderate", harmless=among("auto", "low")),
    **rows_of("safety_identifier user", LABEL),
}


def _passthrough(call: Call, rows: Rows, since: str) -> Flow:
    """The call as it is. A server without the endpoint answers with a text, which says nothing to an OpenAI caller."""
    native: Json = {}
    translate(rows, call, native, where="provider 'ollama'")
    if rows["response_format"].harmless(call.body.get("response_format")):
        native["response_format"] = call.body["response_format"]
    reply: NativeReply = yield NativeRequest(call.method, None, native, passthrough=True, resume_on_error=True)
    if reply.status in (404, 405) and not reply.body.lstrip().startswith(b"{"):
        raise unsupported_endpoint(
            f"`{call.path}` is not available on this Ollama server: {since}; {elsewhere(call.path)}"
        )
    checked(reply, call.path)
    raise Rejected("the server's answer was no error", status=502, kind="api_error")


transcriptions = partial(_passthrough, rows=TRANSCRIPTIONS, since="versions since 0.20.0 transcribe")
generations = partial(_passthrough, rows=IMAGES, since="only versions from 0.14.3 to 0.32.5 make images")
