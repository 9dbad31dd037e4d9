"""The pure parts of a translation that every backend shares. No IO, no clock, no environment."""
