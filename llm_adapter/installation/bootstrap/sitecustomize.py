"""Every Python process below `llm-adapter run` starts with this file, which lies on PYTHONPATH.

It waits for `openai` to be imported, and switches its clients then. It imports nothing, reads no file and starts
nothing itself, and it lets the `sitecustomize` run that it hides. The syntax is that of any Python 3, because a program
may start another Python, which need not have this package.
"""

# mypy: ignore-errors

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_RUN = "_LLM_ADAPTER_RUN"


def _run_hidden_sitecustomize():
    """Import the `sitecustomize` that this one hides, if there is one."""
    sys.path[:] = [place for place in sys.path if os.path.abspath(place or ".") != _HERE]
    own = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", None) != "sitecustomize":
            raise
        if own is not None:
            sys.modules["sitecustomize"] = own


def _switch(module):
    """Switch the clients of the SDK's module, as the environment says."""
    try:
        from llm_adapter.installation.process import switch_by_environment
    except ImportError as error:
        if (getattr(error, "name", None) or "").partition(".")[0] != "llm_adapter":
            raise
        text = (
            "llm-adapter run: " + sys.executable + " has no llm_adapter, so that its openai clients cannot be switched"
        )
        if '"local_only": true' in os.environ.get(_RUN, ""):
            raise ImportError(text + "; `local_only` forbids them to go where the program sends them") from None
        sys.stderr.write(text + ": they go where the program sends them\n")
        return
    switch_by_environment(module)


class SwitchedClientFinder:
    """Finds `openai._client` as Python does, and switches its classes when they have been made."""

    def find_spec(self, name, path=None, target=None):
        if name != "openai._client" or not os.environ.get(_RUN):
            return None
        found = (other.find_spec(name, path, target) for other in sys.meta_path if other is not self)
        spec = next((one for one in found if one is not None), None)
        execute = getattr(getattr(spec, "loader", None), "exec_module", None)
        if execute is not None:
            spec.loader.exec_module = lambda module: (execute(module), _switch(module))
        return spec


# OpenTelemetry may have this file executed once more: two finders would ask one another for ever.
if os.environ.get(_RUN) and not any(type(one).__name__ == SwitchedClientFinder.__name__ for one in sys.meta_path):
    sys.meta_path.insert(0, SwitchedClientFinder())
if __name__ == "sitecustomize":  # and not imported as a part of this package
    _run_hidden_sitecustomize()
