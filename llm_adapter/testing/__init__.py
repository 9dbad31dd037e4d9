"""What users test their own migration with: pytest fixtures, a fake server, cassettes, checks. The extra `testing`.

pytest finds the fixtures by itself (`llm_adapter.testing.plugin`); nothing here is loaded by the library.
"""
