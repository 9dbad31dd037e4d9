"""`scan --fix`: which imports are swapped, byte for byte, and which are left to a person."""

from __future__ import annotations

import ast
import textwrap
from typing import NamedTuple

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llm_adapter
from llm_adapter.devtools.migrate.swap import Swap, compiles, module_client_names, our_clients, removed_names, swapped


class Pair(NamedTuple):
    before: str
    after: str


# An import alone is a re-export: it is swapped. The text after `->` is the expected one.
TABLE = {
    "one name": Pair("from openai import OpenAI\n", "from llm_adapter import OpenAI\n"),
    "sync and async": Pair("from openai import OpenAI, AsyncOpenAI\n", "from llm_adapter import OpenAI, AsyncOpenAI\n"),
    "their other names": Pair(
        "from openai import Client, AsyncClient\n", "from llm_adapter import Client, AsyncClient\n"
    ),
    "alias": Pair("from openai import OpenAI as Client\n", "from llm_adapter import OpenAI as Client\n"),
    "no line end": Pair("from openai import OpenAI", "from llm_adapter import OpenAI"),
    "odd spaces": Pair(
        "from   openai  import\tOpenAI ,AsyncOpenAI\n", "from   llm_adapter  import\tOpenAI ,AsyncOpenAI\n"
    ),
    "comment": Pair("from openai import OpenAI  # the SDK\n", "from llm_adapter import OpenAI  # the SDK\n"),
    "noqa": Pair("from openai import OpenAI  # noqa: F401\n", "from llm_adapter import OpenAI  # noqa: F401\n"),
    "parentheses": Pair("from openai import (OpenAI)\n", "from llm_adapter import (OpenAI)\n"),
    "lines": Pair(
        "from openai import (\n    OpenAI,  # one\n    # two\n    AsyncOpenAI as A,\n)\n",
        "from llm_adapter import (\n    OpenAI,  # one\n    # two\n    AsyncOpenAI as A,\n)\n",
    ),
    "backslash": Pair("from openai import \\\n    OpenAI\n", "from llm_adapter import \\\n    OpenAI\n"),
    "CRLF": Pair(
        "import os\r\nfrom openai import OpenAI\r\nx = 1\r\n",
        "import os\r\nfrom llm_adapter import OpenAI\r\nx = 1\r\n",
    ),
    "lone CR in a string": Pair(
        's = """a\rb\r\nc"""\nfrom openai import OpenAI\n', 's = """a\rb\r\nc"""\nfrom llm_adapter import OpenAI\n'
    ),
    "tab": Pair("if 1:\n\tfrom openai import OpenAI\n", "if 1:\n\tfrom llm_adapter import OpenAI\n"),
    "form feed": Pair("x = 1\n\f\nfrom openai import OpenAI\n", "x = 1\n\f\nfrom llm_adapter import OpenAI\n"),
    "wide characters": Pair('x = "é€😀"; from openai import OpenAI\n', 'x = "é€😀"; from llm_adapter import OpenAI\n'),
    "coding line": Pair(
        "# -*- coding: latin-1 -*-\nfrom openai import OpenAI  # é\n",
        "# -*- coding: latin-1 -*-\nfrom llm_adapter import OpenAI  # é\n",
    ),
    "function": Pair("def f():\n    from openai import OpenAI\n", "def f():\n    from llm_adapter import OpenAI\n"),
    "class": Pair("class A:\n    from openai import OpenAI\n", "class A:\n    from llm_adapter import OpenAI\n"),
    "try": Pair(
        "try:\n    from openai import OpenAI\nexcept ImportError:\n    OpenAI = None\n",
        "try:\n    from llm_adapter import OpenAI\nexcept ImportError:\n    OpenAI = None\n",
    ),
    "else of TYPE_CHECKING": Pair(
        "if TYPE_CHECKING:\n    pass\nelse:\n    from openai import OpenAI\n",
        "if TYPE_CHECKING:\n    pass\nelse:\n    from llm_adapter import OpenAI\n",
    ),
    "__all__": Pair(
        'from openai import OpenAI\n__all__ = ["OpenAI"]\n', 'from llm_adapter import OpenAI\n__all__ = ["OpenAI"]\n'
    ),
    "after the docstring": Pair(
        '"""from openai import OpenAI"""\n\nfrom openai import OpenAI\n',
        '"""from openai import OpenAI"""\n\nfrom llm_adapter import OpenAI\n',
    ),
    "semicolon": Pair(
        "import os; from openai import OpenAI; OpenAI()\n", "import os; from llm_adapter import OpenAI; OpenAI()\n"
    ),
    "subclass": Pair(
        "from openai import OpenAI\nclass Mine(OpenAI): ...\n",
        "from llm_adapter import OpenAI\nclass Mine(OpenAI): ...\n",
    ),
    "typed and made": Pair(
        "from openai import OpenAI\ndef f(c: OpenAI | None = None):\n    return c or OpenAI()\n",
        "from llm_adapter import OpenAI\ndef f(c: OpenAI | None = None):\n    return c or OpenAI()\n",
    ),
    # Two statements out of one.
    "a name that stays": Pair(
        "from openai import OpenAI, RateLimitError\n",
        "from llm_adapter import OpenAI\nfrom openai import RateLimitError\n",
    ),
    "a name that stays, first": Pair(
        "from openai import APIError as E, AsyncOpenAI as A, AzureOpenAI, OpenAI\n",
        "from llm_adapter import AsyncOpenAI as A, OpenAI\nfrom openai import APIError as E, AzureOpenAI\n",
    ),
    "both with noqa": Pair(
        "from openai import OpenAI, APIError  # noqa: E402\n",
        "from llm_adapter import OpenAI  # noqa: E402\nfrom openai import APIError  # noqa: E402\n",
    ),
    "both with type: ignore": Pair(
        "from openai import OpenAI, APIError  # type: ignore\n",
        "from llm_adapter import OpenAI  # type: ignore\nfrom openai import APIError  # type: ignore\n",
    ),
    "prose stays once": Pair(
        "from openai import OpenAI, APIError  # the SDK\n",
        "from llm_adapter import OpenAI\nfrom openai import APIError  # the SDK\n",
    ),
    "parentheses, two": Pair(
        "from openai import (OpenAI, APIError)\n", "from llm_adapter import (OpenAI)\nfrom openai import (APIError)\n"
    ),
    "lines, two": Pair(
        "from openai import (\n    OpenAI,\n    APIError,\n)\n",
        "from llm_adapter import (\n    OpenAI,\n)\nfrom openai import (\n    APIError,\n)\n",
    ),
    "lines, no comma at the end": Pair(
        "from openai import (\n    APIError,\n    OpenAI\n)\n",
        "from llm_adapter import (\n    OpenAI\n)\nfrom openai import (\n    APIError\n)\n",
    ),
    "lines, comments": Pair(
        "from openai import (  # noqa: I001\n    # ours\n    OpenAI,  # one\n"
        "    # theirs\n    APIError,  # two\n)  # end\n",
        "from llm_adapter import (  # noqa: I001\n    # ours\n    OpenAI,  # one\n)\n"
        "from openai import (  # noqa: I001\n    # theirs\n    APIError,  # two\n)  # end\n",
    ),
    "several a line": Pair(
        "from openai import (APIError, OpenAI,\n                    AsyncOpenAI, AzureOpenAI)\n",
        "from llm_adapter import (OpenAI,\n                    AsyncOpenAI)\n"
        "from openai import (APIError, AzureOpenAI)\n",
    ),
    "commas first": Pair(
        "from openai import (\n    OpenAI\n  , APIError\n)\n",
        "from llm_adapter import (OpenAI)\nfrom openai import (APIError)\n",
    ),
    "backslash, two": Pair(
        "from openai import OpenAI, \\\n    APIError\n", "from llm_adapter import OpenAI\nfrom openai import APIError\n"
    ),
    "indented, two": Pair(
        "try:\n    from openai import OpenAI, APIError\nexcept ImportError:\n    pass\n",
        "try:\n    from llm_adapter import OpenAI\n    from openai import APIError\nexcept ImportError:\n    pass\n",
    ),
    "CRLF, two": Pair(
        "from openai import OpenAI, APIError\r\nx = 1\r\n",
        "from llm_adapter import OpenAI\r\nfrom openai import APIError\r\nx = 1\r\n",
    ),
    "no line end, two": Pair(
        "from openai import OpenAI, APIError", "from llm_adapter import OpenAI\nfrom openai import APIError"
    ),
    "behind a colon, two": Pair(
        "if 1: from openai import OpenAI, APIError\n",
        "if 1: from llm_adapter import OpenAI; from openai import APIError\n",
    ),
    "before a semicolon, two": Pair(
        "from openai import OpenAI, APIError; x = 1\n",
        "from llm_adapter import OpenAI; from openai import APIError; x = 1\n",
    ),
    # The module.
    "module": Pair("import openai\nc = openai.OpenAI()\n", "import llm_adapter as openai\nc = openai.OpenAI()\n"),
    "module, alias": Pair(
        "import openai as o\nc = o.AsyncOpenAI()\n", "import llm_adapter as o\nc = o.AsyncOpenAI()\n"
    ),
    "module as itself": Pair(
        "import openai as openai\nopenai.Client()\n", "import llm_adapter as openai\nopenai.Client()\n"
    ),
    "module among others": Pair(
        "import os, openai, sys\nc = openai.OpenAI()\n", "import os, llm_adapter as openai, sys\nc = openai.OpenAI()\n"
    ),
    "module in a function": Pair(
        "def f():\n    import openai\n    return openai.OpenAI()\ndef g(openai):\n    return openai.x\n",
        "def f():\n    import llm_adapter as openai\n    return openai.OpenAI()\ndef g(openai):\n    return openai.x\n",
    ),
    "module, annotations": Pair(
        'import openai\ndef f(c: "openai.OpenAI") -> openai.AsyncOpenAI:\n    return openai.AsyncOpenAI()\n',
        'import llm_adapter as openai\ndef f(c: "openai.OpenAI") -> openai.AsyncOpenAI:\n'
        "    return openai.AsyncOpenAI()\n",
    ),
    "module twice": Pair(
        "import openai\nopenai.OpenAI()\nimport openai\nopenai.OpenAI()\n",
        "import llm_adapter as openai\nopenai.OpenAI()\nimport llm_adapter as openai\nopenai.OpenAI()\n",
    ),
    "module, the other function's errors": Pair(
        "import openai\ndef f():\n    return openai.OpenAI()\ndef g():\n    import openai\n    raise openai.APIError\n",
        "import llm_adapter as openai\ndef f():\n    return openai.OpenAI()\n"
        "def g():\n    import openai\n    raise openai.APIError\n",
    ),
}


