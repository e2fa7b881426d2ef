"""A shop of three services: orders, customers with a credit limit, and shipping, each with a log of its own."""
