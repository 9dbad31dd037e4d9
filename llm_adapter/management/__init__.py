"""`client.models`: pull, push, create and the like, wherever the server is Ollama."""
