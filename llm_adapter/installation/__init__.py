"""The SDK's own clients switched to a profile, in a program that does not know this package.

Importing it is cheap: it happens in every Python process below `llm-adapter run` that imports `openai`.
"""
