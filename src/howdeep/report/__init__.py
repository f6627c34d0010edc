"""The page that people read, and the tables and pictures beside it; a file a section.

Imports `figures`, `results` and what is below. What it shows is given to it: it reads no record itself.
"""
