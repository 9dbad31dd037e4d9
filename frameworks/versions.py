"""The supported versions of the `openai` SDK, oldest to newest, each in an environment of its own.

2.45 is the floor and runs on httpx; 3.0 brought httpx2; 3.3.0 is what instructor resolves to. "floors" has every
dependency at the oldest version that pyproject.toml allows. The pytest plugin's own tests are run on each, too; on the
newest, those of the parameters' rows.

    python frameworks/versions.py [floors] [2.45] [2.54] [3.0] [3.3.0] [3.52.0] [newest]
"""

from __future__ import annotations

from environment import Row, main

PINS = {
    "floors": "openai==2.45.0 ollama==0.6.0 pydantic==2.9.* anyio==4.1.* jsonschema==4.18.* xllamacpp==2026.5.9294 "
    "pytest==7.4.*",
    "2.45": "openai==2.45.*",
    "2.54": "openai==2.54.*",
    "3.0": "openai==3.0.*",
    "3.3.0": "openai==3.3.0",
    "3.52.0": "openai==3.52.0",
    "newest": "openai",
}
SHOWN = ("openai", "httpx2", "pydantic", "xllamacpp")
PLUGIN = "pytest-xdist pytest-httpx2 aiohttp requests trio hypothesis"  # what the tests stand beside
# On the newest, whether a parameter has come that has no row.
_PLUGIN_TESTS = "tests/testing/test_plugin*.py"
TESTS = {"newest": (_PLUGIN_TESTS, "tests/translation/test_parameters.py", "tests/responses/test_responses.py")}
ROWS = {
    name: Row(f"{pins} {PLUGIN}", "test_openai.py", SHOWN, TESTS.get(name, (_PLUGIN_TESTS,)))
    for name, pins in PINS.items()
}

if __name__ == "__main__":
    raise SystemExit(main(ROWS, ["pinned", *SHOWN]))
