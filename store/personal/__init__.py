"""Personal data: values that are stored encrypted, each with the key of the person it is about."""
