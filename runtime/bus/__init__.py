"""The bus: messages and streams that connect processes, and its adapters."""
