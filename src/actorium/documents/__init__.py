"""The documents that describe an application: diagrams, JSON Schema and AsyncAPI."""
