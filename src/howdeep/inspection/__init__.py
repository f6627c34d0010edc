"""What a trained network holds inside, and what it looks at: pure functions of nets and tensors."""
