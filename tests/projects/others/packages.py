"""Other ways to a model, and what is around them."""

import instructor
import litellm
import ollama
import tiktoken
from agents import OpenAIChatCompletionsModel
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from llm_adapter import OpenAI
from pydantic_ai.providers.openai import OpenAIProvider

ollama.chat(model="qwen3:8b", messages=HI)  # expect: ollama ollama.chat
local = ollama.Client(host="http://gpu:11434")  # expect: ollama ollama.Client; hard-coded-url http://gpu:11434
local.pull("qwen3:8b")  # expect: ollama ollama.pull
litellm.completion(model="gpt-4o-mini", messages=HI)  # expect: litellm litellm.completion; hard-coded-model gpt-4o-mini
litellm.image_edit(model="m", prompt="p", image=None)  # expect: litellm litellm.image_edit
ChatOllama(model="qwen3:8b")  # expect: langchain-ollama ChatOllama
OllamaEmbeddings(model="nomic-embed-text")  # expect: langchain-ollama OllamaEmbeddings
tiktoken.encoding_for_model("gpt-4o").encode("x")  # expect: tiktoken tiktoken.encoding_for_model
tiktoken.get_encoding("cl100k_base")  # expect: tiktoken tiktoken.get_encoding
ChatOpenAI(model="gpt-4o-mini")  # expect: framework langchain_openai.ChatOpenAI; hard-coded-model gpt-4o-mini
OpenAIEmbeddings()  # expect: framework langchain_openai.OpenAIEmbeddings
OpenAIChatCompletionsModel(model="m", openai_client=None)  # expect: framework agents.OpenAIChatCompletionsModel
OpenAIProvider(openai_client=None)  # expect: framework pydantic_ai.providers.openai.OpenAIProvider

structured = instructor.from_openai(OpenAI())  # expect: framework instructor.from_openai; client OpenAI
structured.chat.completions.create(model="gpt-4o-mini", messages=HI, response_model=int)  # expect: call chat.completions.create; hard-coded-model gpt-4o-mini
