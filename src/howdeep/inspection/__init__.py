"""What a trained network holds inside, and what it looks at: pure functions of nets and tensors.

Imports `nets` alone. Reads and writes no file.
"""
