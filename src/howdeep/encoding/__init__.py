"""Between what people have and what networks see: rows to numbers, and a network's numbers back to words.

A file a kind of data. What is fitted (means, vocabularies) comes from the data card; what is here applies it, to
prepared rows and to new ones alike. All of it is plain JSON, and stands alone beside a model that leaves: it may import
intake and errors.
"""
