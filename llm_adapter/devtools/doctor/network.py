"""Whether requests get to the server: checks 1 to 3, and the proxy, names and connections that they judge.

`route` is IO: it resolves names and connects. The checks are pure.
"""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from llm_adapter.devtools.doctor.facts import Attempt, CheckResult, Facts, Route, fail, not_checked, ok, warn
from llm_adapter.providers.v1.dialects import DIALECTS, guessed
from llm_adapter.routing.unread import cure, is_error, is_told
from llm_adapter.settings.hosts import hostname, is_local, is_loopback
from llm_adapter.settings.readers import reader_of
from llm_adapter.settings.unread import unread_settings
from llm_adapter.transport.time_limit import OutOfTime, within

SECONDS = 2.0  # for a connection, and for a name
_PORTS = {"http": 80, "https": 443}
_REFUSED = re.compile("refused|verweigert|refusée|10061", re.IGNORECASE)


def configuration(facts: Facts) -> CheckResult:
    """What is in effect, and where it comes from."""
    settings = facts.settings
    if facts.assumed:
        return warn(
            "no profile is chosen: calls go to OpenAI, and what is looked at here is Ollama",
            "LLM_ADAPTER_PROFILE=NAME, or --profile NAME; `llm-adapter profiles` has the names",
        )
    if settings.left_out is not None:
        return warn(str(settings.left_out), f"llm-adapter trust {settings.left_out.file}")
    if not settings.configured:
        return ok("nothing is configured: calls go where the openai SDK sends them")
    if (problem := _without_effect(facts)) is not None:
        return problem
    named = f"profile {facts.profile!r}, " if facts.profile else ""
    sources = dict.fromkeys(settings.origin(name) for name in type(settings).model_fields)
    from_where = ", ".join(one for one in sources if one != "default")
    return ok(f"{named}provider {settings.provider}{_other_profiles(facts)}; from {from_where}")


def _other_profiles(facts: Facts) -> str:
    """The profiles that calls may go to, which have a diagnosis of their own."""
    routes = [f"{key} to {name}" for key, name in facts.settings.routes.items()]
    ways = [f"routes {', '.join(routes)}"] if routes else []
    if facts.settings.fallback:
        ways.append(f"falls back to {', '.join(facts.settings.fallback)}")
    return "".join(f"; {way}" for way in ways) + (" (`doctor --profile` looks at them)" if ways else "")


def _without_effect(facts: Facts) -> CheckResult | None:
    """What is set and not read by the server: a failure where making a client is one."""
    settings = facts.settings
    kind = facts.server.kind if facts.server is not None else None
    dialect = settings.dialect or guessed(facts.address) or (kind if kind in DIALECTS else None)
    found = unread_settings(settings, reader_of(settings.provider, dialect))
    found = [one for one in found if is_told(settings, one)]
    if not found:
        return None
    worst = next((one for one in found if is_error(settings, one)), found[0])
    more = f" ({len(found) - 1} more: llm-adapter config)" if len(found) > 1 else ""
    return (fail if is_error(settings, worst) else warn)(f"{worst.message}{more}", cure(worst))


