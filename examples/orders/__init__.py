"""Orders that are paid, taken from stock and shipped: by one saga, or by services that react to each other."""
