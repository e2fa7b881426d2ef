"""The events of services: published to a stream on the bus, and taken in from the streams of others."""
