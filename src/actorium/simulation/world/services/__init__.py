"""Several services in one world, with logs of their own, over a simulated bus."""
