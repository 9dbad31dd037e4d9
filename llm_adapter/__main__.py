"""`python -m llm_adapter`: the command line, of the interpreter that is asked."""

from llm_adapter.cli import main

if __name__ == "__main__":  # who only looks through the package does not run it
    main()
