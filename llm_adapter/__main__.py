"""`python -m llm_adapter`: the command line, of the interpreter that is asked."""

from llm_adapter.cli import main

main()
