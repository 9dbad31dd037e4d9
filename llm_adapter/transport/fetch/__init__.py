"""Fetches what messages name by an address, guarded: public hosts alone, unless the profile names others."""