@pytest.mark.parametrize("pair", TABLE.values(), ids=TABLE)
def test_swapped(pair: Pair) -> None:
    """The text is exactly this, it compiles, and a second run finds nothing to do."""
    swap = swapped(pair.before)
    assert (swap.code, swap.by_hand) == (pair.after, ())
    assert compiles(swap.code)
    assert swapped(swap.code).edits == ()


@pytest.mark.parametrize("pair", TABLE.values(), ids=TABLE)
def test_only_the_statement_is_edited(pair: Pair) -> None:
    """Without its import statements the module is the same, and what is before and after the edits is as it was."""
    swap = swapped(pair.before)
    assert rest(pair.before) == rest(swap.code)
    first, last = swap.edits[0].start, len(pair.before) - swap.edits[-1].end
    assert swap.code[:first] == pair.before[:first]
    assert swap.code[len(swap.code) - last :] == pair.before[len(pair.before) - last :]


def rest(code: str) -> str:
    class Without(ast.NodeTransformer):
        def visit_Import(self, node: ast.Import) -> None: ...

        def visit_ImportFrom(self, node: ast.ImportFrom) -> None: ...

    return ast.dump(Without().visit(ast.parse(code)))


UNTOUCHED = {
    "string": 'x = "from openai import OpenAI"\n',
    "docstring": '"""Use it so:\n\nfrom openai import OpenAI\nimport openai\n"""\n',
    "comment": "# from openai import OpenAI\nx = 1  # import openai; openai.OpenAI()\n",
    "look-alike": "from myopenai import OpenAI\nfrom openai_utils import OpenAI\nimport openai2\nopenai2.OpenAI()\n",
    "relative": "from .openai import OpenAI\nfrom ..openai import AsyncOpenAI\nfrom . import openai\nopenai.OpenAI()\n",
    "someone else's": "from langchain.openai import OpenAI\nfrom app.openai import OpenAI as O\nimport app.openai\n",
    "types": "from openai.types.chat import ChatCompletion\nfrom openai.types import Model\nimport openai.types\n",
    "errors": "from openai import RateLimitError, APIError\nimport openai\ntry: ...\nexcept openai.APIError: ...\n",
    "Azure": "from openai import AzureOpenAI\nimport openai\nopenai.AzureOpenAI()\n",
    "ours": "from llm_adapter import OpenAI\nimport llm_adapter as openai\nopenai.OpenAI()\n",
    "an import without a use": "import openai\n",
    "version": "import openai\nprint(openai.__version__)\n",
    "a name only": "openai = get()\nopenai.OpenAI()\n",
    "text without Python": "def (openai\n",
}