def address(facts: Facts) -> CheckResult:
    """Whether the base URL is one, in a form that works."""
    if facts.embedded:
        return ok("in this process")
    setting = facts.address_setting
    parts = urlsplit(facts.address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return fail(f"{facts.address!r} is not a URL", f"{setting} = http://host:port/v1")
    if facts.working_address is not None:
        return fail(
            f"{facts.model_list.summary}; {facts.working_address}/models does", f"{setting} = {facts.working_address}"
        )
    if (facts.model_list.status or 0) in range(300, 400):
        there = facts.model_list.headers.get("location", "elsewhere")
        return fail(f"it redirects to {there}, and POST requests get lost on the way", f"{setting} = that address")
    if facts.environ.get("OPENAI_API_BASE") and not facts.settings.configured:
        return warn("OPENAI_API_BASE is set, which openai 1.0 and later do not read", "OPENAI_BASE_URL instead")
    if (first := _silent_first_address(facts.route)) is not None:
        return warn(
            f"{parts.hostname} is {first} first, where nothing listens: each connection tries that in vain",
            f"{setting} = {facts.address.replace(parts.hostname, '127.0.0.1')}",
        )
    return ok(facts.address)


def _silent_first_address(route: Route | None) -> str | None:
    """The address of a name that is tried first, in vain."""
    tried = route.attempts if route is not None and route.proxy is None else ()
    return tried[0].address if len(tried) > 1 and tried[0].error is not None and tried[-1].error is None else None


def network(facts: Facts) -> CheckResult:
    """Whether requests get there: the connection, the proxy, TLS."""
    route = facts.route
    if route is None:
        return fail(facts.startup, _startup_fix(facts.startup)) if facts.startup else ok("in this process")
    if route.problem is not None:
        if facts.settings.local_only:
            return fail(route.problem, "a local address, or `local_only = false`")
        return fail(route.problem, _proxy_fix(facts)) if route.target else not_checked("there is no address to go to")
    if not route.reached:
        return _proxy_gone(facts, route) if route.proxy else _unreachable(facts, route)
    if facts.model_list.error is not None:
        return _not_http(facts, route, facts.model_list.error)
    if route.proxy and facts.model_list.status in (407, 502, 503, 504):
        return fail(f"the proxy {route.proxy} ({route.variable}) answers {facts.model_list.status}", _proxy_fix(facts))
    secured = f"; TLS by {_authorities(facts)}" if facts.address.startswith("https:") else ""
    return ok(f"{route.target} answers; {_path_taken(route)}{secured}")


def _startup_fix(problem: str) -> str:
    if "pip install" in problem:
        return problem[problem.index("pip install") :] if "[hub]" in problem else "pip install 'llm_adapter[embedded]'"
    if "not found" in problem or "does not fit" in problem or "no chat template" in problem:
        return "what the message says"
    return "the library of the system that it names" if "be loaded" in problem else "`model_path` of a GGUF file"


def _path_taken(route: Route) -> str:
    return f"through the proxy {route.proxy} ({route.variable})" if route.proxy else route.why


def _proxy_fix(facts: Facts) -> str:
    return f"NO_PROXY={hostname(facts.address)}, `trust_env = false` in the profile, or another proxy"


def _proxy_gone(facts: Facts, route: Route) -> CheckResult:
    error = route.attempts[-1].error if route.attempts else "no address"
    return fail(
        f"the proxy {route.proxy} ({route.variable}) cannot be reached: {error}",
        f"unset {route.variable}, NO_PROXY={hostname(facts.address)}, or `trust_env = false` in the profile",
    )


def _unreachable(facts: Facts, route: Route) -> CheckResult:
    tried = "; ".join(f"{attempt.address}: {attempt.error}" for attempt in route.attempts)
    line = f"no connection to {route.target} ({tried})"
    if is_loopback(facts.address) and (facts.surroundings.container or facts.surroundings.wsl):
        where = "a container" if facts.surroundings.container else "WSL"
        return fail(f"{line}; this is {where}, and its localhost is its own", _from_inside(facts, route))
    if _REFUSED.search(tried):
        return fail(line, _start_command(facts) if is_local(urlsplit(facts.address).netloc) else "is the port right?")
    return fail(line, "is the name right, and does a firewall or VPN stand between?")


def _from_inside(facts: Facts, route: Route) -> str:
    port = route.target.rpartition(":")[2]
    inside = f"host.docker.internal:{port}" if facts.surroundings.container else f"the-address-of-Windows:{port}"
    ending = "" if facts.native else "/v1"
    bound = ", and OLLAMA_HOST=0.0.0.0 for the server" if facts.native or port == "11434" else ""
    return f"{facts.address_setting} = http://{inside}{ending}{bound}; or, here, {_start_command(facts)}"


def _start_command(facts: Facts) -> str:
    kind = facts.settings.dialect or ("ollama" if facts.native or ":11434" in facts.address else None)
    starts = {
        "ollama": "ollama serve",
        "llamacpp": "llama-server -m model.gguf --jinja",
        "vllm": "vllm serve MODEL",
        "lmstudio": "lms server start",
    }
    return f"start the server: {starts[kind]}" if kind in starts else "start the server, or mend the port"


def _not_http(facts: Facts, route: Route, error: str) -> CheckResult:
    if "CERTIFICATE_VERIFY_FAILED" in error or "certificate verify failed" in error:
        return fail(f"the server's certificate is not trusted by {_authorities(facts)}", "SSL_CERT_FILE=your-ca.pem")
    if "WRONG_VERSION_NUMBER" in error or "record layer" in error:
        return fail(
            "the server speaks plain http on this port", f"http:// in the place of https:// ({facts.address_setting})"
        )
    if route.proxy:
        return fail(f"no answer through the proxy {route.proxy} ({route.variable}): {error}", _proxy_fix(facts))
    if "Timeout" in error:
        return fail(f"{route.target} takes connections and does not answer", "is the server busy, or still starting?")
    return fail(f"{route.target} is there, and does not speak HTTP: {error}", "is it the port of another service?")


def _authorities(facts: Facts) -> str:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if facts.environ.get(name):
            return f"{name} ({facts.environ[name]})"
    return "the system's authorities"


def route(url: str, trust_env: bool | None, timeout: float = SECONDS) -> Route:
    """How requests to a URL travel, and whether the first hop answers."""
    proxy, variable, why = proxy_for(url, trust_env)
    host, port = host_and_port(proxy or url)
    shown = without_credentials(proxy) if proxy else None
    return Route(f"{host}:{port}", why, shown, variable, tuple(connection_attempts(host, port, timeout)))


def proxy_for(url: str, trust_env: bool | None) -> tuple[str | None, str | None, str]:
    """The proxy that a request takes, the variable that names it, and why. See `proxies.http_client`."""
    proxies = getproxies()
    scheme = urlsplit(url).scheme
    kind = scheme if scheme in proxies else "all"
    proxy = proxies.get(kind)
    if proxy is None:
        return None, None, "no proxy is set"
    if trust_env is False:
        return None, None, "`trust_env` is false: no proxy"
    if trust_env is None and is_loopback(url):
        return None, None, "no proxy for this machine"
    if proxy_bypass(hostname(url)):
        return None, None, "NO_PROXY names the host"
    return proxy if "://" in proxy else f"http://{proxy}", f"{kind.upper()}_PROXY", "the environment's proxy"


def host_and_port(url: str) -> tuple[str, int]:
    """The host and the port of a URL. Raises `ValueError` for what is none."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("it names no host: expected http://host:port/v1")
    return parts.hostname, parts.port or _PORTS.get(parts.scheme, 1080)


def without_credentials(url: str) -> str:
    """A URL without credentials, path and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def connection_attempts(host: str, port: int, timeout: float = SECONDS) -> list[Attempt]:
    """Connections to a host's addresses in the system's order, up to the first that is there."""
    try:  # the system's resolver knows no time limit
        found = within(timeout, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OutOfTime:
        return [Attempt(host, f"the name cannot be resolved (no answer in {timeout:g} s)")]
    except (OSError, UnicodeError) as error:
        return [Attempt(host, f"the name cannot be resolved ({getattr(error, 'strerror', None) or error})")]
    tried: list[Attempt] = []
    for address in list(dict.fromkeys(str(entry[4][0]) for entry in found))[:4]:
        tried.append(_connection_attempt(address, port, timeout))
        if tried[-1].error is None:
            break
    return tried


def _connection_attempt(address: str, port: int, timeout: float) -> Attempt:
    try:
        socket.create_connection((address, port), timeout).close()
    except TimeoutError:
        return Attempt(address, f"no answer in {timeout:g} s")
    except OSError as error:
        return Attempt(address, error.strerror or str(error))
    return Attempt(address)
