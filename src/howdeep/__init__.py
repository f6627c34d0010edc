"""How deep should a network be? Experiments that people can trust, rerun and extend."""
