"""What configuration says: its fields, where they come from, how hosts are written, and the error of a mistake."""
