"""Checks 1 to 4: what is configured, the address, the way there, and what server it is (P13, P14, P27)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from llm_adapter.devtools.doctor.facts import Answer, Facts, Finding, Route, fail, ok, unknown, warn
from llm_adapter.devtools.doctor.servers import NAMES
from llm_adapter.settings.hosts import hostname, is_local, is_loopback

# The servers whose recordings the translation is tested with; before 0.6.4 /api/show tells no capabilities.
_OLLAMA_TESTED = ((0, 24), (0, 33))
_REFUSED = re.compile("refused|verweigert|refusée|10061", re.IGNORECASE)
_DIALECTS = ("ollama", "llamacpp", "vllm", "lmstudio", "openai")


def configuration(facts: Facts) -> Finding:
    """What is in effect, and where it comes from."""
    settings = facts.settings
    if not settings.configured:
        return ok("nothing is configured: calls go where the openai SDK sends them")
    named = f"profile {facts.profile!r}, " if facts.profile else ""
    sources = dict.fromkeys(settings.origin(name) for name in type(settings).model_fields)
    return ok(f"{named}provider {settings.provider}; from {', '.join(one for one in sources if one != 'default')}")


def address(facts: Facts) -> Finding:
    """Whether the base URL is one, in a form that works."""
    if facts.embedded:
        return ok("in this process")
    written = _setting(facts)
    parts = urlsplit(facts.address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return fail(f"{facts.address!r} is not a URL", f"{written} = http://host:port/v1")
    if facts.better is not None:
        return fail(f"{_answered(facts.main)}; {facts.better}/models does", f"{written} = {facts.better}")
    if facts.main is not None and facts.main.status in range(300, 400):
        there = facts.main.headers.get("location", "elsewhere")
        return fail(f"it redirects to {there}, and POST requests get lost on the way", f"{written} = that address")
    if facts.environ.get("OPENAI_API_BASE") and not facts.settings.configured:
        return warn("OPENAI_API_BASE is set, which openai 1.0 and later do not read", "OPENAI_BASE_URL instead")
    if (first := _unheard(facts.route)) is not None:
        return warn(
            f"{parts.hostname} is {first} first, where nothing listens: each connection tries that in vain",
            f"{written} = {facts.address.replace(parts.hostname, '127.0.0.1')}",
        )
    return ok(facts.address)


def _setting(facts: Facts) -> str:
    """The setting that the address is from."""
    if facts.native:
        return "OLLAMA_HOST" if facts.settings.origin("host") == "OLLAMA_HOST" else "host"
    return "base_url" if facts.settings.base_url else "OPENAI_BASE_URL"


def _answered(main: Answer | None) -> str:
    if main is None:
        return "no answer"
    kind = "" if main.body is not None else " in plain text"
    return f"{main.url} answers {main.status}{kind}"


def _unheard(route: Route | None) -> str | None:
    """The address of a name that is tried first, in vain."""
    tried = route.attempts if route is not None and route.proxy is None else ()
    return tried[0].address if len(tried) > 1 and tried[0].error is not None and tried[-1].error is None else None


def network(facts: Facts) -> Finding:
    """Whether requests get there: the connection, the proxy, TLS."""
    route = facts.route
    if route is None:
        return fail(facts.startup, _startup_fix(facts.startup)) if facts.startup else ok("in this process")
    if route.problem is not None:
        if facts.settings.local_only:
            return fail(route.problem, "a local address, or `local_only = false`")
        return fail(route.problem, _without(facts)) if route.target else unknown("there is no address to go to")
    if not route.reached:
        return _proxy_gone(facts, route) if route.proxy else _unreachable(facts, route)
    if facts.main is not None and facts.main.error is not None:
        return _no_http(facts, route, facts.main.error)
    if route.proxy and facts.main is not None and facts.main.status in (407, 502, 503, 504):
        return fail(f"the proxy {route.proxy} ({route.variable}) answers {facts.main.status}", _without(facts))
    secured = f"; TLS by {_authorities(facts)}" if facts.address.startswith("https:") else ""
    return ok(f"{route.target} answers; {_through(route)}{secured}")


def _startup_fix(problem: str) -> str:
    if "pip install" in problem:
        return "pip install 'llm_adapter[embedded]'"
    return "the library of the system that it names" if "be loaded" in problem else "`model_path` of a GGUF file"


def _through(route: Route) -> str:
    return f"through the proxy {route.proxy} ({route.variable})" if route.proxy else route.why


def _without(facts: Facts) -> str:
    return f"NO_PROXY={hostname(facts.address)}, `trust_env = false` in the profile, or another proxy"


def _proxy_gone(facts: Facts, route: Route) -> Finding:
    said = route.attempts[-1].error if route.attempts else "no address"
    return fail(
        f"the proxy {route.proxy} ({route.variable}) cannot be reached: {said}",
        f"unset {route.variable}, NO_PROXY={hostname(facts.address)}, or `trust_env = false` in the profile",
    )


def _unreachable(facts: Facts, route: Route) -> Finding:
    tried = "; ".join(f"{attempt.address}: {attempt.error}" for attempt in route.attempts)
    line = f"no connection to {route.target} ({tried})"
    if is_loopback(facts.address) and (facts.around.container or facts.around.wsl):
        where = "a container" if facts.around.container else "WSL"
        return fail(f"{line}; this is {where}, and its localhost is its own", _from_inside(facts, route))
    if _REFUSED.search(tried):
        return fail(line, _start(facts) if is_local(urlsplit(facts.address).netloc) else "is the port right?")
    return fail(line, "is the name right, and does a firewall or VPN stand between?")


def _from_inside(facts: Facts, route: Route) -> str:
    port = route.target.rpartition(":")[2]
    inside = f"host.docker.internal:{port}" if facts.around.container else f"the-address-of-Windows:{port}"
    ending = "" if facts.native else "/v1"
    bound = ", and OLLAMA_HOST=0.0.0.0 for the server" if facts.native or port == "11434" else ""
    return f"{_setting(facts)} = http://{inside}{ending}{bound}; or, here, {_start(facts)}"


def _start(facts: Facts) -> str:
    kind = facts.settings.dialect or ("ollama" if facts.native or ":11434" in facts.address else None)
    starts = {
        "ollama": "ollama serve",
        "llamacpp": "llama-server -m model.gguf --jinja",
        "vllm": "vllm serve MODEL",
        "lmstudio": "lms server start",
    }
    return f"start the server: {starts[kind]}" if kind in starts else "start the server, or mend the port"


def _no_http(facts: Facts, route: Route, error: str) -> Finding:
    if "CERTIFICATE_VERIFY_FAILED" in error or "certificate verify failed" in error:
        return fail(f"the server's certificate is not trusted by {_authorities(facts)}", "SSL_CERT_FILE=your-ca.pem")
    if "WRONG_VERSION_NUMBER" in error or "record layer" in error:
        return fail(
            "the server speaks plain http on this port", f"http:// in the place of https:// ({_setting(facts)})"
        )
    if route.proxy:
        return fail(f"no answer through the proxy {route.proxy} ({route.variable}): {error}", _without(facts))
    if "Timeout" in error:
        return fail(f"{route.target} takes connections and does not answer", "is the server busy, or still starting?")
    return fail(f"{route.target} is there, and does not speak HTTP: {error}", "is it the port of another service?")


def _authorities(facts: Facts) -> str:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if facts.environ.get(name):
            return f"{name} ({facts.environ[name]})"
    return "the system's authorities"


def server(facts: Facts) -> Finding:
    """What kind of server it is, and whether the profile takes it for that."""
    found, said = facts.server, facts.main
    if facts.embedded:
        return unknown("it does not start") if found is None else ok(NAMES["embedded"])
    if said is None or said.status is None:
        return unknown("the server was not reached")
    if found is None:
        beginning = f": {said.text.strip()[:60]!r}" if said.text.strip() else ""
        return fail(f"{_answered(said)}{beginning}", f"{_setting(facts)} = the address of an LLM server, up to /v1")
    name = NAMES[found.kind] + (f" {found.version}" if found.version else "")
    if facts.native and found.kind != "ollama":
        return fail(f"this is {name}, not Ollama", f'provider = "openai", base_url = "{facts.address}"')
    given = facts.settings.dialect
    if given in _DIALECTS and given not in (found.kind, "openai") and found.kind in _DIALECTS:
        return warn(f"this is {name}, and `dialect` says {given}", f'dialect = "{found.kind}", or none')
    if found.kind == "ollama" and (old := _too_old(found.version)):
        return warn(f"{name} is older than {old}, the oldest that is tested", "update Ollama")
    return ok(name)


def _too_old(version: str | None) -> str | None:
    numbers = tuple(int(part) for part in re.findall(r"\d+", version or "")[:2])
    # 0.0.0 is a build from source.
    lowest = _OLLAMA_TESTED[0]
    return ".".join(map(str, lowest)) if len(numbers) == 2 and (0, 0) < numbers < lowest else None
