"""A scan: every file of a code base read, parsed where a word of interest is in it, and looked through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from llm_adapter.devtools.migrate.calls import Site, sites
from llm_adapter.devtools.migrate.finders import MOCK_MESSAGE, addresses, clients, mocks, old_api, other_packages
from llm_adapter.devtools.migrate.findings import RULES, Parameter, ScanFinding, SourcePlace
from llm_adapter.devtools.migrate.frameworks import FRAMEWORKS, hosted_tools, imported
from llm_adapter.devtools.migrate.literals import UNKNOWN
from llm_adapter.devtools.migrate.models import is_openais, models
from llm_adapter.devtools.migrate.names import Names
from llm_adapter.devtools.migrate.sources import Source, sources
from llm_adapter.devtools.migrate.trees import Tree, display_path, may_concern_openai, rare_garbage_collection, tree
from llm_adapter.devtools.migrate.verdicts import (
    KEPT,
    Target,
    argument_verdicts,
    hosted_tool,
    unavailable,
    verdict_counts,
)

_FINDERS = (other_packages, old_api, mocks, addresses)
LANGFUSE = "langfuse.openai"
_SHORT = 60  # characters of a literal that are shown


@dataclass
class Scan:
    """What a code base has to do with OpenAI."""

    target: Target
    findings: list[ScanFinding] = field(default_factory=list)
    files: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)  # a file, and why

    @property
    def calls(self) -> list[ScanFinding]:
        return [one for one in self.findings if one.kind == "call"]

    def verdicts(self) -> dict[str, int]:
        """How often each verdict was given, to parameters and to calls as a whole, the gravest first."""
        given = [part.verdict for one in self.calls for part in one.parameters]
        given += [str(one.details["verdict"]) for one in self.findings if "verdict" in one.details]
        return verdict_counts(given)

    def openai_models(self) -> dict[str, SourcePlace]:
        """The names of OpenAI's models, each with the first place where it stands."""
        found: dict[str, SourcePlace] = {}
        for one in self.findings:
            if one.kind in ("hard-coded-model", "unmapped-model") and is_openais(one.subject):
                found.setdefault(one.subject, one.place)
        return found

    def frameworks(self) -> dict[str, int]:
        """The frameworks that call models themselves, each with its number of findings, the most first."""
        titles = (str(one.details["framework"]) for one in self.findings if "framework" in one.details)
        return dict(Counter(titles).most_common())

    def json(self) -> dict[str, Any]:
        kinds = [one.kind for one in self.findings]
        return {
            "target": {"name": self.target.name, "provider": self.target.connection.provider.name},
            "files": self.files,
            "unreadable": self.unreadable,
            "calls": len(self.calls),
            "frameworks": self.frameworks(),
            "verdicts": self.verdicts(),
            "kinds": {kind: kinds.count(kind) for kind in RULES if kind in kinds},
            "findings": [one.json() for one in self.findings],
        }


def scan(paths: Iterable[Path], target: Target) -> Scan:
    """What is found in these files and below these folders. No file stops it: what cannot be read is listed."""
    done = Scan(target)

    def failed(path: Path, reason: str) -> None:
        done.files += 1
        done.unreadable[display_path(path)] = reason

    traced = False
    with rare_garbage_collection():
        for path, parts in groupby(sources(paths, failed), key=lambda source: source.path):
            done.files += 1
            code = list(parts)
            traced = traced or any(LANGFUSE in source.code for source in code)
            if any(may_concern_openai(source.code) for source in code):
                _scan_file(path, code, done)
    if traced:
        done.findings = [_as_traced(one) for one in done.findings]
    return done


def _as_traced(found: ScanFinding) -> ScanFinding:
    """A call on a client of another module, in a code base with Langfuse's: its own words are not sent."""
    kept = [
        replace(one, verdict="accepted", note="") if one.name in KEPT["langfuse"] else one for one in found.parameters
    ]
    return found if found.certain or found.kind != "call" else replace(found, parameters=tuple(kept))


