"""OpenAI's Batch files on any profile: read, run so that an interruption loses nothing, and written in order."""
