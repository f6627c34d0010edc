"""Data of people's own: from a file's bytes to text, from text to numbers, and what an unknown file is taken for.

Knows files and what is written in them; nothing of networks, tasks, configs and studies. Reads with csv, pyarrow and
Pillow; what is here is the reasons and the refusals. May import files, names and errors.
"""
