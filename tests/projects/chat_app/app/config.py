"""Settings of the program. Nothing here is wrong: it is what programs look like."""

import os

MODEL = "gpt-4o-mini"  # expect: hard-coded-model gpt-4o-mini
EMBEDDING_MODEL = os.environ.get("EMBEDDING_MODEL", "text-embedding-3-small")  # expect: unmapped-model text-embedding-3-small
DEFAULTS = {"temperature": 0.2, "seed": 7}
OPENAI_HOME = "https://api.openai.com/v1"  # expect: hard-coded-url https://api.openai.com/v1
DOCS = "see https://api.openai.com/v1 and http://localhost:11434 for more"

os.environ["OPENAI_BASE_URL"] = "http://localhost:11434/v1"  # expect: hard-coded-url OPENAI_BASE_URL
