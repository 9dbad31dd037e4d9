"""Check 5: which key goes where, and whether it may."""

from __future__ import annotations

import re
from collections.abc import Mapping

from llm_adapter.devtools.doctor.facts import CheckResult, Facts, Key, fail, not_checked, ok, warn
from llm_adapter.devtools.reporting import secrets
from llm_adapter.provider import Started
from llm_adapter.routing.connection import NO_KEY, Connection, credential_names
from llm_adapter.settings.hosts import hostname, is_local, is_loopback, is_ollama_cloud, is_openai

# OpenAI's own: every one has its name in base64 in the middle. Other vendors' begin with sk- too.
_OPENAIS = re.compile(r"sk-(proj|svcacct|admin|None)-|T3BlbkFJ")
_OTHERS = ("sk-or-", "sk-ant-", "sk-lf-", "sk-litellm")


def key_for(connection: Connection, environ: Mapping[str, str]) -> Key:
    """The key that goes with every request, and where it comes from."""
    settings = connection.configured
    if isinstance(connection.provider, Started):
        return Key("none is needed: the server is in this process")
    if credentials := credential_names(connection.headers):
        source = f"`headers` ({', '.join(credentials)}) from {settings.origin('headers')}"
        return Key(source, connection.headers[credentials[0]], explicit=True)
    if connection.api_key is None:  # the SDK's own rule
        value = environ.get("OPENAI_API_KEY")
        return Key("OPENAI_API_KEY", value) if value else Key("none: OPENAI_API_KEY is not set")
    if connection.api_key == NO_KEY:
        return Key("none is sent")
    value = str(connection.api_key)
    if settings.api_key is not None:
        return Key(f"`api_key` from {settings.origin('api_key')}", value, explicit=True)
    if settings.api_key_env:
        return Key(settings.api_key_env, value, explicit=settings.api_key_env != "OPENAI_API_KEY")
    return Key("OLLAMA_API_KEY", value, explicit=True)


def leak(facts: Facts) -> CheckResult | None:
    """What is wrong when a key that is OpenAI's would go to another host."""
    value = facts.key.value
    if not value or is_openai(facts.address):
        return None
    openais = _OPENAIS.search(value) is not None or (
        facts.key.explicit and value == facts.environ.get("OPENAI_API_KEY")
    )
    ambient = not facts.key.explicit and value.startswith("sk-") and not value.startswith(_OTHERS)
    if not (openais or ambient):
        return None
    # A gateway on this machine may have keys of that form.
    judge, what = (fail, "an OpenAI key") if openais or not is_loopback(facts.address) else (warn, "an sk- key")
    return judge(
        f"{what} ({facts.key.source}) would go to {hostname(facts.address)}, which is not OpenAI",
        'a profile with this address, and `api_key_env = "NAME_OF_ITS_KEY"` or no key at all',
    )


def keys(facts: Facts) -> CheckResult:
    """Whether the key is the right one, and goes nowhere else."""
    if facts.embedded:
        return ok(facts.key.source)
    if facts.key.problem is not None:
        return fail(facts.key.problem, "set the variable, or take `api_key_env` out of the profile")
    if (found := leak(facts)) is not None:
        return found
    if facts.key.value is None and is_openai(facts.address):
        return fail("OpenAI wants a key, and OPENAI_API_KEY is not set", "export OPENAI_API_KEY=...")
    if facts.key.value is None and is_ollama_cloud(facts.address):
        return fail("ollama.com wants a key", "export OLLAMA_API_KEY=..., from https://ollama.com/settings/keys")
    if facts.model_list.refused:
        return _key_refused(facts)
    if facts.server is not None and facts.server.signed_in is False:
        return fail(
            "the server is not signed in at ollama.com, where its cloud models run",
            facts.server.signin_url or "ollama signin",
        )
    if facts.key.value and facts.address.startswith("http://") and not is_local(hostname(facts.address)):
        return warn(f"the key ({facts.key.source}) goes out unencrypted", "an https:// address")
    if facts.model_list.status is None:
        return not_checked("whether the server takes the key: it was not reached")
    return ok(_destination_of_key(facts))


def _key_refused(facts: Facts) -> CheckResult:
    status = facts.model_list.status
    if facts.key.value is None:
        return fail(
            f"the server wants a key (it answered {status}), and none is sent",
            '`api_key_env = "NAME_OF_A_VARIABLE"` in the profile',
        )
    return fail(
        f"the server answered {status}: it does not take the key from {facts.key.source}",
        "a key that is for this server; `llm-adapter config` shows which one is used",
    )


def _destination_of_key(facts: Facts) -> str:
    if facts.key.value is None:
        elsewhere = facts.environ.get("OPENAI_API_KEY") and not is_loopback(facts.address)
        return "no key is sent" + (", OPENAI_API_KEY stays here" if elsewhere else "")
    return f"{facts.key.source} goes to {hostname(facts.address)}"


def masked(text: str, facts: Facts, environ: Mapping[str, str] = {}) -> str:
    """The text without any key: those of the configuration and the environment, and what looks like one."""
    given = [facts.settings.api_key, *facts.settings.headers.values()]
    return secrets.masked(text, [facts.key.value, *(one.get_secret_value() for one in given if one)], environ)
