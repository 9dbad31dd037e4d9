"""Clients of other modules: an instructor client's verbs tell by `response_model`."""

from app.clients import client, structured

structured.create(model=model, messages=HI, response_model=Person)  # expect: call create likely
structured.create_partial(model=model, messages=HI, response_model=Person)  # expect: call create_partial likely
router.create(response_model=Person)(handler)
