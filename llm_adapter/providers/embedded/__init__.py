"""Provider `embedded`: llama.cpp in this process, or in one that belongs to it. Needs no server to be installed and no
key; the extra `embedded` brings xllamacpp.

Nothing is imported here: a process that runs a model imports this folder too, and has no use for the SDK.
"""
