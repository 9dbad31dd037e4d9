"""The SDK's constructor arguments, for type checkers alone: nothing here exists at run time.

Source: openai-python src/openai/_client.py OpenAI.__init__ and copy, v3.52.0. tests/client/test_contract.py compares.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypedDict

import httpx2
from openai import NotGiven, Timeout
from openai._data_residency import DataResidency
from openai._provider import _Provider
from openai.auth import WorkloadIdentity, X509WorkloadIdentity


class _Common(TypedDict, total=False):
    admin_api_key: str | None
    workload_identity: WorkloadIdentity | X509WorkloadIdentity | None
    organization: str | None
    project: str | None
    webhook_secret: str | None
    base_url: str | httpx2.URL | NotGiven | None
    data_residency: DataResidency | None
    websocket_base_url: str | httpx2.URL | None
    timeout: float | Timeout | NotGiven | None
    default_headers: Mapping[str, str] | None
    default_query: Mapping[str, object] | None


class _Create(_Common, total=False):
    provider: _Provider | None
    max_retries: int
    _strict_response_validation: bool
    _enforce_credentials: bool


class _Copy(_Common, total=False):
    provider: _Provider | NotGiven | None
    max_retries: int | NotGiven
    set_default_headers: Mapping[str, str] | None
    set_default_query: Mapping[str, object] | None
    _enforce_credentials: bool | None


class ClientOptions(_Create, total=False):
    api_key: str | Callable[[], str] | None
    http_client: httpx2.Client | None


class AsyncClientOptions(_Create, total=False):
    api_key: str | Callable[[], Awaitable[str]] | None
    http_client: httpx2.AsyncClient | None


class CopyOptions(_Copy, total=False):
    api_key: str | Callable[[], str] | None
    http_client: httpx2.Client | None


class AsyncCopyOptions(_Copy, total=False):
    api_key: str | Callable[[], Awaitable[str]] | None
    http_client: httpx2.AsyncClient | None
