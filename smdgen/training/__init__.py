"""How networks are trained: the loop, checkpoints, batches, devices, several processes."""
