"""Shadow mode: a share of a profile's calls goes to a second profile too, and how the replies differ is logged.

    [profiles.cloud]
    provider = "openai"
    shadow = "local"            # calls are answered by cloud; local gets a tenth of them in the background
    shadow_log = "shadow.jsonl"

The caller's reply is neither slower nor different, whatever becomes of the copy: a call is copied on its way out, its
reply on its way in, and one thread does the rest. Structure and measures are logged, never a text:

selection  which calls are copied, and to which profile
sample     the copy of a reply, taken as the caller reads it
worker     the thread that compares, and the few calls that wait for it
record     the same call on the second profile, and the record of how the replies differ
streams    a streamed reply as a whole one
journal    where records are written, and what they hold
summaries  what many records say together
"""

from __future__ import annotations

from llm_adapter.shadow.summaries import Summary, summary
from llm_adapter.shadow.worker import drain, paused

__all__ = ["Summary", "drain", "paused", "summary"]