@pytest.mark.parametrize("code", UNTOUCHED.values(), ids=UNTOUCHED)
def test_no_false_edit(code: str) -> None:
    """What only looks like the SDK's clients is neither edited nor told."""
    assert swapped(code) == Swap(code)


KEPT = {
    "TYPE_CHECKING": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from openai import OpenAI\n",
    "typing.TYPE_CHECKING": "import typing\nif typing.TYPE_CHECKING:\n    from openai import OpenAI\n",
    "annotations": "from openai import OpenAI\ndef f(c: OpenAI | None, d: list[OpenAI]) -> 'OpenAI': ...\n",
    "isinstance": "from openai import OpenAI, AsyncOpenAI\ndef f(c):\n    isinstance(c, (OpenAI, AsyncOpenAI))\n",
    "match": "from openai import OpenAI\ndef f(c):\n    match c:\n        case OpenAI(): ...\n",
    "module": "import openai\nfrom typing import Union\nKind = Union[openai.OpenAI, openai.AsyncOpenAI]\n",
    "alias": "from openai import OpenAI\nfrom typing import Optional, TypeVar\nT = TypeVar('T', bound=OpenAI)\n",
}


@pytest.mark.parametrize("code", KEPT.values(), ids=KEPT)
def test_kept_for_types(code: str) -> None:
    """Our clients are subclasses: an annotation and a check take them as they are, and the SDK's own too."""
    swap = swapped(code)
    assert (swap.code, swap.by_hand, len(swap.kept)) == (code, (), 1)
    assert issubclass(llm_adapter.OpenAI, openai.OpenAI)


