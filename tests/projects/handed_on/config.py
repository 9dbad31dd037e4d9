"""Models in a file that has no other word of theirs."""

CHAT_MODEL = "gpt-4o"  # expect: unmapped-model gpt-4o
EMBEDDING_MODEL = _env("embedding_model", "text-embedding-3-small")  # expect: unmapped-model text-embedding-3-small
