"""What users write: sagas, their steps and events, and the pure rules that decide what a saga does next."""