class Left(NamedTuple):
    code: str
    line: int
    reason: str
    write: str


BY_HAND = {
    "errors too": Left(
        "import openai\nc = openai.OpenAI()\ntry: ...\nexcept openai.RateLimitError: ...\n",
        *(1, "serves openai.RateLimitError (line 4) too: write ours at line 2", "llm_adapter.OpenAI(...)"),
    ),
    "one name often": Left(
        "import openai\nx = openai.A or openai.A or openai.B or openai.C or openai.D\nopenai.OpenAI()\n",
        *(1, "serves openai.A (line 2), openai.B (line 2), openai.C (line 2), ... too: write", "llm_adapter.OpenAI"),
    ),
    "too long to parse": Left("import openai\nopenai.OpenAI()\n" + "x = [1]\n" * 260_000, 1, "too long", ""),
    "quoted types too": Left(
        "import openai\ndef f(x: 'openai.types.Model'):\n    return openai.OpenAI()\n",
        1,
        "openai.types",
        "import llm_adapter",
    ),
    "before the import": Left(
        "for i in 1, 2:\n    if i == 2: print(openai.omit)\n    import openai\n    openai.OpenAI()\n",
        *(3, "openai.omit (line 2)", "llm_adapter.OpenAI(...)"),
    ),
    "passed on": Left("import openai\nuse(openai)\nopenai.OpenAI()\n", 1, "openai (line 2)", "import llm_adapter"),
    "replaced": Left("import openai\nopenai.OpenAI = Fake\nopenai.OpenAI()\n", 1, "openai.OpenAI (line 2)", "import"),
    "another value": Left(
        "try:\n    import openai\nexcept ImportError:\n    openai = None\nopenai.OpenAI()\n",
        2,
        "is not always the SDK",
        "import",
    ),
    "class body": Left(
        "class A:\n    import openai\n    c = openai.OpenAI()\n", 2, "other modules", "import llm_adapter"
    ),
    "submodule": Left("import openai.types\nopenai.OpenAI()\n", 1, "`import openai.types`", "import llm_adapter"),
    "submodule and module": Left("import openai\nimport openai.types\nopenai.OpenAI()\n", 1, "", "import llm_adapter"),
    "module as a client": Left(
        "import openai\nopenai.api_key = k\nopenai.chat.completions.create()\n",
        *(2, "openai.api_key, openai.chat.completions.create", "client = OpenAI()"),
    ),
    "star": Left("from openai import *\n", 1, "hides", "from llm_adapter import OpenAI"),
    "inside the SDK": Left(
        "from openai._client import AsyncOpenAI, OpenAI\n",
        1,
        "openai._client",
        "from llm_adapter import AsyncOpenAI, OpenAI",
    ),
    "0.x": Left(
        "import openai\nopenai.ChatCompletion.create()\n", 2, "openai 0.x (openai.ChatCompletion)", "client = OpenAI()"
    ),
    "0.x errors": Left(
        "from openai.error import RateLimitError\nfrom openai import OpenAI\n", 1, "0.x (openai.error)", ""
    ),
    "0.x beside": Left(
        "import openai\nfrom openai import OpenAI\nOpenAI()\nopenai.Embedding.create()\n", 4, "openai 0.x", "client"
    ),
    "patch": Left(
        "from openai import OpenAI\nwith mock.patch('openai.OpenAI'):\n    OpenAI()\n",
        *(2, "in the place of openai.OpenAI: name ours, and this file's import with it", "llm_adapter.OpenAI"),
    ),
    "patch of other code": Left(
        "@patch('openai.AsyncOpenAI')\ndef test(fake): ...\n", 1, "name ours", "llm_adapter.AsyncOpenAI"
    ),
    "setattr": Left(
        "import openai\ndef test(monkeypatch):\n    monkeypatch.setattr(openai, 'OpenAI', Fake)\n",
        *(3, "in the place of openai.OpenAI", "llm_adapter.OpenAI"),
    ),
    "commas first, comments": Left(
        "from openai import (\n    OpenAI  # one\n    , APIError\n)\n",
        1,
        "two imports",
        "from llm_adapter import OpenAI",
    ),
    "Python 2": Left("print 'hello'\nfrom openai import OpenAI\n", 2, "no Python that can be read", ""),
}


