"""Frameworks that make clients of their own, each by its own names."""

from haystack.components.embedders import OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator
from llama_index.core import Settings
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI
from mem0 import Memory
from ragas import evaluate

Settings.llm = OpenAI(model="gpt-4o-mini")  # expect: framework llama_index.llms.openai.OpenAI; hard-coded-model gpt-4o-mini
Settings.embed_model = OpenAIEmbedding(model="text-embedding-3-small")  # expect: framework llama_index.embeddings.openai.OpenAIEmbedding; unmapped-model text-embedding-3-small
OpenAIChatGenerator(model="gpt-4o")  # expect: framework haystack.components.generators.chat.OpenAIChatGenerator; unmapped-model gpt-4o
OpenAITextEmbedder()  # expect: framework haystack.components.embedders.OpenAITextEmbedder
Memory.from_config({"llm": {"config": {"model": "gpt-4o-mini"}}})  # expect: framework mem0.Memory.from_config; hard-coded-model gpt-4o-mini
evaluate(samples, metrics=metrics)  # expect: framework ragas.evaluate
