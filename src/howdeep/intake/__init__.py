"""Data of people's own: from a file's bytes to text, from text to numbers, and what an unknown file is taken for."""