@pytest.mark.parametrize("left", BY_HAND.values(), ids=BY_HAND)
def test_by_hand(left: Left) -> None:
    """Where an import is not enough nothing is edited, and the line, the reason and what to write are told."""
    swap = swapped(left.code)
    assert swap.code == left.code
    hand = swap.by_hand[0]
    assert left.reason in hand.reason
    assert (hand.line, left.write in "\n".join(hand.write)) == (left.line, True)


def test_a_check_beside_a_call_is_told() -> None:
    """The class that is asked for is another one: a client that somebody else made would not pass any more."""
    swap = swapped("from openai import OpenAI\nc = OpenAI()\nassert isinstance(d, OpenAI)\n")
    assert swap.code.startswith("from llm_adapter import OpenAI\n")
    assert [(hand.line, "openai.OpenAI" in hand.reason) for hand in swap.by_hand] == [(3, True)]


def test_names_come_from_the_packages() -> None:
    """Every name that is swapped is a subclass of the SDK's; 0.x and the module's client are the SDK's own lists."""
    assert our_clients() == {"OpenAI", "AsyncOpenAI", "Client", "AsyncClient"}
    assert {"ChatCompletion", "Embedding", "error", "api_base"} <= removed_names()
    assert {"chat", "embeddings", "api_key", "base_url"} <= module_client_names()
    assert not (removed_names() | module_client_names()) & our_clients()