def _scan_file(path: Path, code: Sequence[Source], done: Scan) -> None:
    try:
        trees = _trees(code, done)
        found = list(_file_findings(trees, done.target))
        done.findings += _adjusted(_with_imported_frameworks(found, trees))
    except RecursionError:
        done.unreadable[display_path(path)] = "its expressions are nested too deeply"
    except Exception as error:  # a fault of the scan's own costs one file, is listed, and is worth a report
        done.unreadable[display_path(path)] = f"the scan failed, please report it: {type(error).__name__}: {error}"


def _trees(code: Sequence[Source], done: Scan) -> list[Tree]:
    trees = []
    for source in code:
        found = tree(source)
        if isinstance(found, Tree):
            trees.append(found)
        else:
            cell = f"cell {source.cell}, " if source.cell else ""
            done.unreadable.setdefault(display_path(source.path), f"{cell}{found.reason}")
    return trees


def _file_findings(trees: Sequence[Tree], target: Target) -> Iterator[ScanFinding]:
    names = Names(trees)
    for one in trees:
        calls = [(site, _call_finding(site, target)) for site in sites(one, names)]
        yield from (call for _, call in calls)
        on_the_module = [call for site, call in calls if site.module]
        for call in on_the_module:
            yield ScanFinding("module-client", call.place, "openai", f"{call.subject} on it")
        yield from clients(one, names)
        refused = [site for site, call in calls if call.details.get("verdict") == "refused"]
        yield from models(one, names, [site for site, _ in calls if site not in refused], target, refused)
        for node, name, kind in hosted_tools(one, names):
            verdict, note = hosted_tool(kind, target)
            if verdict:
                details = {"verdict": verdict, "framework": FRAMEWORKS[name.partition(".")[0]].title}
                yield ScanFinding("hosted-tool", one.place(node), name, note, details=details)
        for finder in _FINDERS:
            yield from finder(one, names)


def _with_imported_frameworks(found: list[ScanFinding], trees: Sequence[Tree]) -> list[ScanFinding]:
    """The findings of a file, with the frameworks that are imported there and of which none of them tells."""
    told = {str(one.details["framework"]) for one in found if "framework" in one.details}
    return [*found, *(more for one in trees for more in imported(one, told))]


def _adjusted(found: list[ScanFinding]) -> list[ScanFinding]:
    """The findings of one file in its order, each adjusted to what else is in the file."""
    kinds = {one.kind for one in found}
    if "openai-0x" in kinds:  # its settings of the module are as old as its calls
        found = [replace(one, kind="openai-0x") if one.kind == "module-client" else one for one in found]
    if "http-mock" in kinds:  # an address of OpenAI's is what is mocked, and nothing that a profile would name
        mocked = [one for one in found if one.kind == "hard-coded-url" and "//api.openai.com" in one.subject]
        message = f"{MOCK_MESSAGE}; {len(mocked)} addresses of OpenAI's here"
        found = [replace(one, message=message) if mocked and one.kind == "http-mock" else one for one in found]
        found = [one for one in found if one not in mocked]
    return sorted(found, key=lambda one: one.place)


def _call_finding(site: Site, target: Target) -> ScanFinding:
    place, name = site.tree.place(site.node), site.method.name
    if not site.method.main:
        verdict, note = unavailable(site.method, target)
        details = {"endpoint": site.method.path, **({"verdict": verdict} if verdict else {})}
        given = tuple(_parameter(site, one.name, one.node, "", "") for one in site.arguments)
        return ScanFinding("call", place, name, note, site.certain, given, site.more, details)
    parameters = tuple(
        _parameter(site, one.name, one.node, judged.verdict, judged.note, one.value)
        for one, judged in argument_verdicts(site, target)
    )
    return ScanFinding("call", place, name, "", site.certain, parameters, site.more, {"endpoint": site.method.path})


def _parameter(site: Site, name: str, node: Any, verdict: str, note: str, value: Any = UNKNOWN) -> Parameter:
    text = "" if value is UNKNOWN or isinstance(value, (dict, list)) else repr(value)
    return Parameter(
        name, site.tree.place(node), verdict, note, text if len(text) <= _SHORT and "sk-" not in text else ""
    )
