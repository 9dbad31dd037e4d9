"""`OpenAI` and `AsyncOpenAI`: the SDK's classes with three hooks, and all that knows the SDK's inside."""
