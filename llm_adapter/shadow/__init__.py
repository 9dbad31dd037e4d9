"""Shadow mode: a share of a profile's calls is asked of a second profile too, and how the replies differ is logged.

    [profiles.cloud]
    provider = "openai"
    shadow = "local"            # calls are answered by cloud; local gets a tenth of them in the background
    shadow_log = "shadow.jsonl"

What the caller gets is neither slower nor different, whatever becomes of the shadow: a call is copied on its way out,
its reply on its way in, and one thread does the rest. What is logged is structure and measure, never a text:

sampling   which calls are copied
watching   the copy of a reply, as the caller reads it
worker     the thread, and the few calls that wait for it
streams    a streamed reply as a whole one
comparing  the same call of the shadow, and a record of how the two came out
journal    where records go
summaries  what many records say
"""

from __future__ import annotations

from llm_adapter.shadow.summaries import Summary, summary
from llm_adapter.shadow.worker import drain, paused

__all__ = ["Summary", "drain", "paused", "summary"]
