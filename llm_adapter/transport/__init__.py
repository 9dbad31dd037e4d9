"""The input and output of a call: the round trip, sending, concurrency, timeouts, and fetched addresses."""