# --- any assembly ----------------------------------------------------------------------------------------------------

THEIRS = ("APIError", "RateLimitError", "AzureOpenAI", "OpenAIError")
name = st.sampled_from([*sorted(our_clients()), *THEIRS]).flatmap(
    lambda one: st.sampled_from([one, f"{one} as {one}_", f"{one}  as\tX{one}"])
)
comment = st.sampled_from(["", "  # why, so", "  # noqa: F401", "# type: ignore"])


@st.composite
def import_from(draw: st.DrawFn) -> str:
    names = draw(st.lists(name, min_size=1, max_size=5, unique=True))
    form = draw(st.sampled_from(["line", "parentheses", "lines", "backslash", "mixed"]))
    if form == "line":
        return f"from openai import {', '.join(names)}{draw(comment)}"
    if form == "backslash":
        return "from openai import " + ", \\\n  ".join(names)
    if form == "parentheses":
        return f"from openai import ({', '.join(names)}{draw(st.sampled_from(['', ',', ' , ']))}){draw(comment)}"
    gaps = st.sampled_from([", ", ",", "\n    , ", ",\n\n    # ünder, it\n    "]) if form == "mixed" else st.just(",")
    body = ""
    for place, one in enumerate(names):
        comma = draw(gaps) if place < len(names) - 1 else draw(st.sampled_from(["", ","]))
        body += one + comma + ("" if "\n" in comma or (form == "mixed" and comma) else draw(comment) + "\n    ")
    return f"from openai import ({draw(comment)}\n    {body.rstrip(' ')}){draw(comment)}"


NOISE = (
    *("", "x = 1", "import os, sys", "# from openai import OpenAI", 's = "import openai é"', "import openai"),
    *('"""\nfrom openai import OpenAI, APIError\n"""', "from openai.types import Model", "from .openai import OpenAI"),
    *("def f(a):\n    return a", "y = [\n    1,  # from openai import x\n]", "\t", "from myopenai import OpenAI"),
)
statement = st.one_of(import_from(), st.sampled_from(NOISE))
block = st.sampled_from(["{}", "try:\n{}\nexcept ImportError:\n    pass", "def g():\n{}", "if True:\n{}"])


@st.composite
def module(draw: st.DrawFn) -> str:
    parts = []
    for one in draw(st.lists(statement, max_size=6)):
        shape = draw(block) if one.startswith("from openai import") else "{}"
        parts.append(shape.format(textwrap.indent(one, "    ") if shape != "{}" else one))
    code = "\n".join(parts)
    return draw(st.sampled_from([code, code + "\n", code.replace("\n", "\r\n")]))


def bound(code: str) -> list[str]:
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return sorted(alias.asname or alias.name for node in nodes for alias in node.names)


def homes(code: str) -> set[tuple[str, str]]:
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom) and not node.level]
    return {(node.module or "", alias.name) for node in nodes for alias in node.names}


@settings(max_examples=60)  # most of it LibCST's
@given(module())
def test_any_assembly(code: str) -> None:
    """It compiles, binds the same names, has every client from here, and a second run does nothing."""
    if not compiles(code):
        return
    swap = swapped(code)
    assert compiles(swap.code)
    assert bound(swap.code) == bound(code)
    assert rest(swap.code) == rest(code)
    assert swapped(swap.code).code == swap.code
    if not swap.by_hand:
        assert not {(home, name) for home, name in homes(swap.code) if home == "openai" and name in our_clients()}
    assert not {(home, name) for home, name in homes(swap.code) if home == "llm_adapter" and name not in our_clients()}
