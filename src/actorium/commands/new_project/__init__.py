"""`actorium new`: a project that runs and tests at once, and the templates it is made of."""
