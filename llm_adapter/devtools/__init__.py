"""Tools for those who write or migrate a program: explain, OpenAI's own rules, doctor, migrate, parity."""
