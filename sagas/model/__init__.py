"""Sagas as users write them, their steps and events, and the pure rules that decide what a saga does next."""
