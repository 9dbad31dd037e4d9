"""Which client of this process made which call, from which line, and where the call went."""
